// Targets that have a capacity: what they are asked for, and when.
#include <gtest/gtest.h>

#include "tests/unit/fleet/sizing_rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

TEST_F(SizingTest, WhatIsFoundIsItsCapacity) {
  group_.capacity = 3;
  group_.Follow();
  fleet_->Put(Spec(), std::nullopt, {});
  Pass();
  EXPECT_EQ(Web().desired, 3);
  EXPECT_TRUE(group_.history.empty());
}

TEST_F(SizingTest, ScaleOutSetsTheCapacityOnceAndPublishesWhatBecomesReady) {
  Serve(2);
  Want(5);
  EXPECT_EQ(group_.history, (Lines{"set 5"}));
  Wait(seconds(20));
  EXPECT_EQ(group_.history, (Lines{"set 5"})) << "what is pending counts";
  EXPECT_EQ(CapacityOf(Web()).ready, 2);
  EXPECT_FALSE(fleet_->IsSettled("web"));
  group_.AllBecome(InstanceState::kReady);
  Wait(seconds(6));
  EXPECT_EQ(CapacityOf(Web()).ready, 5);
  EXPECT_EQ(gateway_.history.back(), "publish :a :b :c :d :e");
  EXPECT_TRUE(fleet_->IsSettled("web"));
}

TEST_F(SizingTest, ScaleInDrainsFirstAndThenEndsExactlyTheDrained) {
  Serve(3);
  gateway_.status.endpoints = {{"10.0.0.1:c", 1}};
  Want(1);
  EXPECT_EQ(gateway_.history.back(), "publish :a :b(draining) :c(draining)");
  Wait(seconds(2));
  EXPECT_EQ(group_.history, (Lines{"set 2 -b"})) << "c has a request in flight";
  gateway_.status.endpoints.clear();
  Wait(seconds(2));
  EXPECT_EQ(group_.history, (Lines{"set 2 -b", "set 1 -c"}));
  Wait(seconds(10));
  EXPECT_TRUE(fleet_->IsSettled("web"));
  EXPECT_EQ(group_.history.size(), 2u);
  EXPECT_EQ(rows_.size(), 1u);
}

TEST_F(SizingTest, AReturningLoadTakesDrainingInstancesBackBeforeItAsksForMore) {
  Serve(3);
  gateway_.status.endpoints = {{"10.0.0.1:c", 1}, {"10.0.0.1:b", 1}};
  Want(1);
  EXPECT_TRUE(group_.history.empty());
  Want(4);
  EXPECT_EQ(group_.history, (Lines{"set 4"}));
  EXPECT_EQ(gateway_.history.back(), "publish :a :b :c");
}

TEST_F(SizingTest, APendingInstanceIsGivenUpWithoutADrain) {
  Serve(2);
  group_.abilities.poll = seconds(1000);  // it does not see the new ones yet
  Want(6);
  Want(3);
  EXPECT_EQ(group_.history, (Lines{"set 6", "set 3"}));
  EXPECT_FALSE(WasTold("draining"));
}

TEST_F(SizingTest, ARollingUpdateWithMoreInstancesThanItsCapacityLosesNone) {
  Serve(3);
  for (const char* id : {"x", "y"}) {
    group_.instances[id] = {
        .id = id, .state = InstanceState::kReady, .endpoint = std::string("10.0.0.1:") + id};
  }
  Wait(seconds(10));
  EXPECT_TRUE(group_.history.empty());
  EXPECT_EQ(gateway_.history.back(), "publish :a :b :c :x :y");
}

TEST_F(SizingTest, AnInstanceThatItsTargetEndsIsDrainedAndTheCapacityStays) {
  Serve(3);
  group_.instances["b"].state = InstanceState::kStopping;
  group_.instances["b"].detail = "spot interruption";
  gateway_.status.endpoints = {{"10.0.0.1:b", 1}};
  Wait(seconds(6));
  EXPECT_EQ(gateway_.history.back(), "publish :a :b(draining) :c");
  EXPECT_TRUE(WasTold("b is being ended by its target (spot interruption): it is drained"));
  EXPECT_TRUE(group_.history.empty());
  gateway_.status.endpoints.clear();
  Wait(seconds(2));
  EXPECT_EQ(group_.history, (Lines{"set 3 -b"})) << "its drain is over";
  EXPECT_EQ(CapacityOf(Web()).desired, 3);
}

TEST_F(SizingTest, WhereTheTargetChoosesNobodyIsDrainedBefore) {
  group_.abilities.ends_exactly = false;
  Serve(3);
  Want(1);
  EXPECT_EQ(group_.history, (Lines{"set 1"}));
  Wait(seconds(6));
  EXPECT_EQ(gateway_.history.back(), "publish :a");
  EXPECT_FALSE(fleet_->Protect("web", "a", kForever, "").ok());
}

TEST_F(SizingTest, AGatewayThatDoesNotAnswerKeepsTheCapacityUp) {
  for (const bool ends_exactly : {true, false}) {
    SCOPED_TRACE(ends_exactly);
    group_ = {};
    rows_.clear();
    gateway_.error.reset();
    Start();
    group_.abilities.ends_exactly = ends_exactly;
    Serve(3);
    gateway_.error = Error{ErrorKind::kUnavailable, "connection refused"};
    Wait(seconds(5));
    Want(1);
    Wait(std::chrono::minutes(5));
    EXPECT_EQ(group_.history, Lines{});
    EXPECT_EQ(CapacityOf(Web()).ready, 3);
    EXPECT_TRUE(WasTold("scale-in waits: gateway edge does not answer"));
    Want(4);
    EXPECT_EQ(group_.history, (Lines{"set 4"}));
    group_.AllBecome(InstanceState::kReady);
    Wait(seconds(6));
    Want(1);
    Wait(seconds(30));
    EXPECT_EQ(group_.capacity, 4);
    gateway_.error.reset();
    Wait(seconds(30));
    EXPECT_EQ(group_.capacity, 1);
    EXPECT_FALSE(WasTold("by somebody else"));
  }
}

TEST_F(SizingTest, AProtectedInstanceKeepsTheCapacityUp) {
  Serve(3);
  for (const char* id : {"b", "c"}) ASSERT_TRUE(fleet_->Protect("web", id, kForever, "").ok());
  Want(1);
  Wait(seconds(2));
  EXPECT_EQ(group_.history, (Lines{"set 2 -a"}));
}

TEST_F(SizingTest, WhatItsTargetKeepsIsNoVictim) {
  Serve(3);
  group_.instances["b"].kept = group_.instances["c"].kept = "it is protected there";
  Wait(seconds(6));
  Want(1);
  Wait(seconds(2));
  EXPECT_EQ(group_.history, (Lines{"set 2 -a"}));
  EXPECT_EQ(CountProtected(Web(), clock_.Now()), 2);
}

TEST_F(SizingTest, AnInstanceThatItsTargetKeepsSinceIsTakenBackAndAnotherGoes) {
  Serve(3);
  gateway_.status.endpoints = {{"10.0.0.1:c", 1}};
  Want(2);
  EXPECT_EQ(gateway_.history.back(), "publish :a :b :c(draining)");
  group_.instances["c"].kept = "it is protected there";
  Wait(seconds(6));
  EXPECT_TRUE(WasTold("c is taken back: it is protected there"));
  EXPECT_EQ(group_.history, (Lines{"set 2 -b"}));
  EXPECT_EQ(gateway_.history.back(), "publish :a :c");
}

TEST_F(SizingTest, OneThatIsDrainedAlreadyAndKeptSinceIsTakenBackToo) {
  Serve(3);
  group_.error = Error{ErrorKind::kBlocked, "c is protected there"};
  Want(2);
  Wait(seconds(2));
  EXPECT_EQ(group_.history, (Lines{"set 2 -c"}));
  group_.instances["c"].kept = "it is protected there";
  group_.error.reset();
  Wait(seconds(12));
  EXPECT_EQ(group_.history.back(), "set 2 -b");
  EXPECT_EQ(gateway_.history.back(), "publish :a :c");
}

TEST_F(SizingTest, InstancesThatDoNotComeAreToldAndNotGivenUp) {
  Serve(2);
  Want(5);
  group_.shortage = Error{ErrorKind::kExhausted, "there is no capacity"};
  Wait(seconds(12));
  EXPECT_TRUE(WasTold("instances do not come: there is no capacity"));
  EXPECT_EQ(Web().problem, "there is no capacity");
  EXPECT_EQ(Web().desired, 5);
  EXPECT_EQ(std::count(notes_.begin(), notes_.end(), "instances do not come: there is no capacity"),
            1);
  group_.shortage.reset();
  Wait(seconds(6));
  EXPECT_EQ(Web().problem, "");
}

TEST_F(SizingTest, WhatAFailedWishHasDoneIsNobodyElsesChange) {
  Serve(4, CapacityOwner::kShared);
  group_.error = Error{ErrorKind::kUnavailable, "it broke off"};
  Want(1);
  Wait(seconds(2));
  EXPECT_EQ(group_.history.back(), "set 1 -b -c -d");
  group_.capacity = 3;  // it has ended one of the three
  group_.instances.erase("b");
  Wait(seconds(6));
  EXPECT_EQ(Web().desired, 1);
  EXPECT_FALSE(WasTold("by somebody else"));
  group_.error.reset();
  Wait(seconds(30));
  EXPECT_EQ(group_.history.back(), "set 1 -c -d");
}

TEST_F(SizingTest, TheHighestRankEndsFirst) {
  group_.capacity = 3;
  group_.Follow();
  group_.instances["a"].rank = 3;
  group_.instances["b"].rank = 1;
  group_.instances["c"].rank = 2;
  Serve(3);
  Want(1);
  Wait(seconds(2));
  EXPECT_EQ(group_.history.back(), "set 1 -a -c");
}

TEST_F(SizingTest, ASharedCapacityFollowsWhoSetItLast) {
  Serve(2, CapacityOwner::kShared);
  group_.capacity = 4;
  group_.Follow();
  Wait(seconds(6));
  EXPECT_EQ(Web().desired, 4);
  EXPECT_TRUE(WasTold("that holds (capacity: shared)"));
  Want(5);
  EXPECT_EQ(group_.history, (Lines{"set 5"}));
}

TEST_F(SizingTest, AScaleInWhoseAnswerIsLostIsNobodyElsesChange) {
  group_.abilities.ends_exactly = false;
  Serve(8, CapacityOwner::kShared);
  group_.error = Error{ErrorKind::kUnavailable, "timed out after 5s"};
  Want(5);
  ASSERT_FALSE(group_.history.empty());
  group_.capacity = 5;  // it was done all the same
  group_.Follow();
  Wait(seconds(6));
  EXPECT_EQ(Web().desired, 5);
  group_.error.reset();
  Wait(seconds(30));
  EXPECT_EQ(group_.capacity, 5);
  EXPECT_FALSE(WasTold("by somebody else"));
}

TEST_F(SizingTest, WhatSomebodySetsWhileItIsBlockedHoldsAsItIs) {
  group_.abilities.ends_exactly = false;
  Serve(8, CapacityOwner::kShared);
  group_.blocked = "a rollout is under way";
  Wait(seconds(6));
  Want(5);
  group_.capacity = 9;
  group_.Follow();
  Wait(seconds(6));
  EXPECT_EQ(Web().desired, 9);
}

TEST_F(SizingTest, AVictimThatItsTargetKeepsServesAgain) {
  Serve(3);
  group_.is_slow = true;
  Want(2);
  Wait(seconds(2));
  ASSERT_EQ(group_.history, (Lines{"set 2 -c"}));
  group_.instances.erase("b");  // in its place
  Wait(seconds(6));
  ASSERT_EQ(CapacityOf(Web()).ready, 1);
  Wait(seconds(40));
  EXPECT_EQ(CapacityOf(Web()).ready, 2);
  EXPECT_EQ(gateway_.history.back(), "publish :a :c");
  EXPECT_EQ(group_.history.size(), 1u);
}

TEST_F(SizingTest, AVictimThatIsLongInEndingStaysOut) {
  Serve(3);
  group_.is_slow = true;
  Want(2);
  Wait(seconds(50));  // three are there, two ought to be
  EXPECT_EQ(CapacityOf(Web()).ready, 2);
  EXPECT_EQ(gateway_.history.back(), "publish :a :b");
}

TEST_F(SizingTest, WhatIsToldOfAFormerTargetSaysNothingOfThePresentOne) {
  Serve(3);
  const Observation late = group_.See("web");
  auto spec = Spec();
  spec->target = std::make_shared<GroupTarget>("other");
  group_.capacity = 6;
  group_.Follow();
  fleet_->Put(spec, 3, {});
  fleet_->OnTarget(late);  // before the other one is known
  Wait(seconds(6));
  EXPECT_EQ(Web().desired, 6);
  EXPECT_EQ(group_.history, Lines{});
  EXPECT_FALSE(fleet_->IsAt("web", "another"));
  EXPECT_TRUE(fleet_->IsAt("web", "group"));
}

TEST_F(SizingTest, AFaultWhoseWordingChangesIsToldOnce) {
  Serve(2);
  for (int i = 0; i < 4; ++i) {
    group_.fault = Error{ErrorKind::kUnavailable, "not asked again for " + std::to_string(i) + "s"};
    Wait(seconds(6));
  }
  EXPECT_EQ(Web().problem, "not asked again for 3s");
  EXPECT_EQ(std::count_if(notes_.begin(), notes_.end(),
                          [](const std::string& note) {
                            return note.find("cannot be read") != std::string::npos;
                          }),
            1);
}

TEST_F(SizingTest, OneThatWasNeverSeenIsRemovedAtOnce) {
  group_.fault = Error{ErrorKind::kInvalid, "there is no such group"};
  fleet_->Put(Spec(), 2, {});
  Wait(seconds(1));
  fleet_->Remove("web");
  EXPECT_EQ(fleet_->TakeLeft(), Lines{"web"});
  EXPECT_EQ(fleet_->Find("web"), nullptr);
}

TEST_F(SizingTest, AnExternalCapacityIsFollowedAndNeverSet) {
  Serve(2, CapacityOwner::kExternal);
  Want(9);
  group_.capacity = 3;
  group_.Follow();
  group_.AllBecome(InstanceState::kReady);
  Wait(seconds(6));
  EXPECT_TRUE(group_.history.empty());
  EXPECT_EQ(Web().desired, 3);
  EXPECT_EQ(gateway_.history.back(), "publish :a :b :c");
}

TEST_F(SizingTest, ABlockedTargetIsLeftAsItIsUntilItIsFree) {
  Serve(2);
  group_.blocked = "HorizontalPodAutoscaler web-hpa scales it";
  Wait(seconds(6));
  Want(4);
  EXPECT_TRUE(group_.history.empty());
  EXPECT_TRUE(WasTold("it is not scaled: HorizontalPodAutoscaler web-hpa scales it"));
  ServiceView view;
  fleet_->Describe("web", view);
  EXPECT_EQ(view.problem, "it is not scaled: HorizontalPodAutoscaler web-hpa scales it");
  group_.blocked.clear();
  Wait(seconds(6));
  EXPECT_EQ(group_.history, (Lines{"set 4"}));
}

TEST_F(SizingTest, AFailedWishIsAskedAgainAsTheSameIntent) {
  Serve(2);
  group_.error = Error{ErrorKind::kUnavailable, "no answer within 5 s"};
  Want(4);
  EXPECT_TRUE(WasTold("could not set its capacity to 4: no answer within 5 s"));
  group_.error.reset();
  Wait(seconds(5));
  ASSERT_GE(group_.history.size(), 2u);
  EXPECT_EQ(group_.history.back(), "set 4");
  EXPECT_EQ(group_.intents.front(), group_.intents.back());
  EXPECT_EQ(Web().problem, "");
}

TEST_F(SizingTest, AThrottledWishWaitsAsLongAsTheTargetSays) {
  Serve(2);
  group_.error = Error{ErrorKind::kThrottled, "rate exceeded", seconds(20)};
  Want(4);
  group_.error.reset();
  Wait(seconds(15));
  EXPECT_EQ(group_.history.size(), 1u);
  Wait(seconds(6));
  EXPECT_EQ(group_.history.size(), 2u);
  EXPECT_EQ(Web().failures, 0) << "that is no failure";
}

TEST_F(SizingTest, AConflictIsObservedAndDecidedAnew) {
  Serve(2);
  group_.error = Error{ErrorKind::kConflict, "the object has been modified"};
  const int before = group_.observations;
  Want(4);
  EXPECT_GT(group_.observations, before);
  group_.error.reset();
  Wait(seconds(6));
  EXPECT_EQ(group_.capacity, 4);
}

TEST_F(SizingTest, ATargetThatCannotBeReadChangesNothing) {
  Serve(3);
  const auto before = group_.instances;
  group_.fault = Error{ErrorKind::kUnavailable, "the answer is not JSON"};
  group_.instances.clear();
  Wait(seconds(20));
  EXPECT_EQ(CapacityOf(Web()).ready, 3);
  EXPECT_EQ(Web().problem, "the answer is not JSON");
  EXPECT_TRUE(WasTold("its target cannot be read: the answer is not JSON"));
  EXPECT_TRUE(gateway_.history.empty());
  group_.fault.reset();
  group_.instances = before;
  Wait(seconds(6));
  EXPECT_EQ(Web().problem, "");
  EXPECT_TRUE(WasTold("its target can be read again"));
}

TEST_F(SizingTest, AfterAKillTheStoredWishIsAskedAgainAndDrainsGoOn) {
  Serve(3);
  gateway_.status.endpoints = {{"10.0.0.1:c", 1}};
  Want(2);
  EXPECT_EQ(rows_.at("c").phase, InstancePhase::kDraining);
  std::vector<InstanceRow> rows;
  for (const auto& [id, row] : rows_) rows.push_back(row);
  Start();
  fleet_->Put(Spec(), 2, rows);
  Wait(seconds(1));
  EXPECT_TRUE(group_.history.empty()) << "it drains still";
  gateway_.status.endpoints.clear();
  Wait(seconds(3));
  EXPECT_EQ(group_.history, (Lines{"set 2 -c"}));

  Start();
  fleet_->Put(Spec(), 6, {});  // killed between the commit and the call
  Wait(seconds(1));
  EXPECT_EQ(group_.history.back(), "set 6");
}

TEST_F(SizingTest, ARemovedServiceLeavesItsTargetAsItIs) {
  Serve(3);
  fleet_->Remove("web");
  Pass();
  EXPECT_EQ(fleet_->TakeLeft(), (Lines{"web"}));
  EXPECT_TRUE(group_.history.empty());
  EXPECT_TRUE(gateway_.history.empty()) << "its list serves on";
}

TEST_F(SizingTest, ADryRunObservesTheRealCapacityAndSetsNone) {
  auto spec = Spec();
  spec->dry_run = true;
  group_.capacity = 2;
  group_.Follow();
  group_.AllBecome(InstanceState::kReady);
  fleet_->Put(spec, 2, {});
  Wait(seconds(1));
  Want(5);
  fleet_->Anchor("web");
  EXPECT_EQ(Web().desired, 2);
  EXPECT_TRUE(group_.history.empty());
}

TEST_F(SizingTest, AFourMinuteBootIsAskedForOnce) {
  Serve(1);
  Want(3);
  for (int i = 0; i < 16; ++i) {  // a tick of 15 s, the policy wants the same
    Wait(seconds(15));
    fleet_->SetDesired("web", 3);
  }
  EXPECT_EQ(group_.history, (Lines{"set 3"}));
  group_.AllBecome(InstanceState::kReady);
  Wait(seconds(6));
  EXPECT_TRUE(fleet_->IsSettled("web"));
}

}  // namespace
}  // namespace autoscale
