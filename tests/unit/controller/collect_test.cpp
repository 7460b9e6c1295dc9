#include "daemon/metrics/collect.h"

#include <gtest/gtest.h>

#include <cmath>

namespace autoscale {
namespace {

using std::chrono::minutes;

std::vector<KnownInstance> Instances(int established, int young = 0) {
  static const std::vector<std::string> kIds = {"i-0", "i-1", "i-2", "i-3", "i-4", "i-5"};
  std::vector<KnownInstance> known;
  for (int i = 0; i < established + young; ++i) {
    known.push_back({.id = kIds[static_cast<size_t>(i)],
                     .ready = true,
                     .serving_for = i < established ? minutes(10) : minutes(0)});
  }
  return known;
}

Answer::Row Row(std::optional<double> value, std::optional<float> age = 1.0F, int series = -1) {
  return {.value = value, .age_s = age, .series = series};
}

MetricSpec PerService(Expectation expect = {}) {
  MetricSpec spec;
  spec.max_age = minutes(1);
  spec.expect = expect;
  return spec;
}

Sample Make(const MetricSpec& spec, const std::vector<Answer::Row>& rows,
            const std::vector<KnownInstance>& instances = {}) {
  return MakeSample(spec, rows, instances);
}

TEST(MakeSample, AFreshValueIsFresh) {
  const Sample sample = Make(PerService(), {Row(0.5)});
  EXPECT_EQ(sample.state, SampleState::kFresh);
  EXPECT_DOUBLE_EQ(sample.value, 0.5);
  EXPECT_EQ(sample.age_s, 1.0F);
  EXPECT_EQ(sample.coverage, std::nullopt);
}

TEST(MakeSample, NoRowIsEmptyNotZero) {
  EXPECT_EQ(Make(PerService(), {}).state, SampleState::kEmpty);
}

TEST(MakeSample, SeriesOfStrangersAreNotNoSeries) {
  MetricSpec spec = PerService();
  spec.instance_label = "pod";
  spec.missing.when_empty = 0;
  Answer::Row row = Row(0.9);
  row.instance = "10.0.0.7:80";
  const Sample sample = Make(spec, {row}, Instances(2));
  EXPECT_EQ(sample.state, SampleState::kError);
  EXPECT_NE(sample.error->find("its label pod says '10.0.0.7:80', the instances are i-0"),
            std::string::npos)
      << *sample.error;
  // Those of before may still have some while none of the new ones can have any.
  EXPECT_EQ(Make(spec, {row}, Instances(0, 2)).state, SampleState::kFresh);
  EXPECT_EQ(Make(spec, {}, Instances(2)).state, SampleState::kFresh);  // when_empty
}

TEST(MakeSample, ADeadTargetBehindAWindowIsStale) {
  EXPECT_EQ(Make(PerService(), {Row(0.5, 61.0F)}).state, SampleState::kStale);
}

TEST(MakeSample, HalfTheExportersDeadIsPartial) {
  const MetricSpec spec = PerService({.kind = Expectation::Kind::kInstances});
  // 2 of 4 instances report: 0.5 < 0.9.
  const Sample sample = Make(spec, {Row(100, 1.0F, 2)}, Instances(4));
  EXPECT_EQ(sample.state, SampleState::kPartial);
  EXPECT_EQ(sample.coverage, 0.5F);
  EXPECT_EQ(Make(spec, {Row(100, 1.0F, 4)}, Instances(4)).state, SampleState::kFresh);
}

TEST(MakeSample, InstancesTooYoungToBeScrapedAreNotExpected) {
  const MetricSpec spec = PerService({.kind = Expectation::Kind::kInstances});
  EXPECT_EQ(Make(spec, {Row(100, 1.0F, 2)}, Instances(2, 2)).state, SampleState::kFresh);
  EXPECT_EQ(Make(spec, {Row(100, 1.0F, 0)}, Instances(0, 2)).coverage, std::nullopt);
}

TEST(MakeSample, AFixedCountIsExpected) {
  const MetricSpec spec = PerService({.kind = Expectation::Kind::kCount, .count = 2});
  EXPECT_EQ(Make(spec, {Row(100, 1.0F, 1)}).state, SampleState::kPartial);
  EXPECT_EQ(Make(spec, {Row(100, 1.0F, 2)}).state, SampleState::kFresh);
}

TEST(MakeSample, WhatIsCountedTwiceIsNotBelieved) {
  const MetricSpec exact = PerService({.kind = Expectation::Kind::kCount, .count = 2});
  const Sample twice = Make(exact, {Row(400, 1.0F, 4)});
  EXPECT_EQ(twice.state, SampleState::kImplausible);
  EXPECT_EQ(twice.coverage, 2.0F);
  EXPECT_EQ(*twice.error, "200 % of the series expected answer: something is counted twice");
  EXPECT_EQ(Make(exact, {Row(300, 1.0F, 3)}).state, SampleState::kFresh);  // one came to it
  // Instances that are young, drain or have just ended have series too: shown, and no fault.
  const MetricSpec instances = PerService({.kind = Expectation::Kind::kInstances});
  const Sample more = Make(instances, {Row(400, 1.0F, 4)}, Instances(2, 2));
  EXPECT_EQ(more.state, SampleState::kFresh);
  EXPECT_EQ(more.coverage, 2.0F);
}

TEST(MakeSample, NegativeValuesAndDataFromTheFutureAreImplausible) {
  MetricSpec spec = PerService();
  EXPECT_EQ(Make(spec, {Row(-1)}).state, SampleState::kImplausible);
  spec.may_be_negative = true;
  EXPECT_EQ(Make(spec, {Row(-1)}).state, SampleState::kFresh);
  EXPECT_EQ(Make(spec, {Row(1, -61.0F)}).state, SampleState::kImplausible);
  EXPECT_EQ(Make(spec, {Row(1, -1.0F)}).age_s, 0.0F);
}

TEST(MakeSample, WhenEmptyIsNotForATargetThatIsGone) {
  MetricSpec spec = PerService();
  spec.missing.when_empty = 0;
  const Sample quiet = Make(spec, {Row(std::nullopt, 1.0F, 3)});
  EXPECT_EQ(quiet.state, SampleState::kFresh);
  EXPECT_TRUE(quiet.substituted);
  // The series are there but old: their exporter is dead, and nothing is known.
  EXPECT_EQ(Make(spec, {Row(std::nullopt, 90.0F, 3)}).state, SampleState::kStale);
}

TEST(MakeSample, WhenEmptyIsNotForSeriesThatAreNowhere) {
  MetricSpec spec = PerService();
  spec.missing.when_empty = 0;
  EXPECT_EQ(Make(spec, {}).state, SampleState::kFresh);  // nothing was asked of what is behind it
  spec.series = "requests_total";
  EXPECT_EQ(Make(spec, {}).state, SampleState::kStale);
}

TEST(MakeSample, NaNIsOnlyAValueWhenTheMetricSaysSo) {
  MetricSpec spec = PerService();
  EXPECT_EQ(Make(spec, {Row(std::nan(""))}).state, SampleState::kNaN);
  spec.missing.when_nan = 0.1;
  EXPECT_DOUBLE_EQ(Make(spec, {Row(std::nan(""))}).value, 0.1);
}

TEST(MakeSample, PerInstanceValuesAreJoinedAndAveraged) {
  MetricSpec spec = PerService();
  spec.instance_label = "instance_id";
  std::vector<Answer::Row> rows = {{.instance = "i-0", .value = 0.2, .age_s = 2.0F},
                                   {.instance = "i-1", .value = 0.6, .age_s = 1.0F},
                                   {.instance = "gone", .value = 99, .age_s = 1.0F}};
  Sample sample = Make(spec, rows, Instances(2));
  EXPECT_EQ(sample.state, SampleState::kFresh);
  EXPECT_DOUBLE_EQ(sample.value, 0.4);  // (0.2 + 0.6) / 2: "gone" is nobody's
  EXPECT_EQ(sample.instances.size(), 2u);
  EXPECT_EQ(sample.coverage, 1.0F);
  spec.aggregate = Aggregate::kMax;
  EXPECT_DOUBLE_EQ(Make(spec, rows, Instances(2)).value, 0.6);
  // A third instance that has served long and is missing: 2 of 3.
  EXPECT_EQ(Make(spec, rows, Instances(3)).state, SampleState::kPartial);
}

TEST(MakeSample, AnInstanceThatSaysNaNIsMissingAndDoesNotSpoilTheRest) {
  MetricSpec spec = PerService();
  spec.instance_label = "instance_id";
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back("n-" + std::to_string(i));
  std::vector<KnownInstance> known;
  std::vector<Answer::Row> rows;
  for (int i = 0; i < 20; ++i) {
    known.push_back({.id = ids[static_cast<size_t>(i)], .ready = true, .serving_for = minutes(9)});
    rows.push_back({.instance = ids[static_cast<size_t>(i)], .value = i == 7 ? std::nan("") : 0.5});
  }
  for (const Aggregate each : {Aggregate::kAverage, Aggregate::kMax, Aggregate::kMin}) {
    spec.aggregate = each;
    const Sample sample = Make(spec, rows, known);
    EXPECT_EQ(sample.state, SampleState::kFresh);
    EXPECT_DOUBLE_EQ(sample.value, 0.5);
    EXPECT_FLOAT_EQ(*sample.coverage, 0.95F);
  }
  for (Answer::Row& row : rows) row.value = std::nan("");
  EXPECT_NE(Make(spec, rows, known).state, SampleState::kFresh);
}

TEST(MakeSample, AnInstanceNamedTwiceIsCountedOnce) {
  MetricSpec spec = PerService();
  spec.instance_label = "instance";
  spec.aggregate = Aggregate::kSum;
  std::vector<KnownInstance> instances = Instances(2);
  instances[0].endpoint = "127.0.0.1:1";
  // One exporter names it by its address, another by its id: still one of two instances.
  const Sample sample = Make(spec,
                             {{.instance = "127.0.0.1:1", .value = 40, .age_s = 1.0F},
                              {.instance = "i-0", .value = 40, .age_s = 1.0F}},
                             instances);
  EXPECT_DOUBLE_EQ(sample.value, 40);
  EXPECT_EQ(sample.instances.size(), 1u);
  EXPECT_EQ(sample.coverage, 0.5F);
  EXPECT_EQ(sample.state, SampleState::kPartial);
}

}  // namespace
}  // namespace autoscale
