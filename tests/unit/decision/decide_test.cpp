#include "engine/decision/decide.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kNow{seconds(1'700'000'000)};

Proposal ScaleTo(int n) {
  return {.kind = ProposalKind::kScaleTo, .capacity = n, .reason = "policy says so"};
}

ScalingRules Free(int min, int max) {
  ScalingRules rules;
  rules.bounds = {.min = min, .max = max};
  rules.down.stabilization = Millis(0);
  return rules;
}

// Decides with the proposal already in the history, as the tick does.
Decision DecideOn(const ScalingRules& rules, int wanted, int desired, History history = {}) {
  history.AddProposal(kNow, wanted);
  return Decide(rules, ScaleTo(wanted), {.desired = desired, .ready = desired}, kNow, history);
}

const StageRecord& StageOf(const Decision& decision, std::string_view name) {
  for (const StageRecord& stage : decision.stages) {
    if (stage.name == name) return stage;
  }
  ADD_FAILURE() << "no stage " << name;
  return decision.stages.front();
}

TEST(Decide, WithoutRulesTheProposalIsTheDecision) {
  EXPECT_EQ(DecideOn(Free(1, 10), 7, 3).desired, 7);
  EXPECT_EQ(DecideOn(Free(1, 10), 2, 3).desired, 2);
  EXPECT_EQ(DecideOn(Free(1, 10), 3, 3).desired, 3);
}

TEST(Decide, EveryStageIsRecordedInOrder) {
  const Decision decision = DecideOn(Free(1, 10), 7, 3);
  ASSERT_EQ(decision.stages.size(), 4u);
  EXPECT_EQ(decision.stages[0].name, "stabilization");
  EXPECT_EQ(decision.stages[1].name, "rate");
  EXPECT_EQ(decision.stages[2].name, "cooldown");
  EXPECT_EQ(decision.stages[3].name, "bounds");
  EXPECT_EQ(decision.before, 3);
}

TEST(Bounds, OutOfBoundsGoesStraightToTheBoundBeforeAnythingElse) {
  ScalingRules rules = Free(2, 10);
  rules.up.cooldown = minutes(10);
  rules.up.limits = {{RateLimit::Kind::kInstances, 1, minutes(1)}};
  History history;
  history.AddChange(kNow - seconds(1), +1);
  // 0 is below min 2: neither the cooldown nor one-a-minute keeps it there.
  const Decision decision = DecideOn(rules, 0, 0, history);
  EXPECT_EQ(decision.desired, 2);
  ASSERT_EQ(decision.stages.size(), 1u);
  EXPECT_EQ(decision.reason, "0 is below min 2: to the bound");
  EXPECT_EQ(DecideOn(rules, 14, 14, history).desired, 10);
}

TEST(Bounds, ClampTheProposal) {
  const Decision decision = DecideOn(Free(1, 5), 9, 3);
  EXPECT_EQ(decision.desired, 5);
  EXPECT_EQ(StageOf(decision, "bounds").reason, "9 is above max 5");
  EXPECT_EQ(decision.reason, "policy says so; bounds: 9 is above max 5");
}

TEST(Stabilization, DownGoesToTheGreatestProposalOfTheWindow) {
  ScalingRules rules = Free(1, 20);
  rules.down.stabilization = minutes(5);
  History history;
  history.AddProposal(kNow - minutes(6), 10);  // outside
  history.AddProposal(kNow - minutes(4), 6);   // inside
  history.AddProposal(kNow - minutes(1), 4);
  const Decision decision = DecideOn(rules, 3, 8, history);
  EXPECT_EQ(decision.desired, 6);
  EXPECT_EQ(StageOf(decision, "stabilization").before, 3);
  EXPECT_EQ(StageOf(decision, "stabilization").reason,
            "the greatest proposal of the last 300s is 6");
}

TEST(Stabilization, ARunCountsAsLongAsItsLastProposalIsInTheWindow) {
  ScalingRules rules = Free(1, 20);
  rules.down.stabilization = minutes(5);
  History history;
  history.AddProposal(kNow - minutes(10), 8);
  history.AddProposal(kNow - minutes(2), 8);
  EXPECT_EQ(DecideOn(rules, 3, 8, history).desired, 8);
}

TEST(Stabilization, AProposalExactlyAWindowOldIsOut) {
  ScalingRules rules = Free(1, 20);
  rules.down.stabilization = minutes(5);
  History history;
  history.AddProposal(kNow - minutes(5), 8);
  EXPECT_EQ(DecideOn(rules, 3, 8, history).desired, 3);
}

TEST(Stabilization, UpGoesToTheLeastProposalOfTheWindow) {
  ScalingRules rules = Free(1, 20);
  rules.up.stabilization = minutes(1);
  History history;
  history.AddProposal(kNow - seconds(30), 5);
  EXPECT_EQ(DecideOn(rules, 9, 4, history).desired, 5);
  // The least is below desired: a wish to go up never goes down.
  EXPECT_EQ(DecideOn(rules, 9, 7, history).desired, 7);
}

TEST(Stabilization, AHoldStaysWhereItIs) {
  ScalingRules rules = Free(1, 20);
  rules.up.stabilization = minutes(1);
  rules.down.stabilization = minutes(5);
  History history;
  history.AddProposal(kNow - seconds(30), 9);
  history.AddProposal(kNow - seconds(15), 2);
  EXPECT_EQ(DecideOn(rules, 5, 5, history).desired, 5);
}

TEST(Rate, InstancesPerPeriodCountsWhatWasAddedWithin) {
  ScalingRules rules = Free(1, 100);
  rules.up.limits = {{RateLimit::Kind::kInstances, 4, minutes(1)}};
  // start = 10, limit = 10 + 4.
  EXPECT_EQ(DecideOn(rules, 30, 10).desired, 14);
  History history;
  history.AddChange(kNow - seconds(30), +3);
  history.AddChange(kNow - seconds(70), +5);  // outside the minute
  // start = 10 - 3 = 7, limit = 7 + 4 = 11.
  EXPECT_EQ(DecideOn(rules, 30, 10, history).desired, 11);
}

TEST(Rate, RemovalsWithinThePeriodArePutBack) {
  ScalingRules rules = Free(1, 100);
  rules.down.limits = {{RateLimit::Kind::kInstances, 4, minutes(1)}};
  History history;
  history.AddChange(kNow - seconds(30), -3);
  // start = 10 + 3 = 13, limit = 13 - 4 = 9.
  const Decision decision = DecideOn(rules, 1, 10, history);
  EXPECT_EQ(decision.desired, 9);
  EXPECT_EQ(StageOf(decision, "rate").reason, "at most 4 instances per 60s");
}

TEST(Rate, PercentRoundsAwayFromTheStart) {
  ScalingRules rules = Free(0, 100);
  rules.up.limits = {{RateLimit::Kind::kPercent, 50, minutes(1)}};
  rules.down.limits = {{RateLimit::Kind::kPercent, 50, minutes(1)}};
  EXPECT_EQ(DecideOn(rules, 90, 5).desired, 8);  // ceil(5 x 1.5 = 7.5)
  EXPECT_EQ(DecideOn(rules, 0, 5).desired, 2);   // floor(5 x 0.5 = 2.5)
  rules.up.limits[0].value = 10;
  EXPECT_EQ(DecideOn(rules, 90, 10).desired, 11);  // 10 x 1.1 = 11, not 12 by a float's last bit
}

TEST(Rate, MaxTakesTheLargerChangeMinTheSmaller) {
  ScalingRules rules = Free(1, 100);
  rules.up.limits = {{RateLimit::Kind::kInstances, 4, minutes(1)},
                     {RateLimit::Kind::kPercent, 100, minutes(1)}};
  rules.down.limits = {{RateLimit::Kind::kInstances, 4, minutes(1)},
                       {RateLimit::Kind::kPercent, 10, minutes(1)}};
  EXPECT_EQ(DecideOn(rules, 90, 10).desired, 20);  // max(10+4, 20)
  EXPECT_EQ(DecideOn(rules, 1, 20).desired, 16);   // the larger cut: 20-4, not 18
  rules.up.select = RateSelect::kMin;
  rules.down.select = RateSelect::kMin;
  EXPECT_EQ(DecideOn(rules, 90, 10).desired, 14);
  EXPECT_EQ(DecideOn(rules, 1, 20).desired, 18);
}

TEST(Rate, DisabledForbidsTheDirection) {
  ScalingRules rules = Free(1, 100);
  rules.down.select = RateSelect::kDisabled;
  const Decision decision = DecideOn(rules, 1, 20);
  EXPECT_EQ(decision.desired, 20);
  EXPECT_EQ(decision.reason, "policy says so; rate: scaling in is disabled");
  EXPECT_EQ(DecideOn(rules, 30, 20).desired, 30);
}

TEST(Rate, ALimitAlreadyExceededStopsButNeverTurnsRound) {
  ScalingRules rules = Free(1, 100);
  rules.up.limits = {{RateLimit::Kind::kInstances, 1, minutes(1)}};
  History history;
  history.AddChange(kNow - seconds(10), +8);
  // start = 10 - 8 = 2, limit 3 < desired 10: stay at 10.
  EXPECT_EQ(DecideOn(rules, 30, 10, history).desired, 10);
}

TEST(Cooldown, UpWaitsForTheLastScaleOutOnly) {
  ScalingRules rules = Free(1, 100);
  rules.up.cooldown = seconds(30);
  History history;
  history.AddChange(kNow - seconds(5), -1);
  EXPECT_EQ(DecideOn(rules, 9, 5, history).desired, 9);
  history.AddChange(kNow - seconds(3), +1);
  const Decision decision = DecideOn(rules, 9, 5, history);
  EXPECT_EQ(decision.desired, 5);
  EXPECT_EQ(StageOf(decision, "cooldown").reason, "3s of 30s since the last scale-out");
}

TEST(Cooldown, DownWaitsForAnyChange) {
  ScalingRules rules = Free(1, 100);
  rules.down.cooldown = seconds(60);
  History history;
  history.AddChange(kNow - seconds(59), +1);
  EXPECT_EQ(DecideOn(rules, 2, 5, history).desired, 5);
  EXPECT_EQ(DecideOn(rules, 2, 5,
                     [] {
                       History h;
                       h.AddChange(kNow - seconds(60), +1);  // exactly over
                       return h;
                     }())
                .desired,
            2);
  history.AddChange(kNow - seconds(10), -1);
  EXPECT_EQ(DecideOn(rules, 2, 5, history).desired, 5);
}

TEST(Decide, StagesWorkOnEachOthersResult) {
  ScalingRules rules = Free(1, 12);
  rules.up.stabilization = minutes(1);
  rules.up.limits = {{RateLimit::Kind::kInstances, 2, minutes(1)}};
  History history;
  history.AddProposal(kNow - seconds(30), 20);
  // proposal 30 -> stabilization 20 (least of the window) -> rate 9+2 = 11 -> bounds 11.
  const Decision decision = DecideOn(rules, 30, 9, history);
  EXPECT_EQ(StageOf(decision, "stabilization").after, 20);
  EXPECT_EQ(StageOf(decision, "rate").before, 20);
  EXPECT_EQ(decision.desired, 11);
}

TEST(Step, ChangesAtMostItsShareAndAtLeastOneInstance) {
  struct Row {
    int percent, desired, wanted, expected;
  };
  for (const Row& row : {Row{50, 20, 1, 10},
                         {50, 20, 12, 12},
                         {50, 5, 1, 3},
                         {50, 2, 1, 1},
                         {50, 1, 0, 0},
                         {10, 5, 1, 4},
                         {0, 20, 1, 1},
                         {100, 20, 0, 0}}) {
    ScalingRules rules = Free(0, 100);
    rules.down.max_step_percent = row.percent;
    EXPECT_EQ(DecideOn(rules, row.wanted, row.desired).desired, row.expected)
        << row.percent << "% of " << row.desired << " to " << row.wanted;
  }
  for (const Row& row : {Row{50, 4, 100, 6},
                         {50, 1, 100, 2},
                         {50, 0, 100, 1},
                         {10, 11, 100, 13},
                         {300, 2, 100, 8},
                         {0, 2, 100, 100}}) {
    ScalingRules rules = Free(0, 100);
    rules.up.max_step_percent = row.percent;
    EXPECT_EQ(DecideOn(rules, row.wanted, row.desired).desired, row.expected)
        << row.percent << "% of " << row.desired << " to " << row.wanted;
  }
}

TEST(Step, ManyDecisionsDoNotAddUpWithinAMinute) {
  ScalingRules rules = Free(0, 200);
  rules.down.max_step_percent = 50;
  rules.up.max_step_percent = 100;
  History history;
  history.AddChange(kNow - seconds(90), +60);
  history.AddChange(kNow - seconds(30), +40);  // to 100
  EXPECT_EQ(DecideOn(rules, 1, 100, history).desired, 50);
  history.AddChange(kNow - seconds(15), -50);
  EXPECT_EQ(DecideOn(rules, 1, 50, history).desired, 50);
  EXPECT_EQ(DecideOn(rules, 80, 50, history).desired, 80);
  EXPECT_EQ(DecideOn(rules, 180, 50, history).desired, 100);  // twice the 50 of now
  history.AddChange(kNow, +50);
  EXPECT_EQ(DecideOn(rules, 180, 100, history).desired, 100);
}

TEST(Step, SaysWhy) {
  ScalingRules rules = Free(0, 10);
  rules.down.max_step_percent = 50;
  const Decision decision = DecideOn(rules, 1, 10);
  EXPECT_EQ(StageOf(decision, "step").reason, "at most 50% of 10 within a minute");
  EXPECT_EQ(decision.reason, "policy says so; step: at most 50% of 10 within a minute");
}

TEST(Step, HoldsForABoundThatIsLoweredAndNotForOneThatIsRaised) {
  ScalingRules rules = Free(0, 10);
  rules.up.max_step_percent = 50;
  rules.down.max_step_percent = 50;
  // 100 -> 50 -> 25 -> 12 -> 10, a minute each.
  const Decision first = DecideOn(rules, 1, 100);
  EXPECT_EQ(first.desired, 50);
  EXPECT_EQ(first.reason,
            "100 is above max 10: to the bound; step: at most 50% of 100 within a minute");
  History history;
  history.AddChange(kNow, -50);
  EXPECT_EQ(DecideOn(rules, 1, 50, history).desired, 50);
  EXPECT_EQ(DecideOn(rules, 1, 12).desired, 10);
  EXPECT_EQ(DecideOn(Free(0, 10), 1, 100).desired, 10);  // without one at once
  rules.bounds = {.min = 8, .max = 10};
  EXPECT_EQ(DecideOn(rules, 1, 2).desired, 8);
}

TEST(Budget, GrantsWhatIsLeftInEitherDirection) {
  const ScalingRules rules = Free(0, 100);
  const auto decide = [&](int wanted, int desired, Budget budget) {
    History history;
    history.AddProposal(kNow, wanted);
    return Decide(rules, ScaleTo(wanted), {.desired = desired, .ready = desired}, kNow, history,
                  {.budget = budget});
  };
  EXPECT_EQ(decide(50, 10, {.limit = 0, .left = 0, .granted = 0}).desired, 50);
  EXPECT_EQ(decide(50, 10, {.limit = 100, .left = 40, .granted = 40}).desired, 50);
  EXPECT_EQ(decide(50, 10, {.limit = 100, .left = 39, .granted = 39}).desired, 49);
  EXPECT_EQ(decide(2, 10, {.limit = 100, .left = 3, .granted = 3}).desired, 7);
  EXPECT_EQ(decide(2, 10, {.limit = 100, .left = -5, .granted = -5}).desired, 10);
  EXPECT_EQ(decide(10, 10, {.limit = 100, .left = 0, .granted = 0}).stages.size(), 4u);
  const Decision decision = decide(50, 10, {.limit = 100, .left = 3, .granted = 3});
  EXPECT_EQ(StageOf(decision, "budget").reason,
            "3 of 100 changes a minute are left over all services");
  EXPECT_EQ(StageOf(decide(50, 10, {.limit = 100, .left = 9, .granted = 2}), "budget").reason,
            "9 of 100 changes a minute are left over all services, 2 of them for this one");
  // A bound typed wrongly is no way round it.
  EXPECT_EQ(decide(50, 200, {.limit = 100, .left = 3, .granted = 3}).desired, 197);
}

TEST(Rate, ChangesThatAddUpToMoreThanThereEverWasCountAsAll) {
  ScalingRules rules = Free(1, 100);
  rules.up.limits = {{RateLimit::Kind::kPercent, 100, minutes(30)}};
  History history;
  for (int i = 0; i < 3000; ++i) history.AddChange(kNow - seconds(1), 1'000'000);
  // start = 10 - 3,000,000,000, so 0: twice as many is none more.
  EXPECT_EQ(DecideOn(rules, 30, 10, history).desired, 10);
}

TEST(Cooldown, AChangeInTheFarFutureIsTold) {
  ScalingRules rules = Free(1, 100);
  rules.up.cooldown = seconds(30);
  History history;
  history.AddChange(TimePoint(seconds(253'402'300'799)), +1);
  const Decision decision = DecideOn(rules, 9, 5, history);
  EXPECT_EQ(decision.desired, 5);
  EXPECT_EQ(StageOf(decision, "cooldown").reason, "-251702300799s of 30s since the last scale-out");
}

// --- Decisions that nobody carries out ---

TEST(From, ADecisionThatNobodyCarriesOutGoesOnFromTheLast) {
  ScalingRules rules;
  rules.bounds = {.min = 1, .max = 20};
  rules.down.stabilization = Millis(0);
  rules.down.max_step_percent = 50;
  const Capacity capacity{.desired = 10, .ready = 10};
  const Proposal four{.kind = ProposalKind::kScaleTo, .capacity = 4, .reason = "four"};
  const Proposal blind{
      .kind = ProposalKind::kHold, .cause = HoldCause::kMetric, .capacity = 10, .reason = "stale"};
  const Proposal content{
      .kind = ProposalKind::kHold, .cause = HoldCause::kPolicy, .capacity = 10, .reason = "fine"};
  const TimePoint start{std::chrono::seconds(1'700'000'000)};
  History history;
  std::optional<int> last;
  const auto decide = [&](const Proposal& proposal, int second) {
    const TimePoint now = start + std::chrono::seconds(second);
    const Conditions conditions{.from = FindFrom(last, proposal, 10, rules.bounds)};
    history.AddProposal(now, proposal.capacity);
    const Decision decision = Decide(rules, proposal, capacity, now, history, conditions);
    const int moved = decision.desired - conditions.from.value_or(10);
    if (moved != 0) history.AddChange(now, moved);
    EXPECT_EQ(decision.before, 10);
    last = decision.desired;
    return decision.desired;
  };
  EXPECT_EQ(decide(four, 0), 5);  // half of it
  EXPECT_EQ(decide(four, 1), 5);
  EXPECT_EQ(decide(blind, 2), 5);  // it knows nothing, and stays where it is
  EXPECT_EQ(decide(four, 61), 4);
  EXPECT_EQ(decide(four, 122), 4);
  EXPECT_EQ(decide(content, 123), 10);  // what there is is right
}

}  // namespace
}  // namespace autoscale
