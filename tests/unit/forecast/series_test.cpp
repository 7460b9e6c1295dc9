#include "engine/forecast/series.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace autoscale {
namespace {

constexpr Millis kStep = std::chrono::minutes(5);

TEST(Series, ASlotIsTheTimeUntilTheNext) {
  const Series series(kStep, 10);
  EXPECT_EQ(series.SlotOf(TimePoint(kStep * 7)), 7);
  EXPECT_EQ(series.SlotOf(TimePoint(kStep * 8 - Millis(1))), 7);
  EXPECT_EQ(series.SlotOf(TimePoint(Millis(-1))), -1);
  EXPECT_EQ(series.SlotOf(TimePoint(-kStep)), -1);
}

TEST(Series, WhatWasNeverPutIsAGap) {
  Series series(kStep, 10);
  EXPECT_EQ(series.begin(), series.end());
  EXPECT_TRUE(std::isnan(series.At(0)));
  series.Put(5, 1.5);
  series.Put(8, 2.5);
  EXPECT_EQ(series.begin(), 5);
  EXPECT_EQ(series.end(), 9);
  EXPECT_EQ(series.At(5), 1.5F);
  EXPECT_TRUE(std::isnan(series.At(6)));
  EXPECT_EQ(series.At(8), 2.5F);
  EXPECT_TRUE(std::isnan(series.At(9)));
}

TEST(Series, HoldsTheNewest) {
  Series series(kStep, 3);  // the ring is larger
  for (int slot = 0; slot < 10; ++slot) series.Put(slot, slot);
  EXPECT_EQ(series.begin(), 7);
  EXPECT_TRUE(std::isnan(series.At(6)));
  EXPECT_EQ(series.At(7), 7.0F);
  series.Put(6, 66);  // older than all that is held
  EXPECT_EQ(series.begin(), 7);
  EXPECT_EQ(series.At(7), 7.0F);
  EXPECT_EQ(series.At(9), 9.0F);
}

TEST(Series, AnOlderSlotIsTakenWhereThereIsRoom) {
  Series series(kStep, 10);
  series.Put(8, 8);
  series.Put(5, 5);
  EXPECT_EQ(series.begin(), 5);
  EXPECT_TRUE(std::isnan(series.At(6)));
  EXPECT_EQ(series.At(8), 8.0F);
}

TEST(Series, AfterALongGapNothingOldIsLeft) {
  Series series(kStep, 4);
  for (int slot = 0; slot < 4; ++slot) series.Put(slot, slot);
  series.Put(1000, 1);
  for (int64_t slot = series.begin(); slot < 1000; ++slot) EXPECT_TRUE(std::isnan(series.At(slot)));
  EXPECT_EQ(series.At(1000), 1.0F);
}

TEST(Series, WhatIsNoNumberIsAGap) {
  Series series(kStep, 4);
  series.Put(1, 5);
  series.Put(1, std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(std::isnan(series.At(1)));
  series.Put(2, std::numeric_limits<double>::infinity());
  series.Put(3, 1e30);
  EXPECT_TRUE(std::isnan(series.At(2)));
  EXPECT_TRUE(std::isnan(series.At(3)));
}

// Against a plain map, whatever the order.
TEST(Series, IsAsAMapOfTheNewest) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const int slots = 1 + static_cast<int>(random() % 9);
    Series series(kStep, slots);
    std::vector<std::pair<int64_t, float>> put;
    int64_t newest = -1;
    for (int i = 0; i < 40; ++i) {
      const auto slot = static_cast<int64_t>(random() % 40);
      series.Put(slot, i);
      if (slot > newest - slots) put.emplace_back(slot, static_cast<float>(i));
      newest = std::max(newest, slot);
      for (int64_t at = newest - slots + 1; at <= newest; ++at) {
        float expected = std::numeric_limits<float>::quiet_NaN();
        for (const auto& [known, value] : put) expected = known == at ? value : expected;
        const float got = series.At(at);
        ASSERT_TRUE(got == expected || (std::isnan(got) && std::isnan(expected)))
            << "slot " << at << " of " << newest << ", " << slots << " slots";
      }
    }
  }
}

TEST(Median, OfEvenAndOdd) {
  float odd[] = {5, 1, 3};
  EXPECT_EQ(Median(odd, odd + 3), 3.0F);
  float even[] = {5, 1, 3, 4};
  EXPECT_EQ(Median(even, even + 4), 3.5F);
  float one[] = {2};
  EXPECT_EQ(Median(one, one + 1), 2.0F);
}

}  // namespace
}  // namespace autoscale
