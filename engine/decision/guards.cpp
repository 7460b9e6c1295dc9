#include "engine/decision/guards.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace autoscale {
namespace {

std::string Amount(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

// Where it would come to: the bounds are applied last, and nothing is granted beyond them.
int Within(const Stage& at, int wanted) {
  return std::clamp(wanted, at.rules.bounds.min, at.rules.bounds.max);
}

std::string Plural(int n, const std::string& thing) {
  return std::to_string(n) + " " + thing + (n == 1 ? "" : "s");
}

}  // namespace

std::string Seconds(Millis d) {
  std::array<char, 32> text{};
  const double seconds = ToSeconds(d);
  const int decimals = seconds < 10 && seconds != std::trunc(seconds) ? 1 : 0;
  std::snprintf(text.data(), text.size(), "%.*fs", decimals, seconds);
  return text.data();
}

StageRecord DampFlapping(const Stage& at, int wanted) {
  StageRecord record{.name = kFlap, .before = wanted, .after = wanted};
  const ReversalRules& rules = at.rules.reversals;
  if (rules.most == 0 || wanted >= at.desired) return record;
  const std::vector<TimePoint>& reversals = at.history.reversals();
  const auto first = std::find_if(reversals.begin(), reversals.end(),
                                  [&](TimePoint t) { return t > at.now - rules.period; });
  const auto count = reversals.end() - first;
  if (count < rules.most) return record;
  const TimePoint calm = *(reversals.end() - rules.most) + rules.period;
  record.after = at.desired;
  record.reason = Plural(static_cast<int>(count), "change") + " of direction within " +
                  Seconds(rules.period) + ": no scale-in for another " + Seconds(calm - at.now);
  return record;
}

StageRecord HoldForErrors(const Stage& at, int wanted) {
  StageRecord record{.name = kErrors, .before = wanted, .after = wanted};
  if (at.conditions.errors.empty() || wanted >= at.desired) return record;
  record.after = at.desired;
  record.reason = at.conditions.errors + ": no scale-in";
  return record;
}

// Nobody takes them away, so that a decision for fewer could not be carried out.
StageRecord KeepProtected(const Stage& at, int wanted) {
  StageRecord record{.name = kProtection, .before = wanted, .after = wanted};
  const int least = std::min(at.conditions.protected_instances, at.desired);
  if (Within(at, wanted) >= least) return record;
  record.after = least;
  record.reason = Plural(at.conditions.protected_instances, "instance") +
                  (at.conditions.protected_instances == 1 ? " is" : " are") + " protected";
  return record;
}

// A scale-in that the policy would take back, as it sees the load of those taken away on the
// others, is a flap: less is cut, or nothing.
StageRecord Project(const Stage& at, int wanted) {
  StageRecord record{.name = kProjection, .before = wanted, .after = wanted};
  const int goal = Within(at, wanted);
  const std::vector<Projection>& projections = at.conditions.projections;
  if (goal >= at.desired || projections.empty() || projections.front().capacity != goal) {
    return record;
  }
  const auto lasts = std::find_if(projections.begin(), projections.end(), [](const Projection& p) {
    return p.asked && p.proposed <= p.capacity;
  });
  if (lasts == projections.begin()) return record;
  const bool held = lasts == projections.end() || lasts->capacity >= at.desired;
  record.after = held ? at.desired : lasts->capacity;
  const Projection& refused = projections.front();
  record.reason = "at " + Plural(goal, "instance") + " " +
                  (refused.samples.empty() ? "" : refused.samples + " and ") +
                  (refused.asked ? "the policy would ask for " + std::to_string(refused.proposed)
                                 : "the policy could not be asked") +
                  (held ? ": held" : ": cut to " + std::to_string(record.after) + " instead");
  return record;
}

StageRecord GrantCost(const Stage& at, int wanted) {
  StageRecord record{.name = kCost, .before = wanted, .after = wanted};
  const Cost& cost = at.conditions.cost;
  const int granted = std::max(cost.granted, 0);
  if (cost.limit <= 0 || cost.price <= 0 || Within(at, wanted) - at.desired <= granted) {
    return record;
  }
  record.after = at.desired + granted;
  record.reason = Amount(std::max(cost.left, 0.0)) + " of " + Amount(cost.limit) +
                  " an hour are left over all services, and an instance costs " +
                  Amount(cost.price);
  return record;
}

StageRecord GrantChanges(const Stage& at, int wanted) {
  StageRecord record{.name = kBudget, .before = wanted, .after = wanted};
  const Budget& budget = at.conditions.budget;
  const int granted = std::max(budget.granted, 0);
  const int goal = Within(at, wanted);
  if (budget.limit == 0 || std::abs(int64_t{goal} - at.desired) <= granted) return record;
  record.after = at.desired + (goal > at.desired ? granted : -granted);
  record.reason = std::to_string(std::max(budget.left, 0)) + " of " + std::to_string(budget.limit) +
                  " changes a minute are left over all services";
  if (granted < budget.left)
    record.reason += ", " + std::to_string(granted) + " of them for this one";
  return record;
}

}  // namespace autoscale
