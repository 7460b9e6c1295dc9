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
  return Judge(std::move(sample),
               {.when_empty = when_empty, .when_nan = when_nan, .max_age = kMaxAge})
      .state;
}

TEST(Judge, AgeAtTheLimitIsFreshAndBeyondIsStale) {
  Sample sample = Fresh(1);
  sample.age_s = 60.0f;
  EXPECT_EQ(StateOf(sample), SampleState::kFresh);
  sample.age_s = 60.01f;
  EXPECT_EQ(StateOf(sample), SampleState::kStale);
  // 0.1f is more than 0.1, and must not be.
  sample.age_s = 0.1f;
  EXPECT_EQ(Judge(sample, {.max_age = Millis(100)}).state, SampleState::kFresh);
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

TEST(Judge, WhatCannotBeTrueIsImplausible) {
  const auto fault_of = [](Sample sample, SampleRules rules = {}) {
    rules.max_age = kMaxAge;
    rules.when_empty = rules.when_nan = 0.0;  // stand for other things
    sample = Judge(std::move(sample), rules);
    if (sample.state != SampleState::kImplausible) return std::string(ToString(sample.state));
    return *sample.error;
  };
  EXPECT_EQ(fault_of(Fresh(-3)),
            "the value -3 is below 0; where that is meant, declare `negative: true`");
  EXPECT_EQ(fault_of(Fresh(-3), {.may_be_negative = true}), "fresh");
  EXPECT_EQ(fault_of(Fresh(0)), "fresh");
  EXPECT_EQ(fault_of(Fresh(-0.0)), "fresh");
  EXPECT_EQ(fault_of(Fresh(1e300)), "the value 1e+300 is beyond anything that could be measured");
  EXPECT_EQ(fault_of(Fresh(1e18)), "fresh");

  Sample twice = Fresh(1);
  twice.coverage = 2.0F;
  EXPECT_EQ(fault_of(twice, {.exact_count = true}),
            "200 % of the series expected answer: something is counted twice");
  EXPECT_EQ(fault_of(twice), "fresh");  // instances that are young or drain have series too
  twice.coverage = 1.5F;
  EXPECT_EQ(fault_of(twice, {.exact_count = true}), "fresh");

  Sample future = Fresh(1);
  future.age_s = -600.0F;
  EXPECT_EQ(fault_of(future), "its newest data is 600 s in the future");
  future.age_s = -60.0F;  // as far as clocks may be apart
  EXPECT_EQ(fault_of(future), "fresh");
  EXPECT_EQ(Judge(future, {.max_age = kMaxAge}).age_s, 0.0F);

  // One instance of several is enough.
  Sample instances = Fresh(1);
  instances.instances = {{.instance = "a", .value = 3}, {.instance = "b", .value = -1}};
  EXPECT_EQ(fault_of(instances).substr(0, 25), "the value -1 is below 0; ");
}

TEST(Judge, EmptyAndNaNTakeTheValueTheyWereGiven) {
  Sample empty = Judge(In(SampleState::kEmpty), {.when_empty = 0.25, .max_age = kMaxAge});
  EXPECT_EQ(empty.state, SampleState::kFresh);
  EXPECT_EQ(empty.value, 0.25);
  EXPECT_TRUE(empty.substituted);
  EXPECT_EQ(StateOf(In(SampleState::kEmpty), {}, 0.0), SampleState::kEmpty);

  const Sample nan = Judge(In(SampleState::kNaN), {.when_nan = 0.75, .max_age = kMaxAge});
  EXPECT_EQ(nan.state, SampleState::kFresh);
  EXPECT_EQ(nan.value, 0.75);
  EXPECT_TRUE(nan.substituted);
  EXPECT_EQ(StateOf(In(SampleState::kNaN), 0.0, {}), SampleState::kNaN);
  EXPECT_FALSE(Judge(Fresh(1), {.when_empty = 0, .when_nan = 0, .max_age = kMaxAge}).substituted);
}

TEST(Judge, ANumberThatIsNoneIsNaN) {
  EXPECT_EQ(StateOf(Fresh(std::nan(""))), SampleState::kNaN);
  EXPECT_EQ(StateOf(Fresh(-std::numeric_limits<double>::infinity())), SampleState::kNaN);
  EXPECT_EQ(StateOf(Fresh(std::nan("")), {}, 0.0), SampleState::kFresh);
}

// 0/0 may mean "no traffic"; 5/0 is a load that nobody is left to take.
TEST(Judge, WhatStandsForNaNDoesNotStandForInfinity) {
  EXPECT_EQ(StateOf(Fresh(std::numeric_limits<double>::infinity()), {}, 0.0), SampleState::kNaN);
  EXPECT_EQ(StateOf(Fresh(-std::numeric_limits<double>::infinity()), {}, 0.0), SampleState::kNaN);
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
  for (const SampleState state : {SampleState::kStale, SampleState::kPartial, SampleState::kError,
                                  SampleState::kImplausible}) {
    EXPECT_EQ(StateOf(In(state), 0.0, 0.0), state);
  }
}

}  // namespace
}  // namespace autoscale
