// The keda policy against KEDA: numbers from "ScaledObject specification" (activation strictly
// greater, cooldownPeriod only to zero, fallback behaviors) and "Scaling deployments"; failures
// count as in pkg/fallback: the fallback comes when there were more than failureThreshold.
#include <gtest/gtest.h>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

PolicyRig Queue() {
  PolicyRig rig("policies/keda.lua");
  rig.Metric("queue", Unit::kCount)
      .Param("triggers", std::string("queue"))
      .Param("queue_threshold", 5.0)
      .Param("queue_activation", 3.0);
  return rig;
}

TEST(Keda, SharesATotal) {
  EXPECT_EQ(Queue().Has(1).Value("queue", 50).Wants(), 10);   // 50 / 5
  EXPECT_EQ(Queue().Has(2).Value("queue", 51).Wants(), 11);   // 10.2
  EXPECT_EQ(Queue().Has(10).Value("queue", 54).Wants(), 10);  // 54 / (5 × 10) = 1.08
  EXPECT_EQ(Queue().Has(10).Value("queue", 56).Wants(), 12);  // 1.12: 11.2
  EXPECT_EQ(Queue().Has(10).Value("queue", 20).Wants(), 4);
}

TEST(Keda, ActivationIsStrictlyGreater) {
  EXPECT_EQ(Queue().Has(0).Value("queue", 0).Wants(), 0);
  EXPECT_EQ(Queue().Has(0).Value("queue", 3).Wants(), 0);
  EXPECT_EQ(Queue().Has(0).Value("queue", 3.001).Wants(), 1);
  EXPECT_EQ(Queue().Has(0).Value("queue", 500).Wants(), 1);  // the HPA takes over from one
}

TEST(Keda, TheCooldownIsOnlyForTheWayToZero) {
  PolicyRig rig = Queue();
  EXPECT_EQ(rig.Has(4).Value("queue", 5).Wants(), 1);  // at once: active
  EXPECT_EQ(rig.Has(4).Value("queue", 2).Wants(), 1);  // inactive: never below one yet
  EXPECT_EQ(rig.Lasts(299).Wants(), 1);
  EXPECT_EQ(rig.After(1).Wants(), 0);  // 300 s
  EXPECT_EQ(rig.Why(), "no work for 300 s");
}

TEST(Keda, WorkBeginsTheCooldownAnew) {
  PolicyRig rig = Queue();
  EXPECT_EQ(rig.Has(1).Value("queue", 0).Wants(), 1);
  EXPECT_EQ(rig.Lasts(200).Value("queue", 4).Wants(), 1);
  EXPECT_EQ(rig.After(100).Value("queue", 0).Wants(), 1);
  EXPECT_EQ(rig.Lasts(299).Wants(), 1);
  EXPECT_EQ(rig.After(1).Wants(), 0);
}

TEST(Keda, StaysAtItsMinimum) {
  PolicyRig rig = Queue();
  rig.Min(1).Has(1).Value("queue", 0);
  EXPECT_EQ(rig.Wants(), 1);
  EXPECT_EQ(rig.Lasts(301).Wants(), 1);
}

TEST(Keda, TheCooldownCanBeSet) {
  PolicyRig rig = Queue();
  rig.Param("cooldown", 30.0).Has(1).Value("queue", 0);
  EXPECT_EQ(rig.Wants(), 1);
  EXPECT_EQ(rig.Lasts(30).Wants(), 0);
}

PolicyRig TwoTriggers() {
  PolicyRig rig = Queue();
  rig.Metric("cpu", Unit::kRatio)
      .Param("triggers", std::string("queue cpu"))
      .Param("cpu_threshold", 0.5)
      .Param("cpu_type", std::string("utilization"));
  return rig;
}

TEST(Keda, TheLargestOfSeveralTriggersWins) {
  EXPECT_EQ(TwoTriggers().Has(4).Value("queue", 10).Value("cpu", 0.9).Wants(), 8);  // 2; 7.2
  EXPECT_EQ(TwoTriggers().Has(4).Value("queue", 60).Value("cpu", 0.9).Wants(), 12);
  EXPECT_EQ(TwoTriggers().Has(4).Value("queue", 10).Value("cpu", 0.1).Wants(), 2);  // 2; 0.8
}

PolicyRig TwoQueues() {
  PolicyRig rig = Queue();
  rig.Metric("mails", Unit::kCount)
      .Param("triggers", std::string("queue mails"))
      .Param("mails_threshold", 1.0)
      .Param("mails_activation", 5.0);
  return rig;
}

TEST(Keda, AnyTriggerThatTellsOfWorkActivates) {
  EXPECT_EQ(TwoQueues().Has(0).Value("queue", 0).Value("mails", 6).Wants(), 1);
  EXPECT_EQ(TwoQueues().Has(0).Value("queue", 4).Value("mails", 0).Wants(), 1);
  EXPECT_EQ(TwoQueues().Has(0).Value("queue", 3).Value("mails", 5).Wants(), 0);
}

// "CPU": it can scale to zero only beside a trigger of another kind.
TEST(Keda, AUtilizationNeitherActivatesNorKeepsTheLast) {
  EXPECT_EQ(TwoTriggers().Has(0).Value("queue", 0).Value("cpu", 0.9).Wants(), 0);
  PolicyRig rig = TwoTriggers();
  rig.Has(1).Value("queue", 0).Value("cpu", 0.02);
  EXPECT_EQ(rig.Wants(), 1);
  EXPECT_EQ(rig.Lasts(300).Wants(), 0);
  PolicyRig alone = TwoTriggers();
  alone.Param("triggers", std::string("cpu")).Has(1).Value("cpu", 0);
  EXPECT_EQ(alone.Wants(), 1);
  EXPECT_EQ(alone.Lasts(600).Wants(), 1);
  EXPECT_EQ(alone.Has(0).Wants(), 1);
}

// Without an instance there is none whose utilization could be known.
TEST(Keda, AUtilizationIsNotMissedAtZero) {
  PolicyRig rig = TwoTriggers();
  rig.Param("fallback_replicas", 6.0).Has(0).Value("queue", 0).Is("cpu", SampleState::kEmpty);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rig.After(15).Wants(), 0) << i;
  EXPECT_EQ(rig.Value("queue", 40).Wants(), 1);
  // "fallback": not for CPU and memory; while it fails nothing is removed.
  rig.Has(9).Value("queue", 10);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rig.After(15).Wants(), 9) << i;
}

TEST(Keda, WorkBelowItsActivationIsNotCountedBesideAFallback) {
  PolicyRig rig = TwoQueues();
  rig.Param("fallback_replicas", 1.0).Has(0).Is("queue", SampleState::kError).Value("mails", 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rig.After(15).Wants(), 0) << i;
  EXPECT_EQ(rig.After(15).Wants(), 1);  // and not 3 / 1
}

TEST(Keda, AFailedTriggerNeverLeadsToZeroNorIn) {
  PolicyRig rig = TwoTriggers();
  rig.Has(4).Is("queue", SampleState::kError).Value("cpu", 0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rig.After(100).Wants(), 4);
  EXPECT_EQ(rig.Value("cpu", 0.9).Wants(), 8);
  EXPECT_EQ(Queue().Has(0).Is("queue", SampleState::kEmpty).Wants(), 0);
}

PolicyRig Failing(const std::string& behavior, int current) {
  PolicyRig rig = Queue();
  rig.Param("fallback_replicas", 6.0)
      .Param("fallback_behavior", behavior)
      .Has(current)
      .Is("queue", SampleState::kError);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rig.Wants(), current) << i;  // failureThreshold: 3
  return rig;
}

TEST(Keda, FallsBackAfterMoreFailuresThanAllowed) {
  EXPECT_EQ(Failing("static", 2).Wants(), 6);
  EXPECT_EQ(Failing("static", 9).Wants(), 6);
  EXPECT_EQ(Failing("current", 9).Wants(), 9);
  EXPECT_EQ(Failing("current_if_higher", 9).Wants(), 9);
  EXPECT_EQ(Failing("current_if_higher", 2).Wants(), 6);
  EXPECT_EQ(Failing("current_if_lower", 9).Wants(), 6);
  EXPECT_EQ(Failing("current_if_lower", 2).Wants(), 2);
  EXPECT_EQ(Failing("static", 0).Wants(), 6);  // also from zero
}

TEST(Keda, ASuccessForgetsTheFailures) {
  PolicyRig rig = Failing("static", 2);
  EXPECT_EQ(rig.Value("queue", 10).Wants(), 2);
  rig.Is("queue", SampleState::kError);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rig.Wants(), 2);
  EXPECT_EQ(rig.Wants(), 6);
}

TEST(Keda, TheFallbackOfOneTriggerIsHeldAgainstTheOthers) {
  PolicyRig rig = TwoTriggers();
  rig.Param("fallback_replicas", 6.0).Has(4).Is("queue", SampleState::kError).Value("cpu", 0.9);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rig.Wants(), 8);
  EXPECT_EQ(rig.Wants(), 8);                    // cpu 7.2; queue's fallback 6
  EXPECT_EQ(rig.Value("cpu", 0.1).Wants(), 6);  // cpu 0.8
}

}  // namespace
}  // namespace autoscale
