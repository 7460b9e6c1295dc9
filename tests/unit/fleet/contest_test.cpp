// A capacity that somebody else sets as well.
#include <gtest/gtest.h>

#include "tests/unit/fleet/sizing_rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

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

}  // namespace
}  // namespace autoscale
