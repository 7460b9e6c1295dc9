#include "engine/decision/deal.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace autoscale {
namespace {

using Shares = std::vector<int>;

Shares DealOut(double left, const std::vector<int>& amounts) {
  std::vector<Wish> wishes;
  for (const int amount : amounts) wishes.push_back({.amount = amount});
  return Deal(left, wishes);
}

TEST(Deal, AllIsGrantedWhileThereIsEnough) {
  EXPECT_EQ(DealOut(10, {3, 7}), (Shares{3, 7}));
  EXPECT_EQ(DealOut(100, {3, 0, 7}), (Shares{3, 0, 7}));
  EXPECT_EQ(DealOut(0, {3, 7}), (Shares{0, 0}));
  EXPECT_EQ(DealOut(-4, {3}), (Shares{0}));
  EXPECT_EQ(DealOut(4, {}), Shares{});
}

TEST(Deal, WhoWantsLittleHasItAndTheOthersShareEqually) {
  EXPECT_EQ(DealOut(12, {2, 100, 100}), (Shares{2, 5, 5}));
  EXPECT_EQ(DealOut(12, {100, 2, 6}), (Shares{5, 2, 5}));
  EXPECT_EQ(DealOut(12, {100, 2, 4}), (Shares{6, 2, 4}));
}

TEST(Deal, WhatCannotBeDividedGoesToTheEarlier) {
  EXPECT_EQ(DealOut(11, {100, 100, 100}), (Shares{4, 4, 3}));
  EXPECT_EQ(DealOut(1, {5, 5, 5}), (Shares{1, 0, 0}));
}

TEST(Deal, TheMoreUrgentComeFirst) {
  const std::vector<Wish> wishes = {{Urgency::kIn, 5}, {Urgency::kOut, 4}, {Urgency::kBelowMin, 3}};
  EXPECT_EQ(Deal(12, wishes), (Shares{5, 4, 3}));
  EXPECT_EQ(Deal(8, wishes), (Shares{1, 4, 3}));
  EXPECT_EQ(Deal(5, wishes), (Shares{0, 2, 3}));
  EXPECT_EQ(Deal(2, wishes), (Shares{0, 0, 2}));
}

TEST(Deal, MoneyIsSharedNotInstances) {
  // 6 each: three at 2, one at 4 and half of the next, which the first takes as one more.
  EXPECT_EQ(Deal(12, std::vector<Wish>{{Urgency::kOut, 10, 2}, {Urgency::kOut, 10, 4}}),
            (Shares{4, 1}));
  EXPECT_EQ(Deal(3, std::vector<Wish>{{Urgency::kOut, 10, 4}, {Urgency::kOut, 10, 1}}),
            (Shares{0, 3}));
  // 0.1 ten times is 1, whatever binary fractions say.
  EXPECT_EQ(Deal(1, std::vector<Wish>{{Urgency::kOut, 20, 0.1}}), (Shares{10}));
  EXPECT_EQ(Deal(0.3, std::vector<Wish>{{Urgency::kOut, 3, 0.1}}), (Shares{3}));
}

TEST(Deal, WhatSomebodyHasHadCounts) {
  const auto deal = [](double left, int had_a, int had_b) {
    return Deal(left, std::vector<Wish>{{.amount = 9, .had = had_a}, {.amount = 9, .had = had_b}});
  };
  EXPECT_EQ(deal(2, 3, 0), (Shares{0, 2}));
  EXPECT_EQ(deal(5, 3, 0), (Shares{1, 4}));
  EXPECT_EQ(deal(6, 3, 0), (Shares{2, 4}));  // both have 4: the odd one to the earlier
  EXPECT_EQ(deal(18, 50, 0), (Shares{9, 9}));
}

// Never more than there is, nothing left that somebody could have, and nobody in want has less by
// more than one than another of the same urgency.
TEST(Deal, IsFairWhateverIsWanted) {
  std::mt19937 random(4711);
  for (int round = 0; round < 20'000; ++round) {
    const int left = static_cast<int>(random() % 60);
    std::vector<Wish> wishes(random() % 9);
    int wanted = 0;
    for (Wish& wish : wishes) {
      wish = {.amount = static_cast<int>(random() % 25), .had = static_cast<int>(random() % 9)};
      wanted += wish.amount;
    }
    const Shares granted = Deal(left, wishes);
    ASSERT_EQ(std::accumulate(granted.begin(), granted.end(), 0), std::min(left, wanted));
    for (size_t i = 0; i < wishes.size(); ++i) {
      ASSERT_LE(granted[i], wishes[i].amount);
      for (size_t j = 0; j < wishes.size() && granted[i] < wishes[i].amount; ++j) {
        if (granted[j] == 0) continue;
        ASSERT_LE(wishes[j].had + granted[j], wishes[i].had + granted[i] + 1) << left;
      }
    }
  }
}

}  // namespace
}  // namespace autoscale
