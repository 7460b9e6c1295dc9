// History: what a service's windows, rate policies and cooldowns remember. A value; the store keeps
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/decision/rules.h"
#include "engine/model/result.h"
#include "engine/model/time.h"

namespace autoscale {

// Equal raw proposals that followed each other: the first and the last time it was made.
struct ProposalRun {
  TimePoint first;
  TimePoint last;
  int capacity = 0;
  bool operator==(const ProposalRun&) const = default;
};

// A change of desired.
struct AppliedChange {
  TimePoint at;
  int delta = 0;  // instances; negative: scaled in
  bool operator==(const AppliedChange&) const = default;
};

// Over which changes count against the budget of all services.
inline constexpr Millis kBudgetPeriod = std::chrono::minutes(1);

// A history's state, so that what one tick did to it can be taken back.
struct HistoryMark {
  uint32_t runs = 0, changes = 0, reversals = 0;
  TimePoint last;  // of the last run
  std::optional<TimePoint> last_out, last_in;
};

class History {
 public:
  // Times never go backwards. Answers whether a new run began (then it is worth storing).
  bool AddProposal(TimePoint at, int capacity);
  void AddChange(TimePoint at, int delta);
  // The last change, of this time, was never made: it is taken out. It was added to a history of
  // this mark; nothing where it is out already, or forgotten.
  std::optional<AppliedChange> UndoChange(TimePoint at, const HistoryMark& mark);
  // What it was counted from has become another: no rate counts back over that.
  void ForgetChanges() { changes_.clear(); }
  // Drops what no window of `rules` can see any more, nor the budget, nor the rule on reversals.
  void Forget(TimePoint now, const ScalingRules& rules);
  // After a restart the last run counts as made until `now`: nobody knows otherwise, and forgetting
  // would let a window act too early.
  void Resume(TimePoint now);
  [[nodiscard]] HistoryMark Mark() const;
  // As it was at the mark, when since then one proposal and changes were added and no more.
  void TakeBack(const HistoryMark& mark);

  [[nodiscard]] const std::vector<ProposalRun>& proposals() const { return proposals_; }
  [[nodiscard]] const std::vector<AppliedChange>& changes() const { return changes_; }
  // When a change went the other way than the one before it.
  [[nodiscard]] const std::vector<TimePoint>& reversals() const { return reversals_; }
  [[nodiscard]] std::optional<TimePoint> last_out() const { return last_out_; }
  [[nodiscard]] std::optional<TimePoint> last_in() const { return last_in_; }

  // A compact text for the store, and back.
  [[nodiscard]] std::string Encode() const;
  static Result<History> Decode(std::string_view text);

  bool operator==(const History&) const = default;

 private:
  std::vector<ProposalRun> proposals_;  // oldest first
  std::vector<AppliedChange> changes_;  // oldest first
  std::vector<TimePoint> reversals_;    // oldest first
  std::optional<TimePoint> last_out_, last_in_;
};

}  // namespace autoscale
