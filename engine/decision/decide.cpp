#include "engine/decision/decide.h"

#include <algorithm>
#include <string>

#include "engine/decision/guards.h"

namespace autoscale {
namespace {

// As the Kubernetes HPA: up to the least proposal of the up window, down to the greatest of the
// down window, both including the present one.
StageRecord Stabilize(const Stage& at, int wanted) {
  int least = wanted;
  int greatest = wanted;
  for (const ProposalRun& run : at.history.proposals()) {
    if (run.last > at.now - at.rules.up.stabilization) least = std::min(least, run.capacity);
    if (run.last > at.now - at.rules.down.stabilization)
      greatest = std::max(greatest, run.capacity);
  }
  const int after = std::min(std::max(at.desired, least), greatest);
  StageRecord record{.name = kStabilization, .before = wanted, .after = after};
  if (after < wanted) {
    record.reason = "the least proposal of the last " + Seconds(at.rules.up.stabilization) +
                    " is " + std::to_string(least);
  } else if (after > wanted) {
    record.reason = "the greatest proposal of the last " + Seconds(at.rules.down.stabilization) +
                    " is " + std::to_string(greatest);
  }
  return record;
}

// The capacity at the period's start: what was added since taken off, what was removed put back.
int CapacityAtStart(const Stage& at, Millis period) {
  int64_t start = at.desired;
  for (const AppliedChange& change : at.history.changes()) {
    if (change.at > at.now - period) start -= change.delta;
  }
  return static_cast<int>(std::clamp<int64_t>(start, 0, kMaxCapacity));
}

// The capacity that one limit allows to reach; `sign` is +1 on the way up, -1 on the way down.
// Percentages are exact integer arithmetic: up rounds up, down rounds down, so that a step of less
// than one instance is one instance.
int Reach(const Stage& at, const RateLimit& limit, int sign) {
  const int64_t start = CapacityAtStart(at, limit.period);
  if (limit.kind == RateLimit::Kind::kInstances)
    return static_cast<int>(start + sign * limit.value);
  const int64_t hundredths = start * (100 + sign * static_cast<int64_t>(limit.value));
  const int64_t reach = sign > 0 ? (hundredths + 99) / 100 : std::max<int64_t>(hundredths, 0) / 100;
  return static_cast<int>(std::min<int64_t>(reach, INT32_MAX));
}

std::string Describe(const RateLimit& limit) {
  return std::to_string(limit.value) +
         (limit.kind == RateLimit::Kind::kPercent ? "%"
          : limit.value == 1                      ? " instance"
                                                  : " instances") +
         " per " + Seconds(limit.period);
}

StageRecord LimitRate(const Stage& at, int wanted) {
  StageRecord record{.name = kRate, .before = wanted, .after = wanted};
  if (wanted == at.desired) return record;
  const int sign = wanted > at.desired ? 1 : -1;
  const DirectionRules& rules = sign > 0 ? at.rules.up : at.rules.down;
  if (rules.select == RateSelect::kDisabled) {
    record.after = at.desired;
    record.reason = sign > 0 ? "scaling out is disabled" : "scaling in is disabled";
    return record;
  }
  const RateLimit* binding = nullptr;
  int reach = 0;  // in the direction of `sign`, so that greater is further
  for (const RateLimit& limit : rules.limits) {
    const int this_reach = sign * Reach(at, limit, sign);
    const bool replaces =
        rules.select == RateSelect::kMax ? this_reach > reach : this_reach < reach;
    if (binding == nullptr || replaces) {
      binding = &limit;
      reach = this_reach;
    }
  }
  if (binding == nullptr) return record;
  // A limit that was already exceeded stops the move; it never turns it round.
  reach = std::max(reach, sign * at.desired);
  if (sign * wanted > reach) {
    record.after = sign * reach;
    record.reason = "at most " + Describe(*binding);
  }
  return record;
}

StageRecord Cool(const Stage& at, int wanted) {
  StageRecord record{.name = kCooldown, .before = wanted, .after = wanted};
  if (wanted == at.desired) return record;
  const bool out = wanted > at.desired;
  const Millis cooldown = out ? at.rules.up.cooldown : at.rules.down.cooldown;
  // After a scale-in more load may come back at once; after any change a cut must wait.
  auto last = at.history.last_out();
  if (!out && at.history.last_in() && (!last || *at.history.last_in() > *last)) {
    last = at.history.last_in();
  }
  if (!last || at.now - *last >= cooldown) return record;
  record.after = at.desired;
  record.reason = Seconds(at.now - *last) + " of " + Seconds(cooldown) + " since the last " +
                  (out ? "scale-out" : "change");
  return record;
}

// The most (sign +1) or least (-1) that the capacity was within the last minute.
int Extreme(const Stage& at, int sign) {
  int capacity = at.desired;
  int extreme = at.desired;
  const std::vector<AppliedChange>& changes = at.history.changes();
  for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
    if (change->at <= at.now - kBudgetPeriod) break;
    capacity -= change->delta;
    extreme = sign > 0 ? std::max(extreme, capacity) : std::min(extreme, capacity);
  }
  return extreme;
}

// A wrong proposal must not change most of a service before somebody can look: a step is held
// against what there was within the last minute, not against what the step before left of it.
StageRecord LimitStep(const Stage& at, int wanted) {
  StageRecord record{.name = kMaxStep, .before = wanted, .after = wanted};
  const bool out = wanted > at.desired;
  const int percent = (out ? at.rules.up : at.rules.down).max_step_percent;
  if (percent == 0 || wanted == at.desired) return record;
  const int from = Extreme(at, out ? -1 : +1);
  const int64_t hundredths = static_cast<int64_t>(from) * percent;
  const int64_t step = std::max<int64_t>(1, out ? (hundredths + 99) / 100 : hundredths / 100);
  // What is exceeded already stops the move; it never turns it round.
  const int64_t reach =
      out ? std::max<int64_t>(from + step, at.desired) : std::min<int64_t>(from - step, at.desired);
  if (out ? wanted <= reach : wanted >= reach) return record;
  record.after = static_cast<int>(reach);
  record.reason =
      "at most " + std::to_string(percent) + "% of " + std::to_string(from) + " within a minute";
  return record;
}

std::string OutOfBounds(int capacity, const Bounds& bounds) {
  return capacity < bounds.min
             ? std::to_string(capacity) + " is below min " + std::to_string(bounds.min)
             : std::to_string(capacity) + " is above max " + std::to_string(bounds.max);
}

StageRecord Bound(const Stage& at, int wanted) {
  const Bounds& bounds = at.rules.bounds;
  StageRecord record{
      .name = kBounds, .before = wanted, .after = std::clamp(wanted, bounds.min, bounds.max)};
  if (record.after != wanted) record.reason = OutOfBounds(wanted, bounds);
  return record;
}

// The sentence that `explain` opens with: the policy's reason, then each stage that changed it.
std::string Summarize(const Proposal& proposal, const std::vector<StageRecord>& stages) {
  std::string reason = proposal.reason;
  for (const StageRecord& stage : stages) {
    if (stage.before == stage.after) continue;
    reason += "; ";
    reason += stage.name;
    reason += ": " + stage.reason;
  }
  return reason;
}

}  // namespace

Decision Decide(const ScalingRules& rules, const Proposal& proposal, const Capacity& capacity,
                TimePoint now, const History& history, const Conditions& conditions) {
  const int from = conditions.from.value_or(capacity.desired);
  Decision decision{.before = capacity.desired, .desired = from};
  const Stage at{
      .rules = rules, .history = history, .now = now, .desired = from, .conditions = conditions};

  if (StageRecord bounded = Bound(at, from); bounded.after != bounded.before) {
    decision.reason = bounded.reason + ": to the bound";
    decision.desired = bounded.after;
    decision.stages.push_back(std::move(bounded));
    // A bound that was typed wrongly is no way round what a wrong policy is held to.
    const bool out = decision.desired > from;
    for (auto* guard : {LimitStep, KeepProtected, GrantChanges}) {
      if (out && guard == LimitStep) continue;  // what min promises is not waited for
      StageRecord record = guard(at, decision.desired);
      if (record.after == record.before) continue;
      decision.reason += "; " + std::string(record.name) + ": " + record.reason;
      decision.desired = record.after;
      decision.stages.push_back(std::move(record));
    }
    return decision;
  }
  const bool holds = proposal.kind == ProposalKind::kHold && conditions.from;
  int wanted = holds ? from : proposal.capacity;
  decision.stages.reserve(4);
  const auto apply = [&](StageRecord record) {
    wanted = record.after;
    decision.stages.push_back(std::move(record));
  };
  for (auto* stage : {Stabilize, LimitRate, Cool}) apply(stage(at, wanted));
  for (auto* guard :
       {LimitStep, DampFlapping, HoldForErrors, KeepProtected, Project, GrantCost, GrantChanges}) {
    StageRecord record = guard(at, wanted);
    if (record.after != record.before) apply(std::move(record));
  }
  apply(Bound(at, wanted));
  decision.desired = wanted;
  decision.reason = Summarize(proposal, decision.stages);
  return decision;
}

std::optional<int> FindFrom(std::optional<int> last, const Proposal& proposal, int present,
                            const Bounds& bounds) {
  const bool content = proposal.kind == ProposalKind::kHold &&
                       proposal.cause != HoldCause::kMetric && proposal.cause != HoldCause::kFault;
  if (last && content) return std::clamp(present, bounds.min, bounds.max);
  return last;
}

}  // namespace autoscale
