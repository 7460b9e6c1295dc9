// The guards of a decision, each with its arithmetic.
#include <gtest/gtest.h>

#include "engine/decision/decide.h"

namespace autoscale {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kNow{seconds(1'700'000'000)};

ScalingRules Free(int min, int max) {
  ScalingRules rules;
  rules.bounds = {.min = min, .max = max};
  rules.down.stabilization = Millis(0);
  return rules;
}

Decision DecideOn(const ScalingRules& rules, int wanted, int desired, const Conditions& conditions,
                  History history = {}) {
  history.AddProposal(kNow, wanted);
  const Proposal proposal{.kind = ProposalKind::kScaleTo, .capacity = wanted, .reason = "load"};
  return Decide(rules, proposal, {.desired = desired, .ready = desired}, kNow, history, conditions);
}

// The reason of the stage; "-" where there is none.
std::string ReasonOf(const Decision& decision, std::string_view name) {
  for (const StageRecord& stage : decision.stages) {
    if (stage.name == name) return stage.reason;
  }
  return "-";
}

// --- Flap ---

History Reversed(int times, Millis apart) {
  History history;
  for (int i = 0; i <= times; ++i) history.AddChange(kNow - apart * (times - i), i % 2 ? -1 : 1);
  return history;
}

TEST(Flap, AfterSoManyReversalsNothingIsScaledIn) {
  ScalingRules rules = Free(1, 10);
  rules.reversals = {.most = 4, .period = hours(1)};
  EXPECT_EQ(DecideOn(rules, 3, 6, {}, Reversed(3, minutes(2))).desired, 3);
  const Decision held = DecideOn(rules, 3, 6, {}, Reversed(4, minutes(2)));
  EXPECT_EQ(held.desired, 6);
  // The first of the four was six minutes ago.
  EXPECT_EQ(ReasonOf(held, "flap"),
            "4 changes of direction within 3600s: no scale-in for another 3240s");
  EXPECT_EQ(held.reason, "load; flap: " + ReasonOf(held, "flap"));
  EXPECT_EQ(DecideOn(rules, 9, 6, {}, Reversed(8, minutes(2))).desired, 9);
}

TEST(Flap, ItCalmsWhenReversalsLeaveThePeriod) {
  ScalingRules rules = Free(1, 10);
  rules.reversals = {.most = 2, .period = minutes(10)};
  // 0, 5 and 10 minutes ago: the oldest has just left.
  EXPECT_EQ(DecideOn(rules, 3, 6, {}, Reversed(2, minutes(10))).desired, 3);
  EXPECT_EQ(DecideOn(rules, 3, 6, {}, Reversed(2, minutes(10) - Millis(1))).desired, 6);
}

TEST(Flap, IsOffUnlessAskedFor) {
  EXPECT_EQ(DecideOn(Free(1, 10), 3, 6, {}, Reversed(50, seconds(1))).desired, 3);
}

// --- Errors ---

TEST(Errors, ForbidAScaleInAndNothingElse) {
  const Conditions failing{.errors = "error_ratio is 0.08, above 0.05"};
  const Decision held = DecideOn(Free(1, 10), 3, 6, failing);
  EXPECT_EQ(held.desired, 6);
  EXPECT_EQ(ReasonOf(held, "errors"), "error_ratio is 0.08, above 0.05: no scale-in");
  EXPECT_EQ(DecideOn(Free(1, 10), 8, 6, failing).desired, 8);
  EXPECT_EQ(ReasonOf(DecideOn(Free(1, 10), 6, 6, failing), "errors"), "-");
  // A bound is not a wish of the policy.
  EXPECT_EQ(DecideOn(Free(1, 4), 3, 6, failing).desired, 4);
}

// --- Protection ---

TEST(Protection, KeepsAsManyAsAreProtected) {
  const Conditions two{.protected_instances = 2};
  EXPECT_EQ(DecideOn(Free(0, 10), 3, 6, two).desired, 3);
  const Decision kept = DecideOn(Free(0, 10), 0, 6, two);
  EXPECT_EQ(kept.desired, 2);
  EXPECT_EQ(ReasonOf(kept, "protection"), "2 instances are protected");
  EXPECT_EQ(ReasonOf(DecideOn(Free(0, 10), 0, 6, {.protected_instances = 1}), "protection"),
            "1 instance is protected");
  EXPECT_EQ(DecideOn(Free(0, 10), 1, 6, {.protected_instances = 9}).desired, 6);
  // The bound would do it anyway: nothing to say.
  EXPECT_EQ(ReasonOf(DecideOn(Free(2, 10), 0, 6, two), "protection"), "-");
}

TEST(Protection, StandsAgainstABound) {
  const Decision decision = DecideOn(Free(1, 4), 3, 8, {.protected_instances = 6});
  EXPECT_EQ(decision.desired, 6);
  EXPECT_EQ(decision.reason,
            "8 is above max 4: to the bound; protection: 6 instances are protected");
}

// --- Projection ---

TEST(Projection, TakesTheSmallestCapacityThatLasts) {
  const Conditions conditions{
      .projections = {{3, 5, "cpu would be 0.81"}, {4, 4, "cpu would be 0.61"}, {5, 5, ""}}};
  const Decision decision = DecideOn(Free(1, 10), 3, 6, conditions);
  EXPECT_EQ(decision.desired, 4);
  EXPECT_EQ(ReasonOf(decision, "projection"),
            "at 3 instances cpu would be 0.81 and the policy would ask for 5: cut to 4 instead");
}

TEST(Projection, HoldsWhereNoneLasts) {
  const Conditions conditions{.projections = {{1, 3, "cpu would be 1.2"}}};
  const Decision decision = DecideOn(Free(1, 10), 1, 2, conditions);
  EXPECT_EQ(decision.desired, 2);
  EXPECT_EQ(ReasonOf(decision, "projection"),
            "at 1 instance cpu would be 1.2 and the policy would ask for 3: held");
}

TEST(Projection, SaysNothingWhereTheFirstLastsOrItIsAboutSomethingElse) {
  const Conditions lasts{.projections = {{3, 3, ""}, {4, 9, ""}}};
  EXPECT_EQ(DecideOn(Free(1, 10), 3, 6, lasts).desired, 3);
  EXPECT_EQ(ReasonOf(DecideOn(Free(1, 10), 3, 6, lasts), "projection"), "-");
  const Conditions stale{.projections = {{3, 9, ""}}};
  EXPECT_EQ(DecideOn(Free(1, 10), 2, 6, stale).desired, 2);
  EXPECT_EQ(DecideOn(Free(1, 10), 8, 6, stale).desired, 8);
}

TEST(Projection, CountsFromWhereTheBoundsLead) {
  const Conditions conditions{.projections = {{2, 4, ""}, {3, 3, ""}}};
  EXPECT_EQ(DecideOn(Free(2, 10), 0, 4, conditions).desired, 3);
}

// --- Cost ---

TEST(Cost, BoundsWhatIsAdded) {
  const Conditions conditions{.cost = {.limit = 20, .left = 3.5, .price = 1.5, .granted = 2}};
  const Decision decision = DecideOn(Free(1, 50), 9, 4, conditions);
  EXPECT_EQ(decision.desired, 6);
  EXPECT_EQ(ReasonOf(decision, "cost"),
            "3.5 of 20 an hour are left over all services, and an instance costs 1.5");
  EXPECT_EQ(DecideOn(Free(1, 50), 6, 4, conditions).desired, 6);
  EXPECT_EQ(ReasonOf(DecideOn(Free(1, 50), 6, 4, conditions), "cost"), "-");
  // Beyond max it would not go anyway.
  EXPECT_EQ(ReasonOf(DecideOn(Free(1, 6), 40, 4, conditions), "cost"), "-");
  EXPECT_EQ(DecideOn(Free(1, 50), 1, 4, conditions).desired, 1);
}

TEST(Cost, DoesNotTouchWhatIsBelowMinNorWhatIsFree) {
  const Conditions none{.cost = {.limit = 20, .left = -3, .price = 1.5, .granted = 0}};
  EXPECT_EQ(DecideOn(Free(3, 50), 3, 1, none).desired, 3);
  EXPECT_EQ(DecideOn(Free(1, 50), 9, 4, {.cost = {.limit = 20}}).desired, 9);
  EXPECT_EQ(DecideOn(Free(1, 50), 9, 4, none).desired, 4);
}

TEST(Guards, StandInOrder) {
  ScalingRules rules = Free(1, 100);
  rules.up.max_step_percent = 100;
  const Conditions conditions{.budget = {.limit = 100, .left = 60, .granted = 4},
                              .cost = {.limit = 100, .left = 6, .price = 1, .granted = 6}};
  const Decision decision = DecideOn(rules, 50, 10, conditions);
  ASSERT_EQ(decision.stages.size(), 7u);
  EXPECT_EQ(decision.stages[3].after, 20);  // step
  EXPECT_EQ(decision.stages[4].after, 16);  // cost
  EXPECT_EQ(decision.stages[5].after, 14);  // budget
  EXPECT_EQ(decision.desired, 14);
}

}  // namespace
}  // namespace autoscale
