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

}  // namespace
}  // namespace autoscale
