#include "engine/decision/project.h"

#include <gtest/gtest.h>

#include <cmath>

namespace autoscale {
namespace {

constexpr TimePoint kNow{std::chrono::seconds(1'700'000'000)};
const std::vector<DeclaredMetric> kDeclared = {{"cpu", Unit::kRatio, true},
                                               {"queue", Unit::kCount, false}};

Sample Fresh(double value) { return {.value = value, .state = SampleState::kFresh}; }

ScalingRules Rules() {
  ScalingRules rules;
  rules.bounds = {.min = 1, .max = 20};
  rules.down.stabilization = Millis(0);
  return rules;
}

Snapshot Seen(const std::vector<Sample>& samples, Capacity capacity) {
  return {.service = "web",
          .now = kNow,
          .capacity = capacity,
          .bounds = {1, 20},
          .metrics = kDeclared,
          .samples = samples};
}

Proposal To(int capacity) {
  return {.kind = ProposalKind::kScaleTo, .capacity = capacity, .reason = "load"};
}

// Above 0.8 one more, below 0.5 half of them.
Proposal Careless(const Snapshot& seen) {
  const double cpu = seen.samples[0].value;
  const int n = seen.capacity.desired;
  if (cpu > 0.8) return To(n + 1);
  return To(cpu < 0.5 ? (n + 1) / 2 : n);
}

struct Outcome {
  Decision decision;
  Conditions conditions;
  int asked = 0;
};

Outcome Tried(double cpu, Capacity capacity, ScalingRules rules = Rules()) {
  const std::vector<Sample> samples = {Fresh(cpu), Fresh(7)};
  const Snapshot seen = Seen(samples, capacity);
  const Proposal proposal = Careless(seen);
  History history;
  history.AddProposal(kNow, proposal.capacity);
  Outcome out;
  out.decision = DecideWithProjections(rules, proposal, seen, history, out.conditions,
                                       [&](const Snapshot& then) {
                                         ++out.asked;
                                         EXPECT_EQ(then.capacity.desired, then.capacity.ready);
                                         EXPECT_EQ(then.samples[1].value, 7);
                                         return Careless(then);
                                       });
  return out;
}

TEST(Project, AScaleInThatWouldBeTakenBackIsCutLess) {
  // 10 x 0.45 is 4.5: at 5 it would be 0.9, at 6 0.75.
  const Outcome out = Tried(0.45, {10, 10});
  EXPECT_EQ(out.decision.desired, 6);
  EXPECT_EQ(out.decision.stages[3].reason,
            "at 5 instances cpu would be 0.9 and the policy would ask for 6: cut to 6 instead");
  ASSERT_EQ(out.conditions.projections.size(), 4u);
  EXPECT_EQ(out.conditions.projections[0].capacity, 5);
  EXPECT_EQ(out.conditions.projections[0].proposed, 6);
  EXPECT_EQ(out.conditions.projections[3].capacity, 8);
}

TEST(Project, OneThatLastsStays) {
  const Outcome out = Tried(0.3, {10, 10});  // at 5: 0.6
  EXPECT_EQ(out.decision.desired, 5);
  EXPECT_EQ(out.decision.stages.size(), 4u);
}

TEST(Project, HeldWhereEvenOneFewerWouldBeTakenBack) {
  const Outcome out = Tried(0.45, {2, 2});  // at 1: 0.9
  EXPECT_EQ(out.decision.desired, 2);
  EXPECT_EQ(out.asked, 1);
  EXPECT_NE(out.decision.reason.find("the policy would ask for 2: held"), std::string::npos);
}

TEST(Project, TheLoadOfThoseThatAreReadyCounts) {
  const Outcome out = Tried(0.45, {10, 5});  // at 5 as now
  EXPECT_EQ(out.decision.desired, 5);
  EXPECT_EQ(out.conditions.projections[0].samples, "cpu would be 0.45");
}

TEST(Project, NobodyIsAskedWithoutNeed) {
  EXPECT_EQ(Tried(0.9, {4, 4}).asked, 0);    // out
  EXPECT_EQ(Tried(0.6, {4, 4}).asked, 0);    // neither
  EXPECT_EQ(Tried(0.3, {4, 0}).asked, 0);    // nobody is there to feel it
  EXPECT_EQ(Tried(0.3, {30, 30}).asked, 0);  // to the bound
  ScalingRules off = Rules();
  off.projection = false;
  EXPECT_EQ(Tried(0.45, {10, 10}, off).asked, 0);
  EXPECT_EQ(Tried(0.45, {10, 10}, off).decision.desired, 5);
}

TEST(Project, AHoldAtTheNewCapacityIsNoObjection) {
  const std::vector<Sample> samples = {Fresh(0.4), Fresh(7)};
  const Snapshot seen = Seen(samples, {4, 4});
  const Prospect prospect{.capacity = 2, .samples = samples};
  Proposal hold{.kind = ProposalKind::kHold, .cause = HoldCause::kPolicy, .capacity = 4};
  EXPECT_EQ(Conclude(prospect, seen, hold).proposed, 2);
  EXPECT_TRUE(Conclude(prospect, seen, hold).asked);
  EXPECT_EQ(Conclude(prospect, seen, To(3)).proposed, 3);
}

TEST(Project, AFaultAtTheNewCapacityIsNoConsent) {
  const std::vector<Sample> samples = {Fresh(0.4), Fresh(7)};
  const Snapshot seen = Seen(samples, {4, 4});
  const Prospect prospect{.capacity = 2, .samples = samples};
  Proposal hold{.kind = ProposalKind::kHold, .cause = HoldCause::kFault, .capacity = 4};
  EXPECT_FALSE(Conclude(prospect, seen, hold).asked);
  hold.cause = HoldCause::kMetric;
  EXPECT_FALSE(Conclude(prospect, seen, hold).asked);
}

TEST(Project, APolicyThatCannotBeAskedHasNotAgreed) {
  const std::vector<Sample> samples = {Fresh(0.1), Fresh(7)};
  const Snapshot seen = Seen(samples, {6, 6});
  History history;
  history.AddProposal(kNow, 3);
  Conditions conditions;
  const auto decide = [&](const AskPolicy& ask) {
    return DecideWithProjections(Rules(), To(3), seen, history, conditions, ask);
  };
  const Decision held = decide([](const Snapshot&) { return std::nullopt; });
  EXPECT_EQ(held.desired, 6);
  EXPECT_NE(held.reason.find("at 3 instances cpu would be 0.2 and the policy could not be asked: "
                             "held"),
            std::string::npos)
      << held.reason;
  // Where it has agreed to fewer being taken away, these are.
  const Decision less = decide([](const Snapshot& then) -> std::optional<Proposal> {
    if (then.capacity.desired == 3) return std::nullopt;
    return To(then.capacity.desired);
  });
  EXPECT_EQ(less.desired, 4);
}

TEST(Project, ABudgetDoesNotKeepItFromBeingAsked) {
  const std::vector<Sample> samples = {Fresh(0.45), Fresh(7)};
  const Snapshot seen = Seen(samples, {10, 10});
  History history;
  Conditions conditions{.budget = {.limit = 10, .left = 1, .granted = 1}};
  const Decision decision =
      DecideWithProjections(Rules(), Careless(seen), seen, history, conditions, Careless);
  EXPECT_EQ(decision.desired, 9);
  ASSERT_EQ(conditions.projections.size(), 4u);
  EXPECT_EQ(conditions.projections[0].capacity, 5);
  EXPECT_NE(decision.reason.find("projection: at 5 instances"), std::string::npos)
      << decision.reason;
  EXPECT_EQ(conditions.budget.granted, 1);
}

TEST(Project, MetricsThatDoNotSpreadOrAreNotUsableStayAsTheyAre) {
  std::vector<Sample> samples = {{.value = 9, .state = SampleState::kStale}, Fresh(7)};
  Decision decision{.before = 10, .desired = 5};
  EXPECT_TRUE(FindProspects(Rules(), Seen(samples, {10, 10}), decision).empty());
  samples[0] = Fresh(0.2);
  const auto prospects = FindProspects(Rules(), Seen(samples, {10, 10}), decision);
  ASSERT_EQ(prospects.size(), 4u);
  EXPECT_DOUBLE_EQ(prospects[0].samples[0].value, 0.4);
  EXPECT_DOUBLE_EQ(prospects[0].samples[1].value, 7);
  decision.desired = 0;
  EXPECT_TRUE(FindProspects(Rules(), Seen(samples, {10, 10}), decision).empty());
}

TEST(Project, FewerInstancesCarryTheLoadOfAll) {
  std::vector<Sample> samples = {Fresh(0.3), Fresh(7)};
  samples[0].instances = {
      {"a", 0.2, true}, {"b", 0.4, true}, {"c", 9, false}, {"d", 0.3, true}, {"e", 0.3, true}};
  const auto prospects =
      FindProspects(Rules(), Seen(samples, {5, 4}), Decision{.before = 5, .desired = 2});
  ASSERT_EQ(prospects.size(), 3u);
  const Sample& two = prospects[0].samples[0];
  EXPECT_DOUBLE_EQ(two.value, 0.6);
  ASSERT_EQ(two.instances.size(), 2u);
  EXPECT_DOUBLE_EQ(two.instances[0].value, 0.4);  // as unequal as before
  EXPECT_DOUBLE_EQ(two.instances[1].value, 0.8);
  double sum = 0;
  for (const InstanceSample& instance : prospects[1].samples[0].instances) sum += instance.value;
  EXPECT_NEAR(sum, 1.2, 1e-12);
}

TEST(Errors, AreFoundInTheMetricOfTheGuard) {
  ScalingRules rules = Rules();
  EXPECT_EQ(FindErrors(rules, Seen({}, {1, 1})), "");
  rules.error_guard = {.metric = "queue", .above = 5};
  std::vector<Sample> samples = {Fresh(0.1), Fresh(5)};
  EXPECT_EQ(FindErrors(rules, Seen(samples, {1, 1})), "");
  samples[1].value = 5.5;
  EXPECT_EQ(FindErrors(rules, Seen(samples, {1, 1})), "queue is 5.5, above 5");
  samples[1].state = SampleState::kStale;
  EXPECT_EQ(FindErrors(rules, Seen(samples, {1, 1})), "queue cannot be told (stale)");
}

}  // namespace
}  // namespace autoscale
