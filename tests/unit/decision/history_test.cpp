#include "engine/decision/history.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(1'700'000'000)};

TEST(History, EqualProposalsThatFollowEachOtherAreOneRun) {
  History history;
  EXPECT_TRUE(history.AddProposal(kStart, 4));
  EXPECT_FALSE(history.AddProposal(kStart + seconds(15), 4));
  EXPECT_TRUE(history.AddProposal(kStart + seconds(30), 5));
  ASSERT_EQ(history.proposals().size(), 2u);
  EXPECT_EQ(history.proposals()[0].first, kStart);
  EXPECT_EQ(history.proposals()[0].last, kStart + seconds(15));
}

TEST(History, AChangeThatWasNeverMadeIsTakenOut) {
  History history;
  history.AddChange(kStart, -1);
  const HistoryMark mark = history.Mark();
  const History before = history;
  history.AddChange(kStart + seconds(10), +2);
  ASSERT_EQ(history.reversals().size(), 1u);
  const auto undone = history.UndoChange(kStart + seconds(10), mark);
  ASSERT_TRUE(undone.has_value());
  EXPECT_EQ(undone->delta, 2);
  EXPECT_EQ(history, before);
  EXPECT_FALSE(history.UndoChange(kStart + seconds(10), mark).has_value()) << "once";
  EXPECT_EQ(history, before);
}

TEST(History, ForgetKeepsWhatAWindowStillSees) {
  ScalingRules rules;
  rules.down.stabilization = minutes(5);
  rules.up.limits = {{RateLimit::Kind::kInstances, 1, minutes(1)}};
  History history;
  history.AddProposal(kStart, 9);
  history.AddProposal(kStart + minutes(1), 3);
  history.AddProposal(kStart + minutes(2), 2);
  history.AddChange(kStart, +2);
  history.AddChange(kStart + minutes(5), -1);
  history.Forget(kStart + minutes(6), rules);
  // Windows reach back to +1 min: 9 (at +0) is out, 3 (at +1) still in. Changes reach back one
  // minute.
  ASSERT_EQ(history.proposals().size(), 2u);
  EXPECT_EQ(history.proposals()[0].capacity, 3);
  ASSERT_EQ(history.changes().size(), 1u);
  EXPECT_EQ(history.changes()[0].delta, -1);
  // Cooldowns do not hang on what was forgotten.
  EXPECT_EQ(history.last_out(), kStart);
}

TEST(History, ForgetKeepsWhatTheBudgetCounts) {
  History history;
  history.AddChange(kStart, +2);
  history.Forget(kStart + seconds(59), ScalingRules{});
  EXPECT_EQ(history.changes().size(), 1u);
  history.Forget(kStart + seconds(61), ScalingRules{});
  EXPECT_TRUE(history.changes().empty());
}

TEST(History, ForgetKeepsTheLastProposal) {
  History history;
  history.AddProposal(kStart, 9);
  history.Forget(kStart + std::chrono::hours(5), ScalingRules{});
  EXPECT_EQ(history.proposals().size(), 1u);
}

TEST(History, ANoisyPolicyLeavesAHandfulOfRuns) {
  ScalingRules rules;
  rules.up.stabilization = minutes(5);
  History history;
  for (int i = 0; i < 1000; ++i) {
    history.AddProposal(kStart + Millis(250 * i), 5 + i % 2);
    history.Forget(kStart + Millis(250 * i), rules);
  }
  // The last 5 and the last 6 are the least and the greatest of any window.
  EXPECT_EQ(history.proposals().size(), 2u);
  history.AddProposal(kStart + Millis(250'000), 9);
  history.AddProposal(kStart + Millis(250'250), 7);
  history.Forget(kStart + Millis(250'250), rules);
  // 5 is the least, and 6 when 5 has left the window; 9 is the greatest; 7 is now.
  ASSERT_EQ(history.proposals().size(), 4u);
  EXPECT_EQ(history.proposals()[0].capacity, 5);
  EXPECT_EQ(history.proposals()[2].capacity, 9);
}

TEST(History, ResumeStretchesTheLastRunOverTheGap) {
  History history;
  history.AddProposal(kStart, 9);
  history.Resume(kStart + minutes(3));
  EXPECT_EQ(history.proposals()[0].last, kStart + minutes(3));
}

TEST(History, SurvivesEncodingExactly) {
  History history;
  history.AddProposal(kStart, 4);
  history.AddProposal(kStart + seconds(15), 0);
  history.AddChange(kStart + seconds(1), -3);
  history.AddChange(kStart + seconds(2), 7);
  const auto decoded = History::Decode(history.Encode());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, history);
  EXPECT_EQ(*History::Decode(""), History{});
}

TEST(History, RefusesMalformedText) {
  for (const char* text :
       {"P", "P1 2", "X1 ", "C1 x", "P1 2 99999999999", "O", "1 2 3", "C1 2 3 "}) {
    EXPECT_FALSE(History::Decode(text).ok()) << text;
  }
}

TEST(History, RefusesWhatNoDaemonWouldHaveWritten) {
  // Capacities and steps over a million, negative capacities, times before 1970 or after 9999:
  // with them windows would overflow.
  for (const char* text :
       {"P1 2 1000001 ", "P1 2 -1 ", "C1 1000001 ", "C1 -1000001 ", "C1 -2147483648 ", "O-1 ",
        "I253402300800000 ", "O-9223372036854775808 ", "P1 9223372036854775807 3 "}) {
    EXPECT_FALSE(History::Decode(text).ok()) << text;
  }
  EXPECT_TRUE(History::Decode("P0 253402300799999 1000000 C5 -1000000 O0 I7 ").ok());
}

TEST(History, AChangeTheOtherWayIsAReversal) {
  ScalingRules rules;
  rules.reversals = {.most = 3, .period = minutes(10)};
  History history;
  for (const int delta : {+1, +2, -1, -1, +1}) {
    history.AddChange(kStart + seconds(history.changes().size()), delta);
  }
  const std::vector<TimePoint> expected = {kStart + seconds(2), kStart + seconds(4)};
  EXPECT_EQ(history.reversals(), expected);
  const auto again = History::Decode(history.Encode());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->reversals(), expected);
  EXPECT_EQ(*again, history);
  history.Forget(kStart + seconds(10), rules);
  EXPECT_EQ(history.reversals(), expected);
  history.Forget(kStart + seconds(2) + minutes(10), rules);
  EXPECT_EQ(history.reversals().size(), 1u);
  history.Forget(kStart + seconds(10), ScalingRules{});  // nobody counts them
  EXPECT_TRUE(history.reversals().empty());
}

TEST(History, OfManyReversalsTheLatestAreKept) {
  ScalingRules rules;
  rules.reversals = {.most = 3, .period = minutes(10)};
  History history;
  for (int i = 0; i < 100; ++i) history.AddChange(kStart + seconds(i), i % 2 == 0 ? 1 : -1);
  history.Forget(kStart + seconds(100), rules);
  ASSERT_EQ(history.reversals().size(), 3u);
  EXPECT_EQ(history.reversals().back(), kStart + seconds(99));
}

// As a version that did not know of reversals left it.
TEST(History, WhatAnOlderVersionStoredIsRead) {
  const auto history = History::Decode("P1000 2000 7 C1500 3 O1500 I900 ");
  ASSERT_TRUE(history.ok());
  EXPECT_TRUE(history->reversals().empty());
  EXPECT_EQ(history->last_out(), TimePoint(Millis(1500)));
}

}  // namespace
}  // namespace autoscale
