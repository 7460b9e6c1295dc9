// Member: one service's instances and the gateways that use them, as the reconciler sees them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/spec.h"
#include "daemon/store/store.h"
#include "gateways/gateway.h"
#include "providers/provider.h"

namespace autoscale {

// clang-format off
//              Launch answered        ready                    desired falls
//   kRequested ---------------> kStarting ------> kServing <-------------> kDraining
//       |                           |                       desired rises      |
//       | not wanted any more       | or too slow            every gateway confirmed, settled,
//       v                           v                        in-flight 0; or the bound
//   dropped, or kStopping       kStopping <------------------------------------+
//                                   |
//                                   v
//                                  gone
// clang-format on
// An instance that ends by itself is gone from whatever phase, and replaced.
struct Instance {
  // Stored, before any effect.
  std::string id;
  std::string endpoint;
  InstancePhase phase = InstancePhase::kRequested;
  TimePoint since;                    // of the phase
  std::optional<TimePoint> deadline;  // of the phase
  TimePoint protected_until{};        // no scale-in takes it away before
  std::string protect_reason;
  bool stored = false;  // the row says what this says

  // Observed.
  bool reported = false;  // the provider has told of it
  InstanceState state = InstanceState::kStarting;
  TimePoint state_since;
  std::string detail;
  std::optional<TimePoint> started;  // when its start led to serving; absent: it was not ours
  bool proven = false;               // kProven
  bool failed = false;               // its start has been counted as failed
  int rank = 0;                      // of two, the target ends the one with the higher rank first
  std::string kept;                  // why its target lets no scale-in take it; empty: it does

  // In hand. Forgotten on a restart: asking again is harmless.
  // Launch or Terminate, in this phase; while draining: when a gateway was first told.
  std::optional<TimePoint> asked;
  uint64_t drain_sequence = 0;      // the list that first showed it draining
  std::optional<TimePoint> let_go;  // since when every gateway has confirmed that list
  int in_flight = -1;               // while draining, over all gateways; -1: not known
};

// One gateway's share of a member.
struct Link {
  std::string gateway;
  std::string upstream;
  Gateway* adapter = nullptr;
  GatewayCapabilities capabilities;
  // The member's list number s goes out as version {epoch, offset + s}; both are raised when a
  // gateway turns out to know a higher one.
  uint64_t epoch = 0;
  uint64_t offset = 0;
  uint64_t confirmed = 0;  // the member's list number that the gateway confirmed last
  bool busy = false;       // a Publish is under way
  int failures = 0;        // in a row
  TimePoint retry_at;
  std::string problem;
  std::vector<EndpointLoad> loads;
  std::optional<TimePoint> loads_asked;  // when the inspection that gave `loads` was sent
};

// A start has held once its instance has been healthy for so long on end. One that ends by itself
// or fails its check for good before that counts as a failed start.
inline constexpr Millis kProven = std::chrono::seconds(30);
// A capacity that nobody else has changed for so long is contested no more. Whoever sets it by a
// schedule or to every alarm does it more often.
inline constexpr Millis kUncontested = std::chrono::hours(1);

// What is known of a target that has a capacity, and of what we wish of it.
struct Sizing {
  uint64_t id = 0;  // of two of one service, the later has another
  TargetAbilities abilities;
  int capacity = 0;   // as it is set: as observed last, or as it was accepted since
  bool ours = false;  // it was set by us, or we agreed to it: what differs then is somebody else's
  std::string blocked;
  std::string shortage;  // why instances do not come; empty: nothing is known

  bool busy = false;     // SetCapacity is under way
  TimePoint answered{};  // when it was last answered: what was observed before is too old
  TimePoint retry_at{};  // no SetCapacity before
  TimePoint look_at{};   // observed again then; only of one that does not report by itself
  int wished = -1;       // the capacity wished last; with its victims one wish
  uint64_t wishes = 0;   // how many there were, since the start
  std::vector<std::string> victims;
  SizeRow stored;  // what the service's row says; nothing is asked for that it does not say
};

struct Member {
  std::shared_ptr<const ServiceSpec> spec;
  Provider* provider = nullptr;
  int desired = 0;
  bool known = true;       // `desired` was stored; else it is what is found
  bool observed = false;   // the provider has told what exists; nothing is done before
  TimePoint seen;          // when it was asked for what was told last
  bool rehearsal = false;  // provider and gateways only record; capacity is what is observed
  bool leaving = false;    // removed from the configuration: drained, stopped, then dropped
  bool blind = false;      // lists that show it are another's now: drains last to the bound
  std::unique_ptr<Sizing> sizing;     // null: the daemon names the instances
  std::optional<SizeRow> remembered;  // as stored before the start, until its target is observed
  std::vector<Instance> instances;    // by id
  std::vector<Link> links;

  uint64_t sequence = 0;            // number of the present list
  std::vector<Endpoint> endpoints;  // the present list
  // The list that all stored phases agree with; null: the present one. Set where the present one
  // was renewed by a pass that nobody has acted on yet.
  std::unique_ptr<std::vector<Endpoint>> former;

  // Starts and stops that failed in a row; one that proves itself after the last ends the row.
  int failures = 0;
  int failures_allowed = 10;  // as many open the breaker
  TimePoint last_failure;
  TimePoint launch_after;  // no launch before
  // Why the service is left as it is until a person has looked; empty: it is acted on. Then one
  // start is tried now and then, and only that.
  std::string breaker;
  TimePoint breaker_since;
  bool breaker_stored = false;  // as open
  // How often in a row somebody else has changed a capacity that is ours. An hour without a change
  // ends the row.
  int contests = 0;
  TimePoint first_contest, last_contest;
  bool contested = false;           // that opened the breaker: the capacity is left as it is
  std::string unread;               // why its target cannot be read now; empty: it can
  std::string problem;              // why the fleet is not what it ought to be; empty: it is
  std::vector<std::string> forget;  // gone, to be dropped by the provider
};

// Instances that pass their health check and are neither draining nor stopping. One that served
// before a restart of the daemon counts until its health check says otherwise.
inline bool IsReady(const Instance& instance) {
  return instance.phase == InstancePhase::kServing && instance.state != InstanceState::kUnready &&
         instance.state != InstanceState::kStopping;
}
inline bool Counts(const Instance& instance) {  // towards desired
  return instance.phase == InstancePhase::kRequested ||
         instance.phase == InstancePhase::kStarting || instance.phase == InstancePhase::kServing;
}

inline bool IsProtected(const Instance& instance, TimePoint now) {
  return instance.protected_until > now || !instance.kept.empty();
}

Capacity CapacityOf(const Member& member);
// Of those that count towards desired.
int CountProtected(const Member& member, TimePoint now);

}  // namespace autoscale
