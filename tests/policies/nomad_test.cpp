// Nomad Autoscaler's strategies from the library. Numbers are facts of its plugins' case tables
// (plugins/builtin/strategy/*/plugin/plugin_test.go, named by case) and documentation.
#include <gtest/gtest.h>

#include <optional>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

PolicyRig Nomad(const std::string& strategy) {
  PolicyRig rig("tests/policies/nomad.lua");
  rig.Metric("load", Unit::kCount).Param("strategy", strategy);
  return rig;
}

TEST(Nomad, TargetValue) {
  struct Case {
    const char* name;
    double target, value;
    int count, wanted;
    double threshold = 0.01;
  };
  const Case cases[] = {
      {"factor equals 1 with non-zero count", 13, 13, 2, 2},
      {"factor greater than 1: 26/13 × 2", 13, 26, 2, 4},
      {"scale from 0 with non-zero target: 20/10", 10, 20, 0, 2},
      {"9/10 × 1 = 0.9, rounded up", 10, 9, 1, 1},
      {"scale from 0 with 0 target: the factor is 1", 0, 1, 0, 1},
      {"scale to 0 with 0 target: the factor is 0", 0, 0, 5, 0},
      {"no change when the factor's is small: 1.000002", 5, 5.00001, 8, 8},
      {"but with a smaller threshold: 8.000016", 5, 5.00001, 8, 9, 0.000001},
      {"factor 1.0001", 1, 1.0001, 5, 5},
      {"factor 1.02 × 5 = 5.1", 1, 1.02, 5, 6},
      {"factor 0.99 is inside", 1, 0.99, 5, 5},
      {"factor 0.98 × 5 = 4.9 is 5 again", 1, 0.98, 5, 5},
      {"factor 0.5 × 4", 1, 0.5, 4, 2},
      {"factor 2 × 5", 1, 2, 5, 10},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    PolicyRig rig = Nomad("target-value");
    rig.Param("target", c.target).Param("threshold", c.threshold);
    EXPECT_EQ(rig.Has(c.count).Value("load", c.value).Wants(), c.wanted)
        << rig.last().proposal.reason;
  }
}

TEST(Nomad, Threshold) {
  struct Case {
    const char* name;
    int count;
    std::vector<double> samples;
    const char* action;
    double amount;
    int wanted;
    double trigger = 5;
  };
  const std::vector<double> inside(6, 10.0), outside{10, 0, 0, 0, 0, 0};
  const Case cases[] = {
      {"delta scale up", 1, inside, "delta", 1, 2},
      {"delta scale down", 1, inside, "delta", -1, 0},
      {"percentage scale up: 10 × 1.3", 10, inside, "percentage", 30, 13},
      {"percentage scale down: 10 × 0.7", 10, inside, "percentage", -30, 7},
      {"percentage scale none", 10, inside, "percentage", 0, 10},
      {"value scale up", 1, inside, "value", 10, 10},
      {"value scale down", 20, inside, "value", 10, 10},
      {"value scale none", 10, inside, "value", 10, 10},
      {"not enough metrics within bounds", 1, outside, "delta", 1, 1},
      {"custom trigger value", 1, outside, "delta", 1, 2, 1},
      {"the upper bound is outside", 1, std::vector<double>(6, 20.0), "delta", 1, 1},
      {"the lower bound is inside", 1, std::vector<double>(6, 5.0), "delta", 1, 2},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    PolicyRig rig = Nomad("threshold");
    rig.Param("lower_bound", 5.0)
        .Param("upper_bound", 20.0)
        .Param("within_bounds_trigger", c.trigger)
        .Param(c.action, c.amount)
        .Has(c.count);
    int wanted = 0;
    for (const double sample : c.samples) wanted = rig.Value("load", sample).Wants();
    EXPECT_EQ(wanted, c.wanted) << rig.last().proposal.reason;
  }
}

TEST(Nomad, PassThroughAndFixedValue) {
  EXPECT_EQ(Nomad("pass-through").Has(2).Value("load", 7).Wants(), 7);
  EXPECT_EQ(Nomad("pass-through").Has(7).Value("load", 0).Wants(), 0);
  EXPECT_EQ(Nomad("pass-through").Has(7).Value("load", 7).Wants(), 7);
  EXPECT_EQ(Nomad("fixed-value").Param("value", 4.0).Has(9).Wants(), 4);
}

TEST(Nomad, MaxScaleUpAndDown) {
  PolicyRig rig = Nomad("pass-through");
  rig.Param("max_scale_up", 3.0).Param("max_scale_down", 2.0).Has(10);
  EXPECT_EQ(rig.Value("load", 20).Wants(), 13);
  EXPECT_EQ(rig.Value("load", 12).Wants(), 12);
  EXPECT_EQ(rig.Value("load", 1).Wants(), 8);
}

TEST(Nomad, AQueryThatFailsHolds) {  // nomad-autoscaler#562: 26 -> 23 on an EOF
  PolicyRig rig = Nomad("target-value");
  rig.Param("target", 10.0).Has(26).Is("load", SampleState::kError);
  EXPECT_EQ(rig.Wants(), 26);
}

}  // namespace
}  // namespace autoscale
