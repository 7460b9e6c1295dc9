// The hpa policy against the Kubernetes HPA (autoscaling/v2). Numbers are facts of its
// documentation
// ("Horizontal Pod Autoscaling", "Algorithm details") and of the case tables of its controller
// (pkg/controller/podautoscaler/replica_calculator_test.go, named by case); the arithmetic stands
// beside each.
#include <gtest/gtest.h>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

struct Case {
  const char* name;
  int desired, ready;
  std::vector<double> values;  // one: all instances together; more or `each`: by instance
  bool each;
  double target;
  int wanted;
  double up = 0.1, down = 0.1;
  int ready_values = 1000;  // so many of the values are of ready instances
};

void Check(const Case& c, const std::string& type, Unit unit) {
  SCOPED_TRACE(c.name);
  PolicyRig rig("policies/hpa.lua");
  rig.Metric("load", unit)
      .Param("metrics", std::string("load"))
      .Param("load_target", c.target)
      .Param("load_type", type)
      .Param("tolerance_up", c.up)
      .Param("tolerance_down", c.down)
      .Has(c.desired, c.ready);
  if (c.each) {
    rig.Each("load", c.values, c.ready_values);
  } else {
    rig.Value("load", c.values[0]);
  }
  EXPECT_EQ(rig.Wants(), c.wanted) << rig.last().proposal.reason;
  EXPECT_NE(rig.last().proposal.cause, HoldCause::kFault) << rig.last().proposal.reason;
}

TEST(Hpa, Utilization) {
  const Case cases[] = {
      {"ScaleUp: mean 50 % of 30: 1.667 × 3 = 5", 3, 3, {0.3, 0.5, 0.7}, true, 0.3, 5},
      {"ScaleUpUnreadyLessScale: 60/30; one unready as 0: 40/30 × 3 = 4",
       3,
       2,
       {0.5, 0.7, 0.3},
       true,
       0.3,
       4,
       0.1,
       0.1,
       2},
      {"ScaleUpUnreadyNoScale: 40/30; two unready as 0: 13/30 turns round",
       3,
       1,
       {0.4, 0.5, 0.7},
       true,
       0.3,
       3,
       0.1,
       0.1,
       1},
      {"one of eleven not ready: 70/60, counted as 0 it is 63/60", 11, 10,
       std::vector<double>(10, 0.7), true, 0.6, 11},
      {"two of twelve not ready: 90/60, counted as 0: 75/60 × 12 = 15", 12, 10,
       std::vector<double>(10, 0.9), true, 0.6, 15},
      {"ScaleUpIgnoresFailedPods: 60/30 × 2 = 4", 2, 2, {0.5, 0.7}, true, 0.3, 4},
      {"ScaleDown: 28/50 × 5 = 2.8", 5, 5, {0.1, 0.3, 0.5, 0.25, 0.25}, true, 0.5, 3},
      {"ScaleDownIncludeUnreadyPods: 30/50 × 3 ready = 1.8",
       5,
       3,
       {0.1, 0.3, 0.5, 0.25, 0.25},
       true,
       0.5,
       2,
       0.1,
       0.1,
       3},
      {"ScaleDownExcludeUnscheduledPods: 10/50 × 1 = 0.2", 5, 1, {0.1}, true, 0.5, 1},
      {"Tolerance: 102/100", 3, 3, {1.01, 1.03, 1.02}, true, 1, 3},
      {"SuperfluousMetrics: 587/100 × 4 = 23.48", 4, 4, {4, 9.5, 3, 7}, true, 1, 24},
      {"MissingMetrics: 24/100; two missing as 100 %: 62/100 × 4 = 2.48",
       4,
       4,
       {0.4, 0.095},
       true,
       1,
       3},
      {"MissingMetricsNoChangeEq: 100/100", 2, 2, {1}, true, 1, 2},
      {"MissingMetricsNoChangeGt: 190/100; missing as 0: 95/100", 2, 2, {1.9}, true, 1, 2},
      {"MissingMetricsNoChangeLt: 60/100; missing as 100 %: 80/100 × 2 = 1.6",
       2,
       2,
       {0.6},
       true,
       1,
       2},
      {"MissingMetricsUnreadyChange: 45/50; missing as 100 %: 72/50 turns round",
       3,
       2,
       {0.45, 0.1},
       true,
       0.5,
       3,
       0.1,
       0.1,
       1},
      {"MissingMetricsUnreadyScaleUp: 200/50; two as 0: 66/50 × 3 = 3.96",
       3,
       2,
       {2, 0.1},
       true,
       0.5,
       4,
       0.1,
       0.1,
       1},
      {"MissingMetricsUnreadyScaleDown: 10/50; one missing as 100 %: 40/50 × 3 = 2.4",
       4,
       3,
       {0.1, 0.1, 0.1},
       true,
       0.5,
       3,
       0.1,
       0.1,
       2},
      {"DuringRollingUpdateWithMaxSurge: 40/50 × 3 = 3, more than the 2 desired",
       2,
       3,
       {0.1, 0.1},
       true,
       0.5,
       2},
      {"ComputedToleranceAlg: 50/56 × 10 = 8.93", 10, 10, std::vector<double>(10, 0.5), true, 0.56,
       9},
      {"ComputedToleranceAlg: 50/55 = 0.909", 10, 10, std::vector<double>(10, 0.5), true, 0.55, 10},
      {"missing while the target is above 100 %: 60/150; two as 150 %: 105/150 × 4 = 2.8",
       4,
       4,
       {0.6, 0.6},
       true,
       1.5,
       3},
      {"cut to whole percent: 100 m of 300 m are 33, 33/33 holds",
       3,
       3,
       {0.05, 0.05},
       true,
       0.33,
       3,
       0,
       0.9},
      {"one value for all: 90/60 × 4 = 6", 4, 4, {0.9}, false, 0.6, 6},
      {"one value for all: ratio first, 80/60 × 3 = 4, not 5", 3, 3, {0.8}, false, 0.6, 4},
      {"one value for all: 66.6 is 66, 66/60 = 1.1 holds", 3, 3, {0.666}, false, 0.6, 3},
      {"one value for all: 30/60 × 4 = 2", 4, 4, {0.3}, false, 0.6, 2},
      {"upper edge: 55/50 = 1.1 holds", 10, 10, {0.55}, false, 0.5, 10},
      {"beyond it: 56/50 × 10 = 11.2", 10, 10, {0.56}, false, 0.5, 12},
      {"lower edge: 45/50 = 0.9 holds", 10, 10, {0.45}, false, 0.5, 10},
      {"beyond it: 44/50 × 10 = 8.8", 10, 10, {0.44}, false, 0.5, 9},
      {"as doubles have it: 28/25 × 25 is 28 and a bit", 25, 25, {0.28}, false, 0.25, 29},
      {"limits above the request: 300/200 × 4", 4, 4, {3}, false, 2, 6},
      {"the same each: 100/200 × 4", 4, 4, std::vector<double>(4, 1), true, 2, 2},
      {"the smallest target: 3/1 × 2", 2, 2, {0.03}, false, 0.01, 6},
      {"KEP-4951, no tolerance up: 51/50 × 10 = 10.2", 10, 10, {0.51}, false, 0.5, 11, 0, 0.1},
      {"KEP-4951, much tolerance down: 30/50 = 0.6", 10, 10, {0.30}, false, 0.5, 10, 0.1, 0.5},
      {"KEP-4951, beyond it: 24/50 × 10 = 4.8", 10, 10, {0.24}, false, 0.5, 5, 0.1, 0.5},
  };
  for (const Case& c : cases) Check(c, "utilization", Unit::kRatio);
}

// groupPods sets unready pods aside for the resource CPU only.
TEST(Hpa, MemoryOfInstancesThatAreNotReadyCounts) {
  PolicyRig rig("policies/hpa.lua");
  rig.Metric("memory", Unit::kRatio)
      .Param("metrics", std::string("memory"))
      .Param("memory_target", 0.5)
      .Has(4, 2)
      .Each("memory", {0.9, 0.9, 0.7, 0.7}, 2);
  EXPECT_EQ(rig.Wants(), 4);                                                  // two as 0: 45/50
  EXPECT_EQ(rig.Param("memory_unready", std::string("counted")).Wants(), 7);  // 80/50 × 4 = 6.4
}

TEST(Hpa, TargetsThatNoneCanMeanAreRefused) {
  const auto why = [](double goal) {
    PolicyRig rig("policies/hpa.lua");
    rig.Metric("cpu", Unit::kRatio).Value("cpu", 0.5).Has(2);
    return rig.Param("metrics", std::string("cpu")).Param("cpu_target", goal).Why();
  };
  EXPECT_NE(why(60).find("60 does not fit metric 'cpu', whose unit is ratio (0.6?)"),
            std::string::npos);
  EXPECT_NE(why(0.004).find("must be a number of at least 0.01, not 0.004"), std::string::npos)
      << why(0.004);
}

TEST(Hpa, PercentIsTheSameInAnotherUnit) {
  const Case cases[] = {
      {"80/60 × 3 = 4", 3, 3, {80}, false, 60, 4},
      {"50/30 × 3 = 5", 3, 3, {30, 50, 70}, true, 30, 5},
      {"two missing as 100 %: 62/100 × 4", 4, 4, {40, 9.5}, true, 100, 3},
  };
  for (const Case& c : cases) Check(c, "utilization", Unit::kPercent);
}

TEST(Hpa, PodsMetrics) {
  const Case cases[] = {
      {"ScaleUpCM: 20/15 × 3 = 4", 3, 3, {20, 10, 30}, true, 15, 4},
      {"ScaleUpCMUnreadyHotCpuNoLessScale: unready ones are counted: 30/15 × 3 = 6",
       3,
       2,
       {50, 10, 30},
       true,
       15,
       6,
       0.1,
       0.1,
       2},
      {"ScaleUpCMUnreadyHotCpuScaleWouldScaleDown: 31.666/15 × 3 = 6.3",
       3,
       1,
       {15, 50, 30},
       true,
       15,
       7,
       0.1,
       0.1,
       1},
      {"ScaleDownCM: 12/20 × 5 = 3", 5, 5, {12, 12, 12, 12, 12}, true, 20, 3},
      {"ToleranceCM: the mean of 62 is 20.666: 1.033", 3, 3, {20, 21, 21}, true, 20, 3},
      {"missing on the way in count as the target: 12.5/20 × 4 = 2.5", 4, 4, {5, 5}, true, 20, 3},
      {"missing on the way out count as 0: 25/20 × 4 = 5", 4, 4, {50, 50}, true, 20, 5},
      {"missing on the way out: 21/20 holds", 4, 4, {42, 42}, true, 20, 4},
      {"thousandths, the mean cut: 1.0005 is 1000 m: 1", 2, 2, {1, 1.001}, true, 1, 2, 0, 0},
      {"thousandths, rounded up: 1.0001 is 1001 m: 1.001 × 2",
       2,
       2,
       {1.0001, 1.0001},
       true,
       1,
       3,
       0,
       0},
  };
  for (const Case& c : cases) Check(c, "pods", Unit::kPerSecond);
}

TEST(Hpa, ObjectAndExternalByValue) {
  const Case cases[] = {
      {"ScaleUpCMObject: 20/15 × 3 = 4", 3, 3, {20}, false, 15, 4},
      {"ScaleUpCMObjectIgnoresUnreadyPods: 50/10 × 1 ready = 5", 3, 1, {50}, false, 10, 5},
      {"ScaleUpCMExternal: 8.6/4.4 × 1 = 1.95", 1, 1, {8.6}, false, 4.4, 2},
      {"ScaleDownCMObject: 12/20 × 5 = 3", 5, 5, {12}, false, 20, 3},
      {"ScaleDownCMExternal: 8.6/14.334 × 5 = 2.9998", 5, 5, {8.6}, false, 14.334, 3},
      {"ToleranceCMObject: 20.666/20 = 1.033", 3, 3, {20.666}, false, 20, 3},
      {"ToleranceCMExternal: 8.6/8.888 = 0.968", 3, 3, {8.6}, false, 8.888, 3},
      {"getUsageRatioReplicaCount, from zero: 31/10", 0, 0, {31}, false, 10, 4},
      {"from zero, neither tolerance nor instances: 0.5/10", 0, 0, {0.5}, false, 10, 1},
      {"no load at zero", 0, 0, {0}, false, 10, 0},
      // Here the HPA scales in though the value is above the target (kubernetes#98174): held.
      {"ScaleUpCMExternalIgnoresUnreadyPods: 8.6/4.4 × 1 ready = 2 of 3",
       3,
       1,
       {8.6},
       false,
       4.4,
       3},
  };
  for (const Case& c : cases) Check(c, "value", Unit::kPerSecond);
}

TEST(Hpa, ObjectAndExternalByAverage) {
  const Case cases[] = {
      {"ScaleUpCMPerPodObject: 20/5 = 4", 3, 3, {20}, false, 5, 4},
      {"ScaleUpPerPodCMExternal: 8.6/2.15 = 4", 3, 3, {8.6}, false, 2.15, 4},
      {"ScaleDownPerPodCMObject: 6/2 = 3", 5, 5, {6}, false, 2, 3},
      {"ScaleDownPerPodCMExternal: 8.6/2.867 = 2.9997", 5, 5, {8.6}, false, 2.867, 3},
      {"TolerancePerPodCMObject: 20.166/(5 × 4) = 1.008", 4, 4, {20.166}, false, 5, 4},
      {"TolerancePerPodCMExternal: 8.6/(2.9 × 3) = 0.989", 3, 3, {8.6}, false, 2.9, 3},
      {"readiness does not matter: 100/10 = 10", 4, 0, {100}, false, 10, 10},
      {"from zero: 30/10 = 3", 0, 0, {30}, false, 10, 3},
      {"to zero: 0/10", 3, 3, {0}, false, 10, 0},
  };
  for (const Case& c : cases) Check(c, "average", Unit::kCount);
}

PolicyRig TwoMetrics() {
  PolicyRig rig("policies/hpa.lua");
  rig.Metric("cpu", Unit::kRatio)
      .Metric("queue", Unit::kCount)
      .Param("metrics", std::string("cpu, queue"))
      .Param("cpu_target", 0.6)
      .Param("queue_target", 10.0)
      .Param("queue_type", std::string("average"))
      .Has(5);
  return rig;
}

// "Algorithm details": with several metrics the largest wins; if any cannot be had, a scale-in that
// the others ask for is skipped, a scale-out is not.
TEST(Hpa, OfSeveralMetricsTheLargestWins) {
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.9).Value("queue", 60).Wants(), 8);  // 7.5; 6
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.9).Value("queue", 90).Wants(), 9);  // 7.5; 9
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.3).Value("queue", 20).Wants(), 3);  // 2.5; 2
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.6).Value("queue", 20).Wants(), 5);  // holds; 2
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.3).Value("queue", 50).Wants(), 5);  // 2.5; holds
}

TEST(Hpa, AFailedMetricBlocksScaleInAndNotScaleOut) {
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.3).Is("queue", SampleState::kError).Wants(), 5);
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.9).Is("queue", SampleState::kError).Wants(), 8);
  EXPECT_EQ(TwoMetrics().Is("cpu", SampleState::kStale).Value("queue", 20).Wants(), 5);
  EXPECT_EQ(TwoMetrics().Is("cpu", SampleState::kStale).Value("queue", 90).Wants(), 9);
  EXPECT_EQ(TwoMetrics().Is("cpu", SampleState::kEmpty).Is("queue", SampleState::kNaN).Wants(), 5);
  EXPECT_EQ(TwoMetrics().Value("cpu", 0.3).Is("queue", SampleState::kError).Why(),
            "metric 'queue' is error: no scale-in (cpu 0.3 is below its target 0.6: 5 ready × 0.5 "
            "needs 3)");
}

}  // namespace
}  // namespace autoscale
