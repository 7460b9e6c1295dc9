// ChangeLedger: what decisions have changed over all services within the last minute, held against
// what they may. Tick thread.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <deque>

#include "engine/decision/decide.h"

namespace autoscale {

class ChangeLedger {
 public:
  explicit ChangeLedger(int limit) : limit_(limit) {}

  // Times may come in any order; a decision's delta counts whatever its sign.
  void Add(TimePoint at, int delta) {
    const AppliedChange change{.at = at, .delta = std::abs(delta)};
    const auto place = std::upper_bound(
        changes_.begin(), changes_.end(), change,
        [](const AppliedChange& a, const AppliedChange& b) { return a.at < b.at; });
    changes_.insert(place, change);
    used_ += change.delta;
  }

  // One that was added and never made.
  void Remove(const AppliedChange& change) {
    const auto found = std::find(changes_.begin(), changes_.end(),
                                 AppliedChange{.at = change.at, .delta = std::abs(change.delta)});
    if (found == changes_.end()) return;
    used_ -= found->delta;
    changes_.erase(found);
  }

  // What is left of it; nothing is granted yet.
  Budget Left(TimePoint now) {
    while (!changes_.empty() && changes_.front().at <= now - kBudgetPeriod) {
      used_ -= changes_.front().delta;
      changes_.pop_front();
    }
    return {.limit = limit_, .left = static_cast<int>(std::max<int64_t>(limit_ - used_, 0))};
  }

 private:
  const int limit_;
  std::deque<AppliedChange> changes_;  // oldest first, deltas positive
  int64_t used_ = 0;                   // their sum
};

}  // namespace autoscale
