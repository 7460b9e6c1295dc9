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
  EXPECT_EQ(decision.reason, "0 is below min 2: straight to the bound");
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

}  // namespace
}  // namespace autoscale
