// Knative's Pod Autoscaler by the module panic. Numbers are facts of knative/serving's
// pkg/autoscaler/scaling/autoscaler_test.go, named by case, and of its documentation (stable window
// 60 s, panic threshold 200 %, scale-up rate 1000, scale-down rate 2).
#include <gtest/gtest.h>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

PolicyRig Kpa(double target) {
  PolicyRig rig("tests/policies/kpa.lua");
  rig.Metric("stable", Unit::kCount).Metric("burst", Unit::kCount).Param("target", target);
  return rig;
}

struct Case {
  const char* name;
  double target;
  int ready;
  double stable, burst;
  int wanted;
  double up = 10, down = 10, threshold = 2;
};

TEST(Kpa, OneDecision) {
  const Case cases[] = {
      {"NoDataAtZero: 0/10", 10, 1, 0, 0, 0},
      {"StableModeUnlimitedTBC: 21/181", 181, 1, 21, 26, 1},
      {"0TBC: 50/10", 10, 1, 50, 49, 5},
      {"StableModeNoChange", 10, 1, 50, 50, 5},
      {"StableModeNoChangeAlreadyScaled", 10, 5, 50, 50, 5},
      {"SmallScaleUpRate: 3, where 1.1 × 2 would be 2.2: ceil", 1, 2, 3, 3.1, 3, 1.1},
      {"SmallScaleDownRate: floor(100/1.1) = 90", 10, 100, 1, 1, 90, 10, 1.1},
      {"IncreaseWithConcurrencyDefault: 50/10", 10, 1, 50, 10, 5},
      {"IncreaseWithConcurrencyDefault: 100/10", 10, 1, 100, 10, 10},
      {"IncreaseWithRPS: 100/10 and 99/10", 10, 1, 100, 99, 10},
      {"StableModeDecrease: 50/10", 10, 8, 50, 50, 5},
      {"StableModeNoTrafficScaleToZero", 10, 1, 0, 0, 0},
      {"halved at most: 0/10 of 8", 10, 8, 0, 0, 4, 1000, 2},
      {"floor(9/2)", 10, 9, 0, 0, 4, 1000, 2},
      {"a burst below twice what is ready is not panic: 19/1 of 10", 1, 10, 11, 19, 11, 1000},
      {"at twice it is: 20/1 of 10", 1, 10, 11, 20, 20, 1000},
      {"times 1000 at most", 1, 1, 5000, 5000, 1000, 1000},
      {"an own threshold: 30/1 of 10 at 400 %", 1, 10, 11, 30, 11, 1000, 2, 4},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    PolicyRig rig = Kpa(c.target);
    rig.Param("max_scale_up_rate", c.up)
        .Param("max_scale_down_rate", c.down)
        .Param("panic_threshold", c.threshold);
    EXPECT_EQ(rig.Has(c.ready).Value("stable", c.stable).Value("burst", c.burst).Wants(), c.wanted)
        << rig.last().proposal.reason;
  }
}

TEST(Kpa, UnpanicAfterSlowIncrease) {
  PolicyRig rig = Kpa(1);
  EXPECT_EQ(rig.Has(10).Value("stable", 11).Value("burst", 25).Wants(), 25);
  EXPECT_EQ(rig.After(30).Has(40).Value("stable", 30).Value("burst", 41).Wants(), 41);
  EXPECT_EQ(rig.After(32).Has(55).Value("stable", 50).Value("burst", 56).Wants(), 50);
}

TEST(Kpa, ExtendPanicWindow) {
  PolicyRig rig = Kpa(1);
  EXPECT_EQ(rig.Has(10).Value("stable", 11).Value("burst", 25).Wants(), 25);
  EXPECT_EQ(rig.After(30).Has(40).Value("stable", 30).Value("burst", 80).Wants(), 80);
  // 60 s after the last time over the threshold it still is panic, just after it is not.
  EXPECT_EQ(rig.After(60).Has(80).Value("stable", 50).Value("burst", 20).Wants(), 80);
  EXPECT_EQ(rig.After(1).Wants(), 50);
}

TEST(Kpa, NeverDownInPanic) {
  PolicyRig rig = Kpa(1);
  EXPECT_EQ(rig.Has(10).Value("stable", 10).Value("burst", 40).Wants(), 40);
  EXPECT_EQ(rig.After(15).Has(40).Value("stable", 20).Value("burst", 5).Wants(), 40);
  EXPECT_EQ(rig.After(15).Value("stable", 0).Value("burst", 0).Wants(), 40);
}

// Knative would go to 8 here, though 20 are on their way.
TEST(Kpa, RemovesNoneThatIsStillStarting) {
  PolicyRig rig = Kpa(1);
  EXPECT_EQ(rig.Has(20, 4).Value("stable", 6).Value("burst", 8).Wants(), 20);
  EXPECT_EQ(rig.After(15).Has(20, 20).Wants(), 20);
}

TEST(Kpa, PanicModeExponentialTrackAndStabilize) {
  PolicyRig rig = Kpa(1);
  EXPECT_EQ(rig.Has(1).Value("stable", 6).Value("burst", 6).Wants(), 6);
  EXPECT_EQ(rig.Has(6).Value("stable", 36).Value("burst", 36).Wants(), 36);
  EXPECT_EQ(rig.After(1).Has(36).Value("stable", 216).Value("burst", 216).Wants(), 216);
  EXPECT_EQ(rig.Has(216).Value("stable", 1296).Value("burst", 1296).Wants(), 1296);
}

TEST(Kpa, StableMayBeLargerInPanic) {
  PolicyRig rig = Kpa(1);
  EXPECT_EQ(rig.Has(5).Value("stable", 5).Value("burst", 10).Wants(), 10);
  // PanicStableLargerThanPanic: 50; PanicStableLessThanPanic: 30.
  PolicyRig other = rig;
  EXPECT_EQ(rig.After(5).Value("stable", 50).Value("burst", 30).Wants(), 50);
  EXPECT_EQ(other.After(5).Value("stable", 20).Value("burst", 30).Wants(), 30);
}

}  // namespace
}  // namespace autoscale
