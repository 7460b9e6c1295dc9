// Store: what must survive kill -9, in SQLite (WAL, synchronous=FULL).
//
// Rows are committed before the effects they announce. An unchanged tick commits nothing. Used by
// the tick thread alone; every call blocks on the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/decision/history.h"
#include "engine/model/result.h"
#include "engine/model/time.h"
#include "engine/record/record.h"
#include "engine/record/shadow.h"

namespace autoscale {

// What we intend with an instance; what it does is observed, not stored.
enum class InstancePhase : uint8_t {
  kRequested,  // the provider is about to be asked for it
  kStarting,   // the provider was asked
  kServing,    // it was ready and is (or is about to be) in the gateways' lists
  kDraining,   // leaves the lists, in-flight requests end; may return to kServing
  kStopping,   // the provider is asked to end it; irreversible
};
std::string_view ToString(InstancePhase phase);

inline constexpr TimePoint kForever{Millis(253402300799999)};  // the end of the year 9999

struct InstanceRow {
  std::string service;
  std::string id;
  InstancePhase phase = InstancePhase::kRequested;
  TimePoint since;
  std::optional<TimePoint> deadline;  // of the phase
  std::string endpoint;
  TimePoint
      protected_until{};  // by then no scale-in takes it away; kForever: until a person says so
  std::string protect_reason;
  bool operator==(const InstanceRow&) const = default;
};

// Where what is stored of a service runs.
struct TargetRow {
  std::string provider;   // empty: not known
  std::string place;      // as ProviderTarget::place
  uint64_t identity = 0;  // hash of ProviderTarget::identity
  bool operator==(const TargetRow&) const = default;
};

// The capacity of a target that has one, as it was known last.
struct SizeRow {
  int capacity = -1;  // -1: not known
  int asked = -1;     // what it may have become by us since; -1: nothing else
  bool operator==(const SizeRow&) const = default;
};

struct ServiceRow {
  std::string name;
  int desired = 0;
  uint64_t generation = 0;  // rises with each change of desired
  bool paused = false;
  std::string pause_reason;
  std::string policy_state;  // as the policy host encoded it
  History history;           // windows, rate events, cooldowns
  std::string breaker;       // why it does not act any more; empty: it acts
  TimePoint breaker_since{};
  std::string leaving;  // what is needed to finish a service that was removed; empty: it stays
  TargetRow target;
  SizeRow size;
  bool contested = false;  // of the breaker: somebody else kept changing the capacity
};

// A policy tried beside the live one, with its own memory and what became known of it.
struct ShadowRow {
  std::string service;
  uint64_t identity = 0;  // of what is compared
  std::string state;
  History history;
  ShadowAccount account;
};

// What one tick changed. Committed as a whole or not at all, in this order: removed services,
// services, instances, removed instances, decisions. What decisions depend on is stored with the
// first of them and kept while any of them is.
struct StoreBatch {
  std::vector<ServiceRow> services;                                    // inserted or replaced
  std::vector<InstanceRow> instances;                                  // inserted or replaced
  std::vector<std::pair<std::string, std::string>> removed_instances;  // {service, id}
  std::vector<std::string> removed_services;  // with their instances; decisions stay
  std::vector<DecisionRecord> decisions;      // inserted or replaced by id
  std::vector<ShadowRow> shadows;             // inserted or replaced
  std::vector<std::string> removed_shadows;   // of these services
  std::optional<TimePoint> now;
  [[nodiscard]] bool empty() const {
    return services.empty() && instances.empty() && removed_instances.empty() &&
           removed_services.empty() && decisions.empty() && shadows.empty() &&
           removed_shadows.empty();
  }
};

class Store {
 public:
  // Opens or creates the database in the folder (0700 if it has to be made). A database that
  // newer version wrote, or that is damaged, is refused with a sentence on what to do; one of an
  // older version is copied and brought up to date. Each Open raises the epoch.
  static Result<std::unique_ptr<Store>> Open(const std::string& folder);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] uint64_t epoch() const;      // of this start; rises by one each
  [[nodiscard]] TimePoint last_now() const;  // highest `now` ever committed; epoch start if none
  [[nodiscard]] int64_t last_decision_id() const;  // the highest ever committed
  // What a person ought to know of the opening: sentences for the log.
  [[nodiscard]] const std::vector<std::string>& notes() const;

  // What of a row cannot be read is told in notes() and begins afresh: a history as if the windows
  // had just begun, an instance as if it had been found.
  Result<std::vector<ServiceRow>> ReadServices();
  Result<std::vector<InstanceRow>> ReadInstances();
  // Those that can be read; the others begin anew.
  Result<std::vector<ShadowRow>> ReadShadows();
  // Where damage keeps decisions from being stored, the rest is stored without them.
  Status Commit(const StoreBatch& batch);

  // Newest first; service empty: of all.
  Result<std::vector<DecisionRecord>> ReadDecisions(const std::string& service, int limit);
  Result<std::optional<DecisionRecord>> ReadDecision(int64_t id);
  // What a decision depends on, by its hash, with the policy's text.
  Result<std::optional<Basis>> ReadBasis(uint64_t hash);

  // What is to be done now and then, each at its time: decisions beyond the limits are dropped, a
  // few services at a time; once an hour a back-up is kept. Called as often as one likes.
  Status Maintain(TimePoint now);
  // What is wrong with the database though commits succeed; empty: nothing.
  [[nodiscard]] std::string problem() const;

 private:
  struct State;
  static Result<std::unique_ptr<State>> OpenState(const std::string& folder);
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
