#include "engine/forecast/anomaly.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/forecast/loads.h"

namespace autoscale {
namespace {

double NoisyDaily(int64_t slot) { return Daily(slot) * (1 + 0.1 * Noise(slot)); }

TEST(Anomaly, WhatIsUsualAtThisHourIsNotOdd) {
  const Series series = Recorded(10, NoisyDaily);
  for (int64_t slot = series.end() - kDay; slot < series.end(); slot += 5) {
    const auto usual = UsualAt(series, slot, kDay);
    ASSERT_TRUE(usual);
    EXPECT_LT(std::abs(OddnessOf(*usual, series.At(slot))), 4) << slot - kStart;
  }
}

TEST(Anomaly, WhatIsUsualAtAnotherHourIs) {
  const Series series = Recorded(10, NoisyDaily);
  const int64_t midnight = series.end() - kDay;
  const auto usual = UsualAt(series, midnight, kDay);
  ASSERT_TRUE(usual);
  EXPECT_GT(OddnessOf(*usual, 300), 10);  // noon's load at midnight
  const auto at_noon = UsualAt(series, midnight + kDay / 2, kDay);
  ASSERT_TRUE(at_noon);
  EXPECT_LT(OddnessOf(*at_noon, 100), -5);
}

TEST(Anomaly, OldAnomaliesDoNotHideNewOnes) {
  Series series = Recorded(10, NoisyDaily);
  const int64_t now = series.end() - 1;
  series.Put(now - kDay, 5000);
  series.Put(now - 2 * kDay, 5000);
  EXPECT_GT(OddnessOf(*UsualAt(series, now, kDay), 1000), 10);
}

TEST(Anomaly, WithoutSeasonsTheLastHoursAreWhatIsUsual) {
  Series series(std::chrono::minutes(5), 14 * kDay);
  EXPECT_FALSE(UsualAt(series, kStart, kDay));
  for (int i = 0; i < 11; ++i) series.Put(kStart + i, 100 + i % 3);
  EXPECT_FALSE(UsualAt(series, kStart + 11, kDay));
  series.Put(kStart + 11, 100);
  const auto usual = UsualAt(series, kStart + 12, kDay);
  ASSERT_TRUE(usual);
  EXPECT_NEAR(usual->median, 101, 1);
  EXPECT_GT(OddnessOf(*usual, 200), 10);
}

TEST(Anomaly, TheValueItselfIsNotPartOfWhatIsUsual) {
  Series series(std::chrono::minutes(5), 14 * kDay);
  for (int i = 0; i < 24; ++i) series.Put(kStart + i, 100);
  const auto before = UsualAt(series, kStart + 24, kDay);
  series.Put(kStart + 24, 1e9);
  const auto after = UsualAt(series, kStart + 24, kDay);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->median, after->median);
  EXPECT_EQ(before->spread, after->spread);
}

TEST(Anomaly, IsBounded) {
  EXPECT_EQ(OddnessOf({.median = 100, .spread = 1}, 1e18), kMostOdd);
  EXPECT_EQ(OddnessOf({.median = 100, .spread = 1}, -1e18), -kMostOdd);
  EXPECT_EQ(OddnessOf({.median = 0, .spread = 0}, 1e-9), kMostOdd);
  EXPECT_EQ(OddnessOf({.median = 0, .spread = 0}, 0), 0);
}

TEST(Anomaly, WhatHardlyMovesIsNotOddWhenItMovesALittle) {
  EXPECT_LT(OddnessOf({.median = 100, .spread = 0}, 105), 1.1);
  EXPECT_GT(OddnessOf({.median = 100, .spread = 0}, 200), 10);
}

}  // namespace
}  // namespace autoscale
