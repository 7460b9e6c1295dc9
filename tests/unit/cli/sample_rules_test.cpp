#include "engine/model/sample_rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace autoscale {
namespace {

constexpr Millis kMaxAge{60'000};

Sample Fresh(double value) {
  Sample sample;
  sample.value = value;
  sample.state = SampleState::kFresh;
  return sample;
}

Sample In(SampleState state) {
  Sample sample = Fresh(0.5);
  sample.state = state;
  return sample;
}

SampleState StateOf(Sample sample, std::optional<double> when_empty = {},
                    std::optional<double> when_nan = {}) {
  return Judge(std::move(sample), when_empty, when_nan, kMaxAge).state;
}

TEST(Judge, AgeAtTheLimitIsFreshAndBeyondIsStale) {
  Sample sample = Fresh(1);
  sample.age_s = 60.0f;
  EXPECT_EQ(StateOf(sample), SampleState::kFresh);
  sample.age_s = 60.01f;
  EXPECT_EQ(StateOf(sample), SampleState::kStale);
  // 0.1f is more than 0.1, and must not be.
  sample.age_s = 0.1f;
  EXPECT_EQ(Judge(sample, {}, {}, Millis(100)).state, SampleState::kFresh);
}

TEST(Judge, NineOfTenInstancesAreEnough) {
  Sample sample = Fresh(1);
  sample.coverage = 0.9f;
  EXPECT_EQ(StateOf(sample), SampleState::kFresh);
  sample.coverage = 0.89f;
  EXPECT_EQ(StateOf(sample), SampleState::kPartial);
  sample.coverage = 0.0f;
  EXPECT_EQ(StateOf(sample), SampleState::kPartial);
}

TEST(Judge, EmptyAndNaNTakeTheValueTheyWereGiven) {
  Sample empty = Judge(In(SampleState::kEmpty), 0.25, {}, kMaxAge);
  EXPECT_EQ(empty.state, SampleState::kFresh);
  EXPECT_EQ(empty.value, 0.25);
  EXPECT_TRUE(empty.substituted);
  EXPECT_EQ(StateOf(In(SampleState::kEmpty), {}, 0.0), SampleState::kEmpty);

  const Sample nan = Judge(In(SampleState::kNaN), {}, 0.75, kMaxAge);
  EXPECT_EQ(nan.state, SampleState::kFresh);
  EXPECT_EQ(nan.value, 0.75);
  EXPECT_TRUE(nan.substituted);
  EXPECT_EQ(StateOf(In(SampleState::kNaN), 0.0, {}), SampleState::kNaN);
  EXPECT_FALSE(Judge(Fresh(1), 0.0, 0.0, kMaxAge).substituted);
}

TEST(Judge, ANumberThatIsNoneIsNaN) {
  EXPECT_EQ(StateOf(Fresh(std::nan(""))), SampleState::kNaN);
  EXPECT_EQ(StateOf(Fresh(-std::numeric_limits<double>::infinity())), SampleState::kNaN);
  EXPECT_EQ(StateOf(Fresh(std::nan("")), {}, 0.0), SampleState::kFresh);
}

TEST(Judge, ADeadExporterIsNotAServiceWithoutTraffic) {
  Sample nan = In(SampleState::kNaN);
  nan.age_s = 600;
  EXPECT_EQ(StateOf(nan, 0.0, 0.0), SampleState::kStale);
  nan.age_s = 1;
  nan.coverage = 0.5f;
  EXPECT_EQ(StateOf(nan, 0.0, 0.0), SampleState::kPartial);
  Sample empty = In(SampleState::kEmpty);
  empty.age_s = 600;
  EXPECT_EQ(StateOf(empty, 0.0, 0.0), SampleState::kStale);
  empty.age_s.reset();
  empty.coverage = 0.0f;  // nothing speaks for nobody: that is what empty means
  EXPECT_EQ(StateOf(empty, 0.0, 0.0), SampleState::kFresh);
}

TEST(Judge, WhatIsAlreadyJudgedStands) {
  for (const SampleState state :
       {SampleState::kStale, SampleState::kPartial, SampleState::kError}) {
    EXPECT_EQ(StateOf(In(state), 0.0, 0.0), state);
  }
}

}  // namespace
}  // namespace autoscale
