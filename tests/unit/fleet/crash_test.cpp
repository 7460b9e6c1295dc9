// What became of a capacity while no daemon looked.
#include <gtest/gtest.h>

#include "tests/unit/fleet/sizing_rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

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

}  // namespace
}  // namespace autoscale
