// Service: what the controller keeps of one service between ticks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/spec.h"
#include "daemon/store/store.h"
#include "engine/record/record.h"

namespace autoscale {

struct Service {
  std::shared_ptr<const ServiceSpec> spec;

  // Stored.
  int desired = 0;  // as stored; in a dry run what was decided before it
  uint64_t generation = 0;
  bool paused = false;
  std::string pause_reason;
  std::string policy_state;
  History history;

  // The last tick.
  std::optional<TimePoint> last_tick;
  std::optional<TimePoint> last_change;
  Capacity capacity;            // when it began
  std::vector<Sample> samples;  // parallel to spec->metrics
  Proposal proposal;
  Decision decision;

  int64_t last_stored = 0;  // id of the last decision stored
  uint64_t outcome = 0;     // of that decision: what it comes down to, without its numbers
  // A decision whose consequences are still coming in; stored again with them once all is settled.
  std::unique_ptr<DecisionRecord> open;
};

ServiceRow RowOf(const Service& service);

// The last tick as a record; `id` is 0 for one that is not stored.
DecisionRecord RecordOf(const Service& service, int64_t id);

// What a decision comes down to: two ticks with the same outcome differ in numbers only and one
// record of them is enough.
uint64_t OutcomeOf(const Service& service);

}  // namespace autoscale
