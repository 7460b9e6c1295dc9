#include <gtest/gtest.h>

#include "daemon/controller/service.h"

namespace autoscale {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const TimePoint kStart{minutes(1000)};

TEST(KeptHolds, OneThatComesAndGoesIsKeptOnceInAWhile) {
  KeptHolds holds;
  EXPECT_TRUE(holds.Take(1, kStart));
  EXPECT_TRUE(holds.Take(2, kStart + seconds(15)));
  EXPECT_FALSE(holds.Take(1, kStart + seconds(30)));
  EXPECT_FALSE(holds.Take(1, kStart + KeptHolds::kAgain - Millis(1)));
  EXPECT_TRUE(holds.Take(1, kStart + KeptHolds::kAgain));
  EXPECT_FALSE(holds.Take(2, kStart + KeptHolds::kAgain));
}

TEST(KeptHolds, HoweverManyKindsThereAreTheirNumberIsBounded) {
  KeptHolds holds;
  size_t kept = 0;
  for (uint64_t tick = 0; tick < 240; ++tick) {  // an hour, each tick another
    if (holds.Take(tick, kStart + seconds(15) * tick)) ++kept;
  }
  EXPECT_EQ(kept, 6 * KeptHolds::kMost);
}

TEST(ToldSeldom, WhatComesAndGoesIsToldAFewTimesAWhile) {
  ToldSeldom lines;
  int told = 0;
  for (int tick = 0; tick < 240; ++tick) {  // an hour
    if (lines.Take(kStart + seconds(15) * tick)) ++told;
    if (tick == 0) EXPECT_EQ(told, 1);  // at once
  }
  EXPECT_EQ(told, 6 * ToldSeldom::kMost);
}

}  // namespace
}  // namespace autoscale
