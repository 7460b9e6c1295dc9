// History: what a service's windows, rate policies and cooldowns remember. A value; the store keeps
// it.
#pragma once

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

class History {
 public:
  // Times never go backwards. Answers whether a new run began (then it is worth storing).
  bool AddProposal(TimePoint at, int capacity);
  void AddChange(TimePoint at, int delta);
  // Drops what no window of `rules` can see any more.
  void Forget(TimePoint now, const ScalingRules& rules);
  // After a restart the last run counts as made until `now`: nobody knows otherwise, and forgetting
  // would let a window act too early.
  void Resume(TimePoint now);

  [[nodiscard]] const std::vector<ProposalRun>& proposals() const { return proposals_; }
  [[nodiscard]] const std::vector<AppliedChange>& changes() const { return changes_; }
  [[nodiscard]] std::optional<TimePoint> last_out() const { return last_out_; }
  [[nodiscard]] std::optional<TimePoint> last_in() const { return last_in_; }

  // A compact text for the store, and back.
  [[nodiscard]] std::string Encode() const;
  static Result<History> Decode(std::string_view text);

  bool operator==(const History&) const = default;

 private:
  std::vector<ProposalRun> proposals_;  // oldest first
  std::vector<AppliedChange> changes_;  // oldest first
  std::optional<TimePoint> last_out_, last_in_;
};

}  // namespace autoscale
