// Service: what the controller keeps of one service between ticks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/spec.h"
#include "daemon/store/store.h"
#include "engine/decision/deal.h"
#include "engine/decision/decide.h"
#include "engine/record/record.h"

namespace autoscale {

// The holds of a service that were kept lately: one that flaps between reasons is kept once for
// each of them, not on every tick.
class KeptHolds {
 public:
  static constexpr Millis kAgain = std::chrono::minutes(10);
  static constexpr size_t kMost = 6;  // in that time, whatever they are

  // Whether one with this outcome is to be kept; then it counts as kept.
  bool Take(uint64_t outcome, TimePoint now);

 private:
  std::vector<std::pair<uint64_t, TimePoint>> kept_;
};

// How often the log is told of one thing: what begins, changes and ends is told at once, what flaps
// a few times a while.
class ToldSeldom {
 public:
  static constexpr Millis kWhile = std::chrono::minutes(10);
  static constexpr int kMost = 6;  // lines in that time

  // Whether there may be a line now; then it counts.
  bool Take(TimePoint now);

 private:
  TimePoint since_;
  int lines_ = 0;
};

// What the log was told last of a metric of a service; errors apart.
struct ToldSample {
  SampleState state = SampleState::kFresh;
  ToldSeldom lines;
};

class Shadow;

struct Service {
  std::shared_ptr<const ServiceSpec> spec;

  std::optional<int> stored;  // the desired that was committed last

  // Stored.
  int desired = 0;  // as stored; in a dry run what was decided before it
  uint64_t generation = 0;
  bool paused = false;
  std::string pause_reason;
  std::string breaker;  // as the fleet has it
  TimePoint breaker_since;
  bool contested = false;
  TargetRow target;  // of whoever acted last: a dry run leaves it as it was
  SizeRow size;
  std::string policy_state;
  History history;

  // The last tick.
  std::optional<TimePoint> last_tick;
  std::optional<TimePoint> last_change;
  Capacity capacity;             // when it began
  std::vector<Sample> samples;   // parallel to spec->metrics
  std::vector<ToldSample> told;  // of each sample
  Proposal proposal;
  Conditions conditions;  // under which it was decided
  Decision decision;
  std::optional<int> advised;  // what the last decision came to; absent: none was made
  bool kept = false;           // it is stored, as last_stored
  // What it wanted and was not granted of the budget of changes, and since when it waits for such.
  Wish unmet;
  TimePoint waiting_since;

  // What else its decision was made of; what the tick changed is kept as it was before.
  bool decided = false;                             // since the specification was put in
  bool outside = false;                             // as Evaluation::outside
  bool quarantined = false;                         // as Evaluation::quarantined
  std::unique_ptr<const std::string> former_state;  // null: policy_state did not change
  HistoryMark before;                               // of `history`
  uint64_t basis_hash = 0;                          // of BasisOf the specification

  std::shared_ptr<Shadow> shadow;  // null: no policy is tried beside the live one

  int64_t last_stored = 0;  // id of the last decision stored
  uint64_t outcome = 0;     // of that decision: what it comes down to, without its numbers
  KeptHolds kept_holds;
  // A decision whose consequences are still coming in; stored again with them once all is settled.
  std::unique_ptr<DecisionRecord> open;
};

// What the decisions of a service depend on until its next specification.
Basis BasisOf(const std::shared_ptr<const ServiceSpec>& spec, const PolicyLimits& limits);

// Without the grants that took nothing from the decision: they were dealt out after it, as much as
// it came to, and say nothing of what was left.
Conditions WhatBound(Conditions conditions, const Decision& decision);

ServiceRow RowOf(const Service& service);

// The last tick as a record; `id` is 0 for one that is not stored. `limits` are the daemon's.
DecisionRecord RecordOf(const Service& service, int64_t id, const PolicyLimits& limits);

// What a decision comes down to: two ticks with the same outcome differ in numbers only and one
// record of them is enough.
uint64_t OutcomeOf(const Service& service);

}  // namespace autoscale
