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

struct InstanceRow {
  std::string service;
  std::string id;
  InstancePhase phase = InstancePhase::kRequested;
  TimePoint since;
  std::optional<TimePoint> deadline;  // of the phase
  std::string endpoint;
  bool operator==(const InstanceRow&) const = default;
};

struct ServiceRow {
  std::string name;
  int desired = 0;
  uint64_t generation = 0;  // rises with each change of desired
  bool paused = false;
  std::string pause_reason;
  std::string policy_state;  // as the policy host encoded it
  History history;           // windows, rate events, cooldowns
};

// What one tick changed. Committed as a whole or not at all, in this order: removed services,
// services, instances, removed instances, decisions.
struct StoreBatch {
  std::vector<ServiceRow> services;                                    // inserted or replaced
  std::vector<InstanceRow> instances;                                  // inserted or replaced
  std::vector<std::pair<std::string, std::string>> removed_instances;  // {service, id}
  std::vector<std::string> removed_services;  // with their instances; decisions stay
  std::vector<DecisionRecord> decisions;      // inserted or replaced by id
  std::optional<TimePoint> now;
  [[nodiscard]] bool empty() const {
    return services.empty() && instances.empty() && removed_instances.empty() &&
           removed_services.empty() && decisions.empty();
  }
};

class Store {
 public:
  // Opens or creates the database in the folder (0700 if it has to be made). A database that
  // another version wrote, or that is damaged, is refused with a sentence on what to do. Each Open
  // raises the epoch.
  static Result<std::unique_ptr<Store>> Open(const std::string& folder);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] uint64_t epoch() const;      // of this start; rises by one each
  [[nodiscard]] TimePoint last_now() const;  // highest `now` ever committed; epoch start if none
  [[nodiscard]] int64_t last_decision_id() const;

  Result<std::vector<ServiceRow>> ReadServices();
  Result<std::vector<InstanceRow>> ReadInstances();
  Status Commit(const StoreBatch& batch);

  // Newest first; service empty: of all.
  Result<std::vector<DecisionRecord>> ReadDecisions(const std::string& service, int limit);
  Result<std::optional<DecisionRecord>> ReadDecision(int64_t id);
  // Keeps the newest `keep` decisions a service. Called now and then, not every tick.
  Status PruneDecisions(int keep);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
