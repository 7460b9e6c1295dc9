// AWS's target tracking, step scaling and instance warm-up from the library. Numbers are facts of
// the EC2 Auto Scaling user guide ("Step and simple scaling policies": its example of a group of
// ten, the bounds, the rounding, how warm-up counts; "Target tracking scaling policies").
#include <gtest/gtest.h>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

PolicyRig Steps() {
  PolicyRig rig("tests/policies/aws_step.lua");
  rig.Metric("load", Unit::kPercent);
  return rig;
}

TEST(AwsStep, TheGuidesExample) {
  PolicyRig rig = Steps();
  // 60: +10 % of 10 = 1; 70: +30 % of 11 = 3.3; 40: -10 % of 14 = 1.4; 30: -30 % of 13 = 3.9.
  EXPECT_EQ(rig.Has(10).Value("load", 60).Wants(), 11);
  EXPECT_EQ(rig.Has(11).Value("load", 70).Wants(), 14);
  EXPECT_EQ(rig.Has(14).Value("load", 40).Wants(), 13);
  EXPECT_EQ(rig.Has(13).Value("load", 30).Wants(), 10);
}

TEST(AwsStep, Bounds) {
  struct Case {
    double value;
    int wanted;
  };
  // Of 100. Above the threshold the lower bound is inclusive, below it the upper one.
  const Case cases[] = {{50, 100},    {59.99, 100}, {60, 110}, {69.99, 110}, {70, 130}, {100, 130},
                        {49.99, 100}, {40.01, 100}, {40, 90},  {30.01, 90},  {30, 70},  {0, 70}};
  for (const Case& c : cases) {
    EXPECT_EQ(Steps().Has(100).Value("load", c.value).Wants(), c.wanted) << c.value;
  }
}

TEST(AwsStep, PercentagesAreRoundedTowardsZeroButNotToIt) {
  const auto change = [](int desired, double by) {
    PolicyRig rig = PolicyRig::Of(
        "local steps = require 'autoscale.steps' return steps.scale("
        "metric 'load', 50, {{from = 0, by = param 'by'}}, "
        "{kind = 'percent'})");
    rig.Metric("load", Unit::kPercent).Param("by", by).Has(desired).Value("load", 60);
    return rig.Wants() - desired;
  };
  EXPECT_EQ(change(100, 12.7), 12);  // 12.7 -> 12
  EXPECT_EQ(change(1, 67), 1);       // 0.67 -> 1
  EXPECT_EQ(change(10, -5.8), -1);   // -0.58 -> -1
  EXPECT_EQ(change(10, -66.7), -6);  // -6.67 -> -6
}

TEST(AwsStep, AtLeastSoMany) {  // MinAdjustmentMagnitude
  EXPECT_EQ(Steps().Param("at_least", 2.0).Has(10).Value("load", 60).Wants(), 12);
  EXPECT_EQ(Steps().Param("at_least", 2.0).Has(10).Value("load", 40).Wants(), 8);
}

TEST(AwsStep, ChangeAndExactCapacity) {
  EXPECT_EQ(Steps().Param("kind", std::string("change")).Has(3).Value("load", 60).Wants(), 13);
  EXPECT_EQ(Steps().Param("kind", std::string("change")).Has(12).Value("load", 40).Wants(), 2);
  EXPECT_EQ(Steps().Param("kind", std::string("change")).Has(3).Value("load", 40).Wants(), 0);
  EXPECT_EQ(Steps().Param("kind", std::string("exact")).Has(3).Value("load", 75).Wants(), 30);
}

// "If the alarm goes into breach again while instances warm up, only what the step wants beyond
// them is added"; "while they warm up nothing is removed".
TEST(AwsStep, WhatIsStartingCounts) {
  PolicyRig rig = Steps();
  EXPECT_EQ(rig.Has(11, 10).Value("load", 60).Wants(), 11);  // the same step again
  EXPECT_EQ(rig.Has(11, 10).Value("load", 70).Wants(), 13);  // 30 % of 10: 2 more than the 1
  EXPECT_EQ(rig.Has(11, 10).Value("load", 30).Wants(), 11);
}

PolicyRig Tracking() {
  PolicyRig rig("tests/policies/aws_target.lua");
  rig.Metric("load", Unit::kPercent).Param("target", 50.0).Has(10);
  return rig;
}

TEST(AwsTarget, OutAfterThreeMinutesAbove) {
  PolicyRig rig = Tracking();
  EXPECT_EQ(rig.Value("load", 75).Wants(), 10);
  EXPECT_EQ(rig.After(60).Wants(), 10);
  EXPECT_EQ(rig.After(60).Wants(), 15);  // 75/50 × 10
}

TEST(AwsTarget, HowManyAreNeeded) {
  struct Case {
    double target;
    double value;
    int wanted;
  };
  // Of 10, three minutes above: value/target x 10, rounded up.
  const Case out[] = {{50, 50.1, 11}, {50, 52, 11}, {50, 55, 11},  {50, 56, 12}, {50, 99, 20},
                      {50, 100, 20},  {60, 61, 11}, {60, 90, 15},  {40, 90, 23}, {75, 80, 11},
                      {75, 100, 14},  {1, 3, 30},   {100, 130, 13}};
  for (const Case& c : out) {
    PolicyRig rig = Tracking();
    rig.Param("target", c.target).Value("load", c.value);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(rig.After(60).Wants(), 10);
    EXPECT_EQ(rig.After(60).Wants(), c.wanted) << c.value << " of " << c.target;
  }
  // Fifteen minutes below nine tenths; rounded up too, so that the target holds afterwards.
  const Case in[] = {{50, 44.9, 9}, {50, 40, 8}, {50, 36, 8}, {50, 25, 5},
                     {50, 1, 1},    {60, 53, 9}, {75, 30, 4}, {100, 10, 1}};
  for (const Case& c : in) {
    PolicyRig rig = Tracking();
    rig.Param("target", c.target).Value("load", c.value);
    for (int i = 0; i < 14; ++i) EXPECT_EQ(rig.After(60).Wants(), 10);
    EXPECT_EQ(rig.After(60).Wants(), c.wanted) << c.value << " of " << c.target;
  }
}

TEST(AwsTarget, OneMinuteBelowBeginsAnew) {
  PolicyRig rig = Tracking();
  rig.Value("load", 75).Wants();
  rig.After(60).Wants();
  EXPECT_EQ(rig.After(60).Value("load", 50).Wants(), 10);
  EXPECT_EQ(rig.After(60).Value("load", 75).Wants(), 10);
}

TEST(AwsTarget, InAfterFifteenMinutesBelow) {
  PolicyRig rig = Tracking();
  rig.Value("load", 20);
  for (int i = 0; i < 14; ++i) EXPECT_EQ(rig.After(60).Wants(), 10) << i;
  EXPECT_EQ(rig.After(60).Wants(), 4);  // 20/50 × 10
}

TEST(AwsTarget, BetweenNineTenthsAndTheTargetNothingHappens) {
  PolicyRig rig = Tracking();
  rig.Value("load", 46);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(rig.After(60).Wants(), 10);
}

TEST(AwsTarget, WarmUpCountsInDesiredAndNotInTheMetric) {
  PolicyRig rig = Tracking();
  rig.Value("load", 75);
  for (int i = 0; i < 3; ++i) rig.After(60).Wants();
  // 5 have come and warm up: the metric speaks for 10, which need 80/50 × 10 = 16.
  EXPECT_EQ(rig.After(60).Has(15).Value("load", 80).Wants(), 16);
  // After 300 s they count: 60/50 × 15 = 18.
  EXPECT_EQ(rig.After(300).Value("load", 60).Wants(), 18);
}

TEST(AwsTarget, NothingIsRemovedDuringWarmUp) {
  PolicyRig rig = Tracking();
  rig.Value("load", 20);
  for (int i = 0; i < 14; ++i) rig.After(60).Wants();
  EXPECT_EQ(rig.Has(12).After(60).Wants(), 12);
  EXPECT_EQ(rig.last().proposal.reason,
            "2 of 12 are warming up: no scale-in (load 20 is below its target 50: 10 ready × 0.4 "
            "needs 4)");
  EXPECT_EQ(rig.After(300).Wants(), 5);  // 20/50 × 12 = 4.8
}

}  // namespace
}  // namespace autoscale
