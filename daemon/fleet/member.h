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
  bool stored = false;                // the row says what this says

  // Observed.
  bool reported = false;  // the provider has told of it
  InstanceState state = InstanceState::kStarting;
  TimePoint state_since;
  std::string detail;

  // In hand. Forgotten on a restart: asking again is harmless.
  std::optional<TimePoint> asked;   // Launch or Terminate, in this phase
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

struct Member {
  std::shared_ptr<const ServiceSpec> spec;
  Provider* provider = nullptr;
  int desired = 0;
  bool known = true;       // `desired` was stored; else it is what is found
  bool observed = false;   // the provider has told what exists; nothing is done before
  bool rehearsal = false;  // provider and gateways only record; capacity is what is observed
  bool leaving = false;    // removed from the configuration: drained, stopped, then dropped
  std::vector<Instance> instances;  // by id
  std::vector<Link> links;

  uint64_t sequence = 0;            // number of the present list
  std::vector<Endpoint> endpoints;  // the present list

  int launch_failures = 0;          // in a row
  TimePoint launch_after;           // no launch before
  std::string problem;              // why the fleet is not what it ought to be; empty: it is
  std::vector<std::string> forget;  // gone, to be dropped by the provider
};

// Instances that pass their health check and are neither draining nor stopping. One that served
// before a restart of the daemon counts until its health check says otherwise.
inline bool IsReady(const Instance& instance) {
  return instance.phase == InstancePhase::kServing && instance.state != InstanceState::kUnready;
}
inline bool Counts(const Instance& instance) {  // towards desired
  return instance.phase == InstancePhase::kRequested ||
         instance.phase == InstancePhase::kStarting || instance.phase == InstancePhase::kServing;
}

Capacity CapacityOf(const Member& member);

}  // namespace autoscale
