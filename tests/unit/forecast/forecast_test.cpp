#include "engine/forecast/forecast.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "tests/unit/forecast/loads.h"

namespace autoscale {
namespace {

constexpr double kGap = std::numeric_limits<double>::quiet_NaN();

ForecastModel Fit(const Series& series, const ForecastOptions& options) {
  auto model = FitForecast(series, options);
  EXPECT_TRUE(model.ok()) << model.error().message;
  return model.ok() ? *std::move(model) : ForecastModel();
}

double LossOf(const ForecastModel& model, ForecastMethod method) {
  for (const BackTest& test : model.back_tests()) {
    if (test.method == method) return test.loss;
  }
  return kGap;
}

TEST(Forecast, NaiveSaysThatWhatIsStays) {
  const Series series = Recorded(3, Daily);
  const auto model = Fit(series, {.horizon = 12, .method = ForecastMethod::kNaive});
  EXPECT_FLOAT_EQ(static_cast<float>(model.Predict(series, series.end() - 1)),
                  series.At(series.end() - 1));
}

TEST(Forecast, SeasonalSaysWhatWasASeasonAgo) {
  Series series = Recorded(3, [](int64_t slot) { return Daily(slot) + Noise(slot); });
  const auto model = Fit(series, {.horizon = 6, .method = ForecastMethod::kSeasonal});
  const int64_t now = series.end() - 1;
  float greatest = 0;
  for (int i = 1; i <= 6; ++i) greatest = std::max(greatest, series.At(now + i - kDay));
  EXPECT_FLOAT_EQ(static_cast<float>(model.Predict(series, now)), greatest);
}

TEST(Forecast, ProfileIsTheUsualCourseAtThePresentLevel) {
  // Five days at one level, then a day at twice as much, of the same course.
  Series series = Recorded(5, Daily);
  const auto model = Fit(series, {.horizon = 24, .method = ForecastMethod::kProfile});
  const int64_t morning = series.end() + kDay / 4;
  for (int64_t slot = series.end(); slot <= morning; ++slot) series.Put(slot, 2 * Daily(slot));
  EXPECT_NEAR(model.Predict(series, morning), 2 * Daily(morning + 24), 2);
}

TEST(Forecast, TheGreatestWithinTheHorizonCounts) {
  const Series series = Recorded(5, Daily);
  const int64_t evening =
      series.end() - 1 - kDay / 2;  // a slot before noon: all goes down from here
  for (const auto method : {ForecastMethod::kSeasonal, ForecastMethod::kProfile}) {
    const auto model = Fit(series, {.horizon = kDay / 4, .method = method});
    EXPECT_NEAR(model.Predict(series, evening), 300, 1) << ToString(method);
    EXPECT_NEAR(model.Predict(series, evening + kDay / 4), Daily(evening + kDay / 4 + 1), 2)
        << ToString(method);
  }
}

TEST(Forecast, ChoosesNaiveWhereNothingRepeats) {
  // Each day busy at another hour: whoever goes by yesterday is wrong all day.
  const Series series = Recorded(10, [](int64_t slot) {
    const auto shift = static_cast<int64_t>((1 + Noise(slot / kDay)) * kDay / 2);
    return 100 + std::pow(Daily(slot + shift) / 100, 6);
  });
  EXPECT_EQ(Fit(series, {.horizon = 2}).method(), ForecastMethod::kNaive);
}

TEST(Forecast, ChoosesSeasonalWhereEachDayIsAsTheLast) {
  // Bursts at odd times, the same each day, that say nothing of the level before them.
  const Series series = Recorded(10, [](int64_t slot) {
    return 100 + 300 * (Noise(slot % kDay * 7919) > 0.8 ? 1 : 0) + 0.5 * Noise(slot);
  });
  const auto model = Fit(series, {.horizon = 3});
  EXPECT_NE(model.method(), ForecastMethod::kNaive);
  EXPECT_LT(LossOf(model, ForecastMethod::kSeasonal), 0.1);
}

TEST(Forecast, ChoosesProfileWhereTheCourseRepeatsAndTheLevelDoesNot) {
  const Series series = Recorded(12, [](int64_t slot) {
    const double level = 1 + 0.6 * Noise(slot / kDay);
    return level * Daily(slot) + Noise(slot);
  });
  const auto model = Fit(series, {.horizon = 12});
  EXPECT_EQ(model.method(), ForecastMethod::kProfile);
  EXPECT_LT(LossOf(model, ForecastMethod::kProfile), 0.5);
  EXPECT_GT(LossOf(model, ForecastMethod::kSeasonal), 1);
  EXPECT_EQ(LossOf(model, ForecastMethod::kNaive), 1);
}

TEST(Forecast, OfEqualsTheSimplest) {
  const Series series = Recorded(5, [](int64_t) { return 42; });
  const auto model = Fit(series, {.horizon = 12});
  EXPECT_EQ(model.method(), ForecastMethod::kNaive);
  EXPECT_EQ(model.Predict(series, series.end() - 1), 42);
}

TEST(Forecast, GapsAreTolerated) {
  // Every third value missing, and half a day at once.
  Series series = Recorded(8, [](int64_t slot) {
    const bool outage = slot > kStart + 6 * kDay && slot < kStart + 6 * kDay + kDay / 2;
    return slot % 3 == 0 || outage ? kGap : Daily(slot);
  });
  for (const auto method : {ForecastMethod::kSeasonal, ForecastMethod::kProfile}) {
    const auto model = Fit(series, {.horizon = 12, .method = method});
    for (int64_t now = series.end() - kDay; now < series.end(); now += 7) {
      const double expected = std::max(Daily(now + 12), Daily(now + 1));
      EXPECT_NEAR(model.Predict(series, now), std::max(expected, Daily(now + 6)), 15)
          << ToString(method) << " at " << now - kStart;
    }
  }
  EXPECT_NE(Fit(series, {.horizon = 12}).method(), ForecastMethod::kNaive);
}

TEST(Forecast, ASingleSpikeIsNotLearned) {
  Series series = Recorded(8, Daily);
  series.Put(series.end() - 2 * kDay + 30, 1e6);
  const auto model = Fit(series, {.horizon = 6, .method = ForecastMethod::kProfile});
  const int64_t now = series.end();  // just before the time of the spike
  for (int64_t slot = now; slot < now + 28; ++slot) series.Put(slot, Daily(slot));
  EXPECT_NEAR(model.Predict(series, now + 27), Daily(now + 33), 10);
}

TEST(Forecast, NeverGrowsBeyondTwiceWhatWasSeen) {
  // Almost nothing by night: a level taken there may be anything.
  Series series = Recorded(8, [](int64_t slot) { return slot % kDay < kDay / 2 ? 10 : 100; });
  const auto model = Fit(series, {.horizon = 6, .method = ForecastMethod::kProfile});
  const int64_t now = series.end() + kDay / 2 - 2;
  for (int64_t slot = series.end(); slot <= now; ++slot) series.Put(slot, 90);
  EXPECT_LE(model.Predict(series, now), 200);
  EXPECT_GT(model.Predict(series, now), 150);
}

TEST(Forecast, WithoutPresentValuesAProfileTellsNothing) {
  Series series = Recorded(5, Daily);
  const auto model = Fit(series, {.horizon = 6, .method = ForecastMethod::kProfile});
  EXPECT_TRUE(std::isnan(model.Predict(series, series.end() + 100)));
  EXPECT_TRUE(std::isnan(
      Fit(series, {.method = ForecastMethod::kNaive}).Predict(series, series.end() + 100)));
}

TEST(Forecast, TooLittleHistoryIsSaid) {
  const Series series = Recorded(1, Daily);
  const auto chosen = FitForecast(series, {.horizon = 6});
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().message,
            "too little history: 24.0 h of values, 2 seasons of 24.0 h are needed");
  EXPECT_TRUE(FitForecast(series, {.horizon = 6, .method = ForecastMethod::kSeasonal}).ok());

  const Series none(std::chrono::minutes(5), 14 * kDay);
  const auto given = FitForecast(none, {.horizon = 6, .method = ForecastMethod::kSeasonal});
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().message,
            "too little history: 0.0 h of values, 1 season of 24.0 h is needed");
  EXPECT_FALSE(FitForecast(none, {.horizon = 6}).ok());
}

TEST(Forecast, ALoadOfNothingStaysNothing) {
  const Series series = Recorded(5, [](int64_t) { return 0; });
  const auto model = Fit(series, {.horizon = 6});
  EXPECT_EQ(model.Predict(series, series.end() - 1), 0);
  const auto profile = FitForecast(series, {.horizon = 6, .method = ForecastMethod::kProfile});
  EXPECT_FALSE(profile.ok());  // nothing has no course
}

TEST(Forecast, TheSameSeriesGivesTheSameBits) {
  const auto load = [](int64_t slot) { return Daily(slot) * (1 + 0.2 * Noise(slot)); };
  const Series one = Recorded(14, load);
  Series other(std::chrono::minutes(5), 14 * kDay);  // put in another order
  for (int64_t slot = one.end() - 1; slot >= one.begin(); --slot) other.Put(slot, load(slot));
  const auto first = Fit(one, {.horizon = 3});
  const auto second = Fit(other, {.horizon = 3});
  EXPECT_EQ(first.method(), second.method());
  const double a = first.Predict(one, one.end() - 1);
  const double b = second.Predict(other, other.end() - 1);
  EXPECT_EQ(std::memcmp(&a, &b, sizeof a), 0);
}

}  // namespace
}  // namespace autoscale
