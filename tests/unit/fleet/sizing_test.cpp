// Targets that have a capacity: what they are asked for, and when.
#include <gtest/gtest.h>

#include "daemon/fleet/fleet.h"
#include "daemon/fleet/recording.h"
#include "tests/fakes/group.h"
#include "tests/fakes/parts.h"

namespace autoscale {
namespace {

using std::chrono::seconds;
using Lines = std::vector<std::string>;

class SizingTest : public testing::Test {
 protected:
  SizingTest() { Start(); }

  // As after kill -9: a new daemon with what was stored of the former one.
  void Start() {
    fleet_ = std::make_unique<Fleet>(
        FleetOptions{.courier = courier_,
                     .clock = clock_,
                     .live = {{{"group", &group_}}, {{"edge", &gateway_}}},
                     .recording = {{{"group", &recording_}}, {{"edge", &recording_gateway_}}},
                     .counters = counters_,
                     .epoch = ++epoch_,
                     .note = [this](const std::string&, std::string text) {
                       notes_.push_back(std::move(text));
                     }});
  }

  std::shared_ptr<ServiceSpec> Spec(CapacityOwner owner = CapacityOwner::kManaged) {
    auto spec = std::make_shared<ServiceSpec>();
    spec->name = "web";
    spec->provider = "group";
    spec->target = std::make_shared<GroupTarget>();
    spec->gateways = {{"edge", "web"}};
    spec->owner = owner;
    return spec;
  }

  void Pass() {
    for (int i = 0; i < 5; ++i) {
      StoreBatch batch;
      courier_.Deliver();
      fleet_->Reconcile(clock_.Now(), batch);
      for (const InstanceRow& row : batch.instances) rows_[row.id] = row;
      for (const auto& [service, id] : batch.removed_instances) rows_.erase(id);
      for (const std::string& service : fleet_->TakeSizes()) {
        size_ = fleet_->Find(service)->sizing->stored;
        ++sizes_stored_;
      }
      fleet_->Act(clock_.Now());
      courier_.Deliver();
    }
  }
  void Wait(Millis time, Millis step = Millis(500)) {
    for (const TimePoint end = clock_.Now() + time; clock_.Now() < end;) {
      clock_.Advance(step);
      Pass();
    }
  }
  // Killed, and started again with what was stored.
  void Restart(int desired, CapacityOwner owner) {
    std::vector<InstanceRow> rows;
    for (const auto& [id, row] : rows_) rows.push_back(row);
    group_.dies = group_.loses_calls = false;
    notes_.clear();
    Start();
    fleet_->Put(Spec(owner), desired, rows);
    fleet_->RestoreSize("web", size_);
    Wait(seconds(1));
  }
  // Somebody else sets it, and the fleet sees it.
  void Meddle(int capacity) {
    group_.capacity = capacity;
    group_.Follow();
    group_.AllBecome(InstanceState::kReady);
    Wait(seconds(5));
  }
  // Nine times in a row; the tenth opens the breaker.
  void MeddleNineTimes() {
    Serve(2);
    Want(3);
    for (int i = 0; i < 9; ++i) {
      Meddle(7);
      Wait(std::chrono::minutes(5), seconds(5));
      ASSERT_EQ(group_.capacity, 3) << i;
    }
    ASSERT_EQ(Web().breaker, "");
    group_.history.clear();
  }
  // The service with a group of n that serve.
  void Serve(int n, CapacityOwner owner = CapacityOwner::kManaged) {
    group_.capacity = n;
    group_.Follow();
    group_.AllBecome(InstanceState::kReady);
    fleet_->Put(Spec(owner), n, {});
    Wait(seconds(1));
    ASSERT_EQ(CapacityOf(Web()).ready, n);
    ASSERT_EQ(group_.history, Lines{});
    notes_.clear();
    gateway_.history.clear();
  }
  void Want(int n) {
    fleet_->SetDesired("web", n);
    Wait(seconds(1));
  }
  const Member& Web() { return *fleet_->Find("web"); }
  bool WasTold(const std::string& text) {
    return std::any_of(notes_.begin(), notes_.end(), [&](const std::string& note) {
      return note.find(text) != std::string::npos;
    });
  }

  HeldClock clock_{TimePoint(seconds(1'700'000'000))};
  HandCourier courier_;
  FakeGroup group_;
  FakeGateway gateway_;
  RecordingProvider recording_{group_};
  RecordingGateway recording_gateway_;
  Counters counters_;
  Lines notes_;
  std::map<std::string, InstanceRow> rows_;
  SizeRow size_;
  int sizes_stored_ = 0;
  uint64_t epoch_ = 0;
  std::unique_ptr<Fleet> fleet_;
};

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

TEST_F(SizingTest, ManagedCapacityIsSetBackAndAFightEndsWithAPerson) {
  Serve(2);
  Want(3);
  group_.capacity = 7;
  Wait(seconds(7));
  EXPECT_TRUE(WasTold("its capacity was changed from 3 to 7 by somebody else: it is set back"));
  ASSERT_EQ(group_.history, (Lines{"set 3", "set 3"}));
  EXPECT_NE(group_.intents[0], group_.intents[1]) << "the same wish twice would be ignored";
  for (int i = 0; i < 40 && Web().breaker.empty(); ++i) {
    group_.capacity = 7;
    Wait(seconds(10));
  }
  EXPECT_FALSE(Web().breaker.empty());
  EXPECT_LT(group_.history.size(), 30u);
}

TEST_F(SizingTest, WhoActsEachFiveMinutesIsNotFoughtForEver) {
  MeddleNineTimes();
  Meddle(7);
  EXPECT_EQ(Web().breaker,
            "its capacity was changed 10 times within 46 min by somebody else, and set back each "
            "time but the last, when it went from 3 to 7");
  EXPECT_TRUE(WasTold("from 3 to 7 by somebody else: it is left so until a person has looked"));
  EXPECT_EQ(Web().failures, 0);
  for (const int capacity : {5, 2, 7, 8}) {
    Meddle(capacity);
    Wait(std::chrono::minutes(20), seconds(5));
  }
  EXPECT_EQ(group_.history, Lines{}) << "it is left alone";
  EXPECT_EQ(CapacityOf(Web()).ready, 8) << "what is there serves";
  fleet_->CloseBreaker("web");
  Wait(seconds(2));
  EXPECT_EQ(group_.capacity, 3) << "by a person it is ours again";
  EXPECT_EQ(Web().contests, 0);
}

TEST_F(SizingTest, EachTimeItIsSetBackLater) {
  Serve(2);
  Want(3);
  std::vector<Millis> waits;
  for (int i = 0; i < 9; ++i) {
    Meddle(7);
    waits.push_back(Web().sizing->retry_at - Web().last_contest);
    Wait(std::chrono::minutes(2));
  }
  const std::vector<Millis> doubled = {Millis(500), seconds(1),  seconds(2),
                                       seconds(4),  seconds(8),  seconds(16),
                                       seconds(32), seconds(60), seconds(60)};
  EXPECT_EQ(waits, doubled);
}

TEST_F(SizingTest, AnHourWithoutAChangeEndsTheRow) {
  MeddleNineTimes();
  Wait(std::chrono::minutes(56), seconds(5));
  Meddle(7);
  EXPECT_EQ(Web().contests, 1);
  EXPECT_EQ(Web().breaker, "");
}

TEST_F(SizingTest, ContestsAndFailuresAreCountedApart) {
  MeddleNineTimes();
  EXPECT_EQ(Web().failures, 0);
  group_.error = Error{ErrorKind::kUnavailable, "it is down"};
  Want(4);
  EXPECT_GT(Web().failures, 0);
  group_.error.reset();
  Wait(std::chrono::minutes(2));
  EXPECT_EQ(Web().failures, 0) << "its capacity holds";
  EXPECT_EQ(Web().contests, 9);
  Meddle(7);
  EXPECT_EQ(Web().contests, 10);
}

TEST_F(SizingTest, WhoeverAgreesClosesTheBreakerByAnHourOfIt) {
  MeddleNineTimes();
  Meddle(7);
  Meddle(3);
  Wait(std::chrono::minutes(59), seconds(5));
  EXPECT_NE(Web().breaker, "");
  Wait(std::chrono::minutes(2), seconds(5));
  EXPECT_EQ(Web().breaker, "");
  EXPECT_TRUE(WasTold("the breaker closes: nobody has changed its capacity for an hour"));
}

TEST_F(SizingTest, AnotherCapacityThanOursClosesNothingHoweverLong) {
  MeddleNineTimes();
  Meddle(7);
  Wait(std::chrono::hours(3), seconds(10));
  EXPECT_NE(Web().breaker, "");
  EXPECT_EQ(group_.history, Lines{});
}

TEST_F(SizingTest, WhatDrainsServesAgainWhereItsCapacityIsContested) {
  MeddleNineTimes();
  gateway_.status.endpoints = {{"10.0.0.1:b", 1}, {"10.0.0.1:c", 1}};
  Want(1);
  ASSERT_EQ(gateway_.history.back(), "publish :a :b(draining) :c(draining)");
  Meddle(7);
  EXPECT_EQ(CapacityOf(Web()).ready, 7);
  EXPECT_TRUE(WasTold("b is taken back: the capacity is left as it is"));
  gateway_.status.endpoints.clear();
  Wait(std::chrono::minutes(1));
  EXPECT_EQ(group_.history, Lines{});
}

TEST_F(SizingTest, AContestThatStoppedItStopsItAlsoAfterACrash) {
  MeddleNineTimes();
  Meddle(7);
  const ServiceRow row{.name = "web",
                       .breaker = Web().breaker,
                       .breaker_since = Web().breaker_since,
                       .contested = Web().contested};
  Restart(3, CapacityOwner::kManaged);
  Wait(seconds(2));
  EXPECT_EQ(group_.capacity, 3) << "without that row it is taken up again";
  group_.history.clear();
  group_.capacity = 7;
  group_.Follow();
  Start();
  fleet_->Put(Spec(), 3, {});
  fleet_->RestoreSize("web", size_);
  fleet_->RestoreBreaker("web", row);
  Wait(std::chrono::minutes(70), seconds(5));
  EXPECT_EQ(Web().breaker, row.breaker);
  EXPECT_EQ(group_.history, Lines{});
}

// --- While nobody looked ---

TEST_F(SizingTest, WhatSomebodySetWhileNobodyLookedHoldsWhereItIsShared) {
  Serve(2, CapacityOwner::kShared);
  Want(3);
  ASSERT_EQ(size_, (SizeRow{.capacity = 3}));
  group_.capacity = 6;
  group_.Follow();
  Restart(3, CapacityOwner::kShared);
  EXPECT_EQ(Web().desired, 6);
  EXPECT_TRUE(WasTold("its capacity was changed from 3 to 6 by somebody else: that holds"));
  Wait(seconds(20));
  EXPECT_EQ(group_.history, (Lines{"set 3"}));
  EXPECT_EQ(size_, (SizeRow{.capacity = 6}));
}

TEST_F(SizingTest, WhatSomebodySetWhileNobodyLookedIsSetBackAndToldWhereItIsManaged) {
  Serve(2);
  Want(3);
  group_.capacity = 6;
  group_.Follow();
  Restart(3, CapacityOwner::kManaged);
  Wait(seconds(2));
  EXPECT_TRUE(WasTold("its capacity was changed from 3 to 6 by somebody else: it is set back"));
  EXPECT_EQ(group_.capacity, 3);
  EXPECT_EQ(Web().contests, 1);
}

TEST_F(SizingTest, WhatSomebodySetWhileNobodyLookedIsFollowedWhereItIsExternal) {
  Serve(2, CapacityOwner::kExternal);
  group_.capacity = 6;
  group_.Follow();
  Restart(2, CapacityOwner::kExternal);
  EXPECT_EQ(Web().desired, 6);
  EXPECT_FALSE(WasTold("by somebody else"));
  EXPECT_EQ(group_.history, Lines{});
}

TEST_F(SizingTest, AWishWhoseAnswerACrashHasLostIsNobodyElsesChange) {
  for (const bool ends_exactly : {true, false}) {
    for (const int wanted : {5, 1}) {
      for (const bool taken : {true, false}) {
        SCOPED_TRACE(std::to_string(wanted) + (ends_exactly ? " exactly" : "") +
                     (taken ? " taken" : ""));
        group_ = {};
        rows_.clear();
        Start();
        group_.abilities.ends_exactly = ends_exactly;
        Serve(3, CapacityOwner::kShared);
        group_.dies = true;
        group_.loses_calls = !taken;
        Want(wanted);
        Wait(seconds(2));
        ASSERT_EQ(group_.history.size(), 1u);
        EXPECT_EQ(size_, (SizeRow{.capacity = 3, .asked = wanted}));
        if (taken && ends_exactly && wanted < 3) group_.instances = {*group_.instances.find("a")};
        group_.Follow();
        Restart(wanted, CapacityOwner::kShared);
        Wait(seconds(10));
        EXPECT_EQ(Web().desired, wanted);
        EXPECT_FALSE(WasTold("by somebody else"));
        EXPECT_EQ(group_.capacity, wanted);
        EXPECT_EQ(static_cast<int>(group_.instances.size()), wanted);
      }
    }
  }
}

TEST_F(SizingTest, WhatALostWishHasDoneInPartIsNobodyElsesChangeAfterACrash) {
  Serve(4, CapacityOwner::kShared);
  group_.dies = group_.loses_calls = true;
  Want(1);
  Wait(seconds(2));
  ASSERT_EQ(group_.history, (Lines{"set 1 -b -c -d"}));
  group_.capacity = 3;  // it has ended one of the three
  group_.instances.erase("b");
  Restart(1, CapacityOwner::kShared);
  Wait(seconds(5));
  EXPECT_EQ(Web().desired, 1);
  EXPECT_FALSE(WasTold("by somebody else"));
  EXPECT_EQ(group_.history.back(), "set 1 -c -d");
}

TEST_F(SizingTest, SomebodyElsesChangeAfterALostWishIsTheirs) {
  Serve(3, CapacityOwner::kShared);
  group_.dies = true;
  Want(5);
  group_.capacity = 8;
  group_.Follow();
  Restart(5, CapacityOwner::kShared);
  EXPECT_EQ(Web().desired, 8);
  EXPECT_TRUE(WasTold("its capacity was changed from 3 to 8 by somebody else: that holds"));
}

TEST_F(SizingTest, WhatDrainsOverACrashIsNobodyElsesChange) {
  Serve(3, CapacityOwner::kShared);
  gateway_.status.endpoints = {{"10.0.0.1:c", 1}};
  Want(2);
  Restart(2, CapacityOwner::kShared);
  EXPECT_EQ(Web().desired, 2);
  gateway_.status.endpoints.clear();
  Wait(seconds(3));
  EXPECT_EQ(group_.history, (Lines{"set 2 -c"}));
  EXPECT_FALSE(WasTold("by somebody else"));
}

TEST_F(SizingTest, AWishIsStoredBeforeItIsAsked) {
  Serve(2);
  fleet_->SetDesired("web", 4);
  StoreBatch batch;
  fleet_->Reconcile(clock_.Now(), batch);
  EXPECT_EQ(fleet_->TakeSizes(), Lines{"web"});
  EXPECT_EQ(Web().sizing->stored, (SizeRow{.capacity = 2, .asked = 4}));
  // Decided on since, and not stored: that waits for the next pass.
  fleet_->SetDesired("web", 6);
  fleet_->Act(clock_.Now());
  courier_.Deliver();
  EXPECT_EQ(group_.history, Lines{});
  Pass();
  EXPECT_EQ(group_.history, Lines{"set 6"});
}

TEST_F(SizingTest, TheCapacityIsStoredWhenItChangesAndNotOtherwise) {
  Serve(2);
  EXPECT_EQ(sizes_stored_, 1);
  Wait(std::chrono::minutes(10), seconds(5));
  EXPECT_EQ(sizes_stored_, 1);
  Want(5);
  EXPECT_EQ(sizes_stored_, 3) << "what is asked for, and that it was taken";
  group_.error = Error{ErrorKind::kUnavailable, "it is down"};
  Want(6);
  Wait(std::chrono::minutes(10), seconds(5));
  EXPECT_EQ(sizes_stored_, 4) << "however often it fails";
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
