// The HPA's `behavior` by the engine's stages, around the hpa policy. Numbers are facts of the
// Kubernetes documentation ("Horizontal Pod Autoscaling": "Configurable scaling behavior", with its
// example of 80 replicas that should be 10) and of the rules it states; the arithmetic stands
// beside.
#include <gtest/gtest.h>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

RateLimit Pods(int value, int period) {
  return {.kind = RateLimit::Kind::kInstances, .value = value, .period = seconds(period)};
}
RateLimit Percent(int value, int period) {
  return {.kind = RateLimit::Kind::kPercent, .value = value, .period = seconds(period)};
}

// A total whose share is 1: what it is, is what is wanted.
PolicyRig Wanting(double wanted, int current) {
  PolicyRig rig("policies/hpa.lua");
  rig.Metric("load", Unit::kCount)
      .Param("metrics", std::string("load"))
      .Param("load_target", 1.0)
      .Param("load_type", std::string("average"))
      .Has(current)
      .Value("load", wanted);
  return rig;
}
DirectionRules& Up(PolicyRig& rig) { return rig.service().rules.up; }
DirectionRules& Down(PolicyRig& rig) { return rig.service().rules.down; }

// Each tick `period` after the one before, acting on it.
void Expect(PolicyRig& rig, double period, const std::vector<int>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i > 0) rig.After(period);
    EXPECT_EQ(rig.Acts(), wanted[i]) << "step " << i << ": " << rig.last().decision.reason;
  }
}

// 80 -> 10 with 4 pods or 10 % a minute: 10 % of 80 is 8; 72 × 0.9 = 64.8 is cut to 64, 57, 51, 45,
// 40, where 4 pods are as many; then 4 at a time.
TEST(HpaBehavior, TheLargerOfTwoPolicies) {
  PolicyRig rig = Wanting(10, 80);
  Down(rig).limits = {Pods(4, 60), Percent(10, 60)};
  Expect(rig, 60, {72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10, 10});
}

TEST(HpaBehavior, TheSmallerOfTwoPolicies) {
  PolicyRig rig = Wanting(10, 80);
  Down(rig).limits = {Pods(4, 60), Percent(10, 60)};
  Down(rig).select = RateSelect::kMin;
  // 4 of 80 until 10 % are fewer: 36 × 0.9 = 32.4 is cut to 32; 28.8 to 28.
  Expect(rig, 60, {76, 72, 68, 64, 60, 56, 52, 48, 44, 40, 36, 32, 28, 25, 22});
}

TEST(HpaBehavior, DisabledIsAChangeOfNone) {
  PolicyRig rig = Wanting(10, 80);
  Down(rig).select = RateSelect::kDisabled;
  Expect(rig, 60, {80, 80});
  rig.Value("load", 100);
  Expect(rig, 60, {100});
  PolicyRig out = Wanting(100, 80);
  Up(out).select = RateSelect::kDisabled;
  Expect(out, 60, {80});
  out.Value("load", 10);
  Expect(out, 60, {10});
}

// The default of scaleUp: 100 % or 4 pods in 15 s, the larger of both.
TEST(HpaBehavior, TheDefaultOfScaleUp) {
  PolicyRig rig = Wanting(100, 1);
  Up(rig).limits = {Percent(100, 15), Pods(4, 15)};
  Expect(rig, 15, {5, 10, 20, 40, 80, 100});  // 1 + 4; 5 × 2; ...
}

TEST(HpaBehavior, WhatWasAddedWithinThePeriodCounts) {
  PolicyRig rig = Wanting(100, 10);
  Up(rig).limits = {Pods(6, 60)};
  Expect(rig, 20, {16, 16, 16, 22, 22, 22, 28});
}

TEST(HpaBehavior, PercentagesAreOfThePeriodsStart) {
  PolicyRig rig = Wanting(100, 10);
  Up(rig).limits = {Percent(50, 60)};
  Expect(rig, 30, {15, 15, 23, 23, 35});  // 10 × 1.5; 15 × 1.5 = 22.5; 23 × 1.5 = 34.5: rounded up
}

TEST(HpaBehavior, WhatWasRemovedWithinThePeriodCounts) {
  PolicyRig rig = Wanting(1, 20);
  Down(rig).limits = {Percent(50, 60)};
  Expect(rig, 30, {10, 10, 5, 5, 2, 2, 1});  // 20, 10, 5 and 2 halved, cut: 10, 5, 2.5, 1
}

// Start = current - added + removed within the period: 14 - 4 = 10, less 2; then 8 - 4 + 6 = 10.
TEST(HpaBehavior, BothDirectionsShareTheHistory) {
  PolicyRig rig = Wanting(14, 10);
  Up(rig).limits = {Pods(4, 60)};
  Down(rig).limits = {Pods(2, 60)};
  Expect(rig, 15, {14});
  rig.Value("load", 2).After(15);
  Expect(rig, 15, {8, 8});
}

TEST(HpaBehavior, StabilizationOnTheWayInTakesTheMostOfTheWindow) {
  PolicyRig rig = Wanting(10, 10);
  Down(rig).stabilization = seconds(300);
  Expect(rig, 0, {10});
  rig.Value("load", 4).After(60);
  Expect(rig, 60, {10, 10, 10, 10});  // 60 ... 240 s after the 10
  rig.Value("load", 6).After(30);
  Expect(rig, 0, {10});  // 270 s
  rig.Value("load", 4).After(30);
  Expect(rig, 0, {6});  // 300 s: the 6 of 30 s ago is the most
  rig.After(270);
  Expect(rig, 0, {4});
}

TEST(HpaBehavior, StabilizationOnTheWayOutTakesTheLeastOfTheWindow) {
  PolicyRig rig = Wanting(10, 10);
  Up(rig).stabilization = seconds(60);
  Expect(rig, 0, {10});
  rig.Value("load", 30).After(30);
  Expect(rig, 0, {10});
  rig.Value("load", 20).After(30);
  Expect(rig, 0, {20});  // the 10 is 60 s old; of 30 and 20 the least
  rig.Value("load", 30).After(15);
  Expect(rig, 45, {20, 30});
}

// Raw recommendations are what a window remembers: what a rate policy made of them is not.
TEST(HpaBehavior, WindowsRememberRawRecommendations) {
  PolicyRig rig = Wanting(100, 10);
  Up(rig).limits = {Pods(4, 60)};
  Down(rig).stabilization = seconds(300);
  Expect(rig, 0, {14});
  rig.Value("load", 12).After(60);
  Expect(rig, 0, {14});  // the most of the window is 100; nothing asks for more now
  rig.After(240);
  Expect(rig, 0, {12});
}

TEST(HpaBehavior, OutsideTheBoundsStraightToTheBound) {
  PolicyRig rig = Wanting(100, 30);
  rig.service().rules.bounds = {.min = 2, .max = 20};
  Up(rig).limits = {Pods(1, 60)};
  Down(rig).limits = {Pods(1, 60)};
  Down(rig).stabilization = seconds(300);
  Expect(rig, 15, {20, 20});
  PolicyRig below = Wanting(100, 0);
  below.service().rules = rig.service().rules;
  Expect(below, 60, {2, 3});  // to min at once, then by the rate
}

TEST(HpaBehavior, BoundsComeLast) {
  PolicyRig rig = Wanting(100, 10);
  rig.service().rules.bounds = {.min = 2, .max = 12};
  Up(rig).limits = {Pods(5, 60)};
  Expect(rig, 60, {12, 12});  // 15 by the rate, 12 by the bound
  rig.Value("load", 0);
  Expect(rig, 60, {2});
}

TEST(HpaBehavior, StabilizationComesBeforeTheRate) {
  PolicyRig rig = Wanting(10, 10);
  Down(rig).stabilization = seconds(120);
  Down(rig).limits = {Pods(1, 60)};
  Expect(rig, 0, {10});
  rig.Value("load", 2).After(60);
  Expect(rig, 60, {10, 9, 8, 7});  // held for the window, then one a minute
}

TEST(HpaBehavior, AFailedMetricIsARecommendationOfWhatThereIs) {
  PolicyRig rig = Wanting(2, 10);
  Down(rig).stabilization = seconds(120);
  rig.Is("load", SampleState::kError);
  Expect(rig, 0, {10});
  rig.Value("load", 2).After(60);
  Expect(rig, 60, {10, 2});
}

}  // namespace
}  // namespace autoscale
