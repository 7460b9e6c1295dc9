// A start counts once its instance has stayed healthy; before that it may yet have failed.
#include "tests/unit/fleet/reconcile_rig.h"

namespace autoscale {
namespace {

class HoldTest : public ReconcileTest {
 protected:
  // Starts the youngest and lets it fail its check for good after so long.
  void StartAndSicken(seconds healthy) {
    Pass();
    const std::string id = Youngest();
    See(id, InstanceState::kReady);
    Pass();
    now_ += healthy;
    See(id, InstanceState::kUnready, "GET /healthz answered 500");
    Pass();
    now_ += seconds(30);
    Pass();
  }
  // Whatever is taken away ends.
  void End() {
    for (int i = 0; i < 3; ++i) Pass();
    for (Instance& instance : member_.instances) {
      if (instance.phase == InstancePhase::kStopping) instance.state = InstanceState::kGone;
    }
    Pass();
  }
  std::string Youngest() { return "i-" + std::to_string(last_id_); }
};

TEST_F(HoldTest, StartsThatDoNotHoldWaitTwiceAsLongEachTime) {
  Serve(1);
  Prove();
  member_.desired = 2;
  for (const int wait : {500, 1000, 2000, 4000}) {
    StartAndSicken(seconds(10));
    EXPECT_EQ(member_.launch_after - now_, Millis(wait));
    EXPECT_EQ(member_.problem,
              Youngest() +
                  " became ready, but did not stay healthy for 30.0s: GET /healthz "
                  "answered 500");
    EXPECT_EQ(At(Youngest()).phase, InstancePhase::kDraining);
    End();
    EXPECT_EQ(member_.instances.size(), 1u) << "no other one yet";
    EXPECT_EQ(NextLook(member_, now_), member_.launch_after);
    now_ = member_.launch_after;
  }
  EXPECT_EQ(
      std::count(notes_.begin(), notes_.end(),
                 "i-5 did not stay healthy for 30.0s after its start: it counts as failed, and "
                 "the next start waits 4.0s"),
      1);
  EXPECT_EQ(lost_, 0);
}

// While none is ready none is taken away, and one more is tried: that is put off as well.
TEST_F(HoldTest, ALoneOneThatDoesNotHoldWaitsAsMuch) {
  member_.desired = 1;
  for (const int wait : {500, 1000, 2000}) {
    StartAndSicken(seconds(10));
    const std::string sick = Youngest();
    EXPECT_EQ(member_.launch_after - now_, Millis(wait));
    EXPECT_EQ(At(sick).phase, InstancePhase::kServing);
    EXPECT_EQ(Pass(), Lines{});
    EXPECT_EQ(NextLook(member_, now_), member_.launch_after);
    now_ = member_.launch_after;
    Pass();
    EXPECT_NE(Youngest(), sick);
    See(Youngest(), InstanceState::kReady);
    Pass();
    End();
    EXPECT_EQ(member_.instances.size(), 1u);
  }
}

TEST_F(HoldTest, ManyThatDoNotHoldOpenTheBreakerWhichTriesOneNowAndThen) {
  Serve(1);
  Prove();
  member_.failures_allowed = 2;
  member_.desired = 2;
  for (int i = 0; i < 2; ++i) {
    StartAndSicken(seconds(10));
    End();
    now_ = member_.launch_after;
  }
  EXPECT_NE(member_.breaker, "");
  // What is tried behind it and does not hold makes room for the next.
  for (int i = 0; i < 2; ++i) {
    StartAndSicken(seconds(10));
    EXPECT_EQ(At(Youngest()).phase, InstancePhase::kDraining);
    EXPECT_EQ(member_.launch_after - now_, minutes(5));
    End();
    EXPECT_EQ(member_.instances.size(), 1u);
    now_ = member_.launch_after;
  }
  Pass();
  See(Youngest(), InstanceState::kReady);
  Pass();
  now_ += seconds(30);
  Pass();
  EXPECT_EQ(member_.breaker, "");
}

TEST_F(HoldTest, OneThatFlapsHasNotHeld) {
  Serve(1);
  member_.failures = 3;
  member_.last_failure = now_ - seconds(1);
  for (int i = 0; i < 5; ++i) {
    now_ += seconds(20);
    See("i-1", InstanceState::kUnready);
    Pass();
    now_ += seconds(1);
    See("i-1", InstanceState::kReady);
    Pass();
  }
  EXPECT_EQ(member_.failures, 3);
  now_ += seconds(30);
  Pass();
  EXPECT_EQ(member_.failures, 0);
}

TEST_F(HoldTest, WhatHasHeldOnceMayFailLater) {
  Serve(2);
  now_ += seconds(30);  // and nobody looks
  See("i-2", InstanceState::kUnready);
  Pass();
  now_ += seconds(30);
  EXPECT_EQ(Pass(), (Lines{"draining i-2", "requested i-3"}));
  EXPECT_EQ(member_.failures, 0);
}

TEST_F(HoldTest, OneTakenBackIsNoStart) {
  member_.links.push_back({.gateway = "edge"});  // which confirms nothing: drains last
  Serve(2);
  Prove();
  member_.desired = 1;
  Pass();
  now_ += seconds(1);
  member_.failures = 3;
  member_.last_failure = now_;
  now_ += seconds(1);
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"serving i-2"}));
  now_ += minutes(2);
  Pass();
  EXPECT_EQ(member_.failures, 3) << "it had started before";
  member_.desired = 1;
  Pass();
  member_.desired = 2;
  Pass();
  See("i-2", InstanceState::kGone);
  EXPECT_EQ(Pass(), (Lines{"removed i-2", "requested i-3"})) << "nor does its end put one off";
}

// What was missing is not wanted any more: nothing starts that could show that it is over.
TEST_F(HoldTest, AFailureIsNotToldAnyMoreWhenAllHasBeenAsItOughtToBe) {
  Serve(2);
  Prove();
  member_.desired = 3;
  Pass();
  BackOff(member_, now_, "no free port in 20000-20001");
  member_.desired = 2;
  Pass();
  now_ += seconds(29);
  Pass();
  EXPECT_EQ(member_.problem, "no free port in 20000-20001");
  const auto next = NextLook(member_, now_);
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, now_ + seconds(1));
  now_ = *next;
  Pass();
  EXPECT_EQ(member_.problem, "");
  EXPECT_EQ(member_.failures, 1) << "none has started since";
}

}  // namespace
}  // namespace autoscale
