#include "tests/unit/fleet/reconcile_rig.h"

namespace autoscale {
namespace {

TEST_F(ReconcileTest, MissingInstancesAreStoredAsRequestedBeforeAnythingElse) {
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"requested i-1", "requested i-2"}));
  EXPECT_EQ(Pass(), Lines{});  // and asked for once
}

TEST_F(ReconcileTest, OnlyAReadyInstanceGetsIntoTheList) {
  member_.desired = 1;
  Pass();
  See("i-1", InstanceState::kStarting);
  EXPECT_EQ(Pass(), (Lines{"starting i-1"}));
  EXPECT_EQ(member_.sequence, 0u);
  See("i-1", InstanceState::kReady);
  EXPECT_EQ(Pass(), (Lines{"serving i-1"}));
  EXPECT_EQ(List(), "1 ");
  EXPECT_EQ(member_.sequence, 1u);
  Pass();
  EXPECT_EQ(member_.sequence, 1u);  // an unchanged list has no new number
}

TEST_F(ReconcileTest, ScaleInDrainsTheYoungestFirst) {
  Serve(2);
  now_ += seconds(10);
  member_.desired = 3;
  Pass();
  See("i-3", InstanceState::kReady);
  Pass();
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"draining i-3"}));
  EXPECT_EQ(List(), "1 2 3d ");
}

TEST_F(ReconcileTest, ScaleInSparesTheProtectedAndARemovalDoesNot) {
  Serve(3);
  At("i-3").protected_until = now_ + seconds(60);
  At("i-2").protected_until = now_ + seconds(5);
  member_.desired = 1;
  EXPECT_EQ(Pass(), (Lines{"draining i-1"}));
  EXPECT_EQ(CountProtected(member_, now_), 2);
  now_ += seconds(5);
  EXPECT_EQ(CountProtected(member_, now_), 1);
  EXPECT_EQ(Pass(), (Lines{"draining i-2", "stopping i-1"}));
  member_.leaving = true;
  member_.desired = 0;
  EXPECT_EQ(Pass(), (Lines{"draining i-3", "stopping i-2"}));
}

TEST_F(ReconcileTest, AProtectedInstanceThatFailsIsReplaced) {
  Serve(2);
  At("i-2").protected_until = kForever;
  See("i-2", InstanceState::kUnready);
  now_ += seconds(31);
  EXPECT_EQ(Pass(), (Lines{"draining i-2"}));
}

TEST_F(ReconcileTest, ScaleInCancelsStartsBeforeItDrains) {
  Serve(2);
  member_.desired = 4;
  Pass();
  See("i-3", InstanceState::kStarting);
  At("i-4").asked = now_;
  Pass();
  member_.desired = 1;
  EXPECT_EQ(Pass(), (Lines{"draining i-2", "stopping i-3", "stopping i-4"}));
}

TEST_F(ReconcileTest, WhatWasNeverAskedForIsDroppedWithoutATrace) {
  Serve(1);
  member_.desired = 2;
  Pass();
  member_.desired = 1;
  EXPECT_EQ(Pass(), (Lines{"removed i-2"}));
  EXPECT_TRUE(member_.forget.empty());
}

TEST_F(ReconcileTest, ADrainedInstanceStopsOnlyWhenGatewaysHaveConfirmedSettledAndEmptied) {
  member_.links.push_back(
      {.gateway = "edge", .capabilities = {.settle = Millis(50), .counts_in_flight = true}});
  Serve(2);
  Link& link = member_.links[0];
  link.confirmed = member_.sequence;
  member_.desired = 1;
  Pass();
  EXPECT_EQ(At("i-2").phase, InstancePhase::kDraining);
  link.loads = {{"10.0.0.1:2", 0}};
  link.loads_asked = now_;
  EXPECT_EQ(Pass(), Lines{});  // the gateway has not confirmed the list
  link.confirmed = member_.sequence;
  EXPECT_EQ(Pass(), Lines{});  // confirmed, not settled
  now_ += Millis(50);
  EXPECT_EQ(Pass(), Lines{});  // settled, but counted before that
  link.loads = {{"10.0.0.1:2", 3}};
  link.loads_asked = now_;
  EXPECT_EQ(Pass(), Lines{});  // three requests in flight
  EXPECT_EQ(At("i-2").in_flight, 3);
  link.loads.clear();
  EXPECT_EQ(Pass(), (Lines{"stopping i-2"}));
  EXPECT_EQ(List(), "1 ");
}

TEST_F(ReconcileTest, ADrainEndsAtItsBound) {
  member_.links.push_back({.gateway = "edge"});
  Serve(2);
  member_.desired = 1;
  Pass();
  now_ += seconds(40);  // nobody could be told yet: all may still send it requests
  EXPECT_EQ(Pass(), Lines{});
  At("i-2").asked = now_;  // told now, reached or not
  now_ += seconds(29);
  EXPECT_EQ(Pass(), Lines{});
  now_ += seconds(1);
  EXPECT_EQ(Pass(), (Lines{"stopping i-2"}));
  EXPECT_NE(notes_.back().find("at the bound of its drain (drain_timeout)"), std::string::npos);
}

TEST_F(ReconcileTest, AReturningLoadTakesADrainingInstanceBack) {
  member_.links.push_back({.gateway = "edge"});
  Serve(2);
  member_.desired = 1;
  Pass();
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"serving i-2"}));
  EXPECT_EQ(List(), "1 2 ");
  EXPECT_FALSE(At("i-2").deadline);
}

TEST_F(ReconcileTest, AStoppingInstanceIsNeverTakenBack) {
  Serve(2);
  member_.desired = 1;
  Pass();
  Pass();  // without gateways a drained instance stops at once
  ASSERT_EQ(At("i-2").phase, InstancePhase::kStopping);
  member_.desired = 2;
  EXPECT_EQ(Pass(), (Lines{"requested i-3"}));
}

TEST_F(ReconcileTest, ALostInstanceIsReplacedAtOnce) {
  Serve(2);
  now_ += minutes(1);
  See("i-1", InstanceState::kGone, "killed by signal 9");
  EXPECT_EQ(Pass(), (Lines{"removed i-1", "requested i-3"}));
  EXPECT_EQ(lost_, 1);
  EXPECT_EQ(List(), "2 ");
  EXPECT_EQ(notes_[0], "i-1 is lost: killed by signal 9");
  EXPECT_EQ(member_.forget, (Lines{"i-1"}));
}

TEST_F(ReconcileTest, TheLastListIsNotEmptiedByAnAccident) {
  Serve(1);
  See("i-1", InstanceState::kGone, "exited with status 1");
  Pass();
  EXPECT_EQ(List(), "1 ");
}

TEST_F(ReconcileTest, AWishForZeroEmptiesTheList) {
  Serve(1);
  member_.desired = 0;
  Pass();
  EXPECT_EQ(List(), "1d ");
  Pass();
  EXPECT_EQ(List(), "");
}

TEST_F(ReconcileTest, AFailedStartIsTriedAgainLaterEachTimeTwiceAsLate) {
  member_.desired = 1;
  Pass();
  See("i-1", InstanceState::kStarting);
  See("i-1", InstanceState::kGone, "exited with status 1 after 0.1s");
  EXPECT_EQ(Pass(), (Lines{"removed i-1"}));
  EXPECT_EQ(member_.launch_after - now_, Millis(500));
  EXPECT_EQ(member_.problem, "i-1 did not start: exited with status 1 after 0.1s");
  EXPECT_EQ(NextLook(member_, now_), member_.launch_after);
  now_ += Millis(500);
  EXPECT_EQ(Pass(), (Lines{"requested i-2"}));
  See("i-2", InstanceState::kStarting);
  See("i-2", InstanceState::kGone, "exited with status 1 after 0.1s");
  Pass();
  EXPECT_EQ(member_.launch_after - now_, Millis(1000));
  now_ += Millis(1000);
  Pass();
  See("i-3", InstanceState::kReady);
  Pass();
  EXPECT_EQ(member_.problem, "");
  now_ += seconds(30);  // proven
  Pass();
  EXPECT_EQ(member_.failures, 0);
}

TEST_F(ReconcileTest, AnInstanceThatDiesSoonAfterItWasReadyIsAFailedStart) {
  Serve(1);
  now_ += seconds(29);
  See("i-1", InstanceState::kGone, "killed by signal 11");
  EXPECT_EQ(Pass(), (Lines{"removed i-1"}));
  EXPECT_EQ(member_.launch_after - now_, Millis(500));
}

TEST_F(ReconcileTest, SeveralThatFailTogetherHaveFailedOnce) {
  member_.desired = 8;
  Pass();
  for (int i = 1; i <= 8; ++i) {
    See("i-" + std::to_string(i), InstanceState::kStarting);
    See("i-" + std::to_string(i), InstanceState::kGone, "exited");
  }
  Pass();
  EXPECT_EQ(member_.launch_after - now_, Millis(500));
}

TEST_F(ReconcileTest, AnInstanceTooSlowToStartIsReplaced) {
  member_.desired = 1;
  Pass();
  See("i-1", InstanceState::kStarting);
  Pass();
  now_ += minutes(5);
  EXPECT_EQ(Pass(), (Lines{"stopping i-1"}));
}

TEST_F(ReconcileTest, AnUnhealthyInstanceLeavesTheListAndIsReplacedIfItStaysSo) {
  Serve(2);
  Prove();
  See("i-1", InstanceState::kUnready);
  Pass();
  EXPECT_EQ(List(), "2 ");
  EXPECT_EQ(CapacityOf(member_).ready, 1);
  now_ += seconds(30);
  EXPECT_EQ(Pass(), (Lines{"draining i-1", "requested i-3"}));
}

TEST_F(ReconcileTest, WhenNoneIsHealthyTheListStays) {
  Serve(2);
  Prove();
  See("i-1", InstanceState::kUnready);
  See("i-2", InstanceState::kUnready);
  Pass();
  EXPECT_EQ(List(), "1 2 ");
  // However long it lasts: what they all depend on may be what fails. One more is tried.
  now_ += minutes(10);
  EXPECT_EQ(Pass(), (Lines{"requested i-3"}));
  EXPECT_EQ(Pass(), Lines{});
  EXPECT_EQ(List(), "1 2 ");
  // It is ready: those that fail are replaced.
  See("i-3", InstanceState::kReady);
  Pass();
  EXPECT_EQ(Pass(), (Lines{"draining i-1", "draining i-2", "requested i-4"}));
  EXPECT_EQ(List(), "1d 2d 3 ");
}

TEST_F(ReconcileTest, AGatewayThatFallsBackEndsTheSettling) {
  member_.links.push_back({.gateway = "edge", .capabilities = {.settle = Millis(50)}});
  Serve(2);
  Link& link = member_.links[0];
  member_.desired = 1;
  Pass();
  link.confirmed = member_.sequence;
  Pass();
  now_ += Millis(40);
  link.confirmed = 0;
  Pass();
  link.confirmed = member_.sequence;
  now_ += Millis(20);
  EXPECT_EQ(Pass(), Lines{});  // 60 ms since the first confirmation, 0 since the second
  now_ += Millis(50);
  EXPECT_EQ(Pass(), (Lines{"stopping i-2"}));
}

TEST_F(ReconcileTest, AfterARestartServingInstancesCountBeforeTheirFirstHealthCheck) {
  member_.desired = 1;
  member_.instances.push_back({.id = "i-7",
                               .endpoint = "10.0.0.1:7",
                               .phase = InstancePhase::kServing,
                               .since = now_,
                               .stored = true});
  See("i-7", InstanceState::kStarting);
  EXPECT_EQ(Pass(), Lines{});
  EXPECT_EQ(CapacityOf(member_).ready, 1);
  EXPECT_EQ(List(), "7 ");
}

TEST_F(ReconcileTest, AnInstanceThatNobodyStoredIsTakenOver) {
  member_.desired = 1;
  See("i-9", InstanceState::kReady);
  EXPECT_EQ(Pass(), (Lines{"serving i-9"}));
  EXPECT_EQ(List(), "9 ");
}

TEST_F(ReconcileTest, ASettledMemberNeedsNoLook) {
  Serve(2);
  EXPECT_EQ(NextLook(member_, now_), std::nullopt);
}

// --- The breaker ---

TEST_F(ReconcileTest, InstancesThatServeDoNotHideFailedStarts) {
  Serve(1);
  now_ += minutes(1);
  member_.desired = 2;
  for (int i = 2; i <= 4; ++i) {
    now_ = std::max(now_, member_.launch_after);
    Pass();
    See("i-" + std::to_string(i), InstanceState::kGone, "exited with status 1");
    Pass();
    EXPECT_EQ(member_.failures, i - 1);
  }
  EXPECT_EQ(member_.launch_after - now_, Millis(2000));
}

TEST_F(ReconcileTest, TooManyFailuresOpenTheBreakerWhichTriesOneStartEveryFiveMinutes) {
  Serve(2);
  member_.failures_allowed = 3;
  member_.desired = 6;
  for (int round = 0; member_.breaker.empty() && round < 10; ++round) {
    now_ = std::max(now_, member_.launch_after);
    Pass();
    for (Instance& instance : member_.instances) {
      if (instance.phase == InstancePhase::kRequested) {
        See(instance.id, InstanceState::kGone, "exited with status 1");
      }
    }
    Pass();
  }
  ASSERT_EQ(member_.failures, 3);
  EXPECT_EQ(member_.launch_after - now_, minutes(5));
  EXPECT_EQ(member_.instances.size(), 2u);

  now_ = member_.launch_after;
  EXPECT_EQ(Pass().size(), 1u);  // one of four
  EXPECT_EQ(Pass().size(), 0u);
  EXPECT_EQ(member_.instances.size(), 3u);
  const std::string probe = "i-" + std::to_string(last_id_);
  At(probe).asked = now_;
  EXPECT_GT(NextLook(member_, now_), now_);  // and no spinning meanwhile
  See(probe, InstanceState::kReady);
  Pass();
  Pass();
  EXPECT_NE(member_.breaker, "");  // not proven yet
  now_ += seconds(30);
  EXPECT_EQ(Pass().size(), 3u);
  EXPECT_EQ(member_.breaker, "");
  EXPECT_EQ(member_.failures, 0);
}

TEST_F(ReconcileTest, WhatStartsTogetherFailsTogether) {
  member_.failures_allowed = 3;
  member_.desired = 10;
  Pass();
  for (int i = 1; i <= 10; ++i) {
    See("i-" + std::to_string(i), InstanceState::kGone, "exited with status 1");
    now_ += Millis(5);
    Pass();
  }
  EXPECT_EQ(member_.failures, 1);
  EXPECT_EQ(member_.breaker, "");
}

TEST_F(ReconcileTest, ALoneInstanceThatFailsItsCheckIsNotLookedAtAllTheTime) {
  Serve(1);
  See("i-1", InstanceState::kUnready);
  now_ += minutes(1);
  Pass();
  for (Instance& instance : member_.instances) instance.asked = now_;
  const auto next = NextLook(member_, now_);
  EXPECT_TRUE(!next || *next > now_);
}

TEST_F(ReconcileTest, AnOpenBreakerTakesNothingAway) {
  Serve(3);
  member_.breaker = "3 actions in a row have failed";
  member_.breaker_since = member_.last_failure = now_;
  member_.desired = 1;
  See("i-3", InstanceState::kUnready);
  now_ += seconds(31);
  EXPECT_EQ(Pass(), Lines{});
  EXPECT_EQ(At("i-3").phase, InstancePhase::kServing);
  member_.leaving = true;  // but a service that leaves, leaves
  member_.desired = 0;
  EXPECT_EQ(Pass().size(), 3u);
}

TEST_F(ReconcileTest, ABreakerClosesWhenAllIsAsItOughtToBe) {
  Serve(2);
  member_.breaker = "3 actions in a row have failed";
  member_.last_failure = now_;
  now_ += seconds(29);
  Pass();
  EXPECT_NE(member_.breaker, "");
  now_ += seconds(1);
  Pass();
  EXPECT_EQ(member_.breaker, "");
}

}  // namespace
}  // namespace autoscale
