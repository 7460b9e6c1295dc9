#include <algorithm>
#include <array>
#include <cmath>

#include "engine/forecast/fitter.h"

namespace autoscale {
namespace {

constexpr int kSeasonsTested = 7;
constexpr int kOriginsTested = 96;  // a season
constexpr int kLeastOrigins = 12;   // in all: fewer are an accident
constexpr std::array kMethods = {ForecastMethod::kNaive, ForecastMethod::kSeasonal,
                                 ForecastMethod::kProfile};

// What a daemon would have made of the forecast: never less than what is now.
double Used(const Series& series, const ForecastModel& model, int64_t now, double present) {
  return std::max(present, model.Predict(series, now));  // in this order: it may be NaN
}

// The greatest value that came within the horizon; NaN: less than half of it is known.
double Came(const Series& series, int64_t now, int horizon) {
  double greatest = std::nan("");
  int known = 0;
  for (int i = 1; i <= horizon; ++i) {
    const double value = series.At(now + i);
    if (std::isnan(value)) continue;
    greatest = known++ == 0 ? value : std::max(greatest, value);
  }
  return known * 2 >= horizon ? greatest : std::nan("");
}

double Pinball(double came, double used) {
  return came > used ? (came - used) * BackTest::kQuantile
                     : (used - came) * (1 - BackTest::kQuantile);
}

struct Losses {
  std::array<double, kMethods.size()> sums{};
  std::array<bool, kMethods.size()> failed{};  // it could not be fitted once
  int origins = 0;
};

// One season, by what was known before it; the level follows as it would have. Where nothing was
// known before it nothing is tested.
void TestSeason(const Series& series, const ForecastOptions& options, int64_t start,
                Losses& losses) {
  std::array<ForecastModel, kMethods.size()> models;
  Fitter fitter(series, options);
  for (size_t m = 0; m < kMethods.size(); ++m) {
    auto model = fitter.Fit(kMethods[m], start);
    if (!model && kMethods[m] == ForecastMethod::kSeasonal) return;
    losses.failed[m] |= !model;
    if (model) models[m] = *std::move(model);
  }
  const int stride = std::max(options.season / kOriginsTested, 1);
  for (int64_t now = start; now < start + options.season; now += stride) {
    const double came = Came(series, now, options.horizon);
    const double present = models.front().Predict(series, now);  // the naive one
    if (std::isnan(came) || std::isnan(present)) continue;
    ++losses.origins;
    for (size_t m = 0; m < kMethods.size(); ++m) {
      losses.sums[m] += Pinball(came, Used(series, models[m], now, present));
    }
  }
}

}  // namespace

std::optional<std::vector<BackTest>> RunBackTest(const Series& series,
                                                 const ForecastOptions& options) {
  Losses losses;
  for (int n = 1; n <= kSeasonsTested; ++n) {
    const int64_t start = series.end() - static_cast<int64_t>(n) * options.season;
    if (start <= series.begin()) break;
    TestSeason(series, options, start, losses);
  }
  if (losses.origins < std::min(kLeastOrigins, options.season)) return std::nullopt;
  std::vector<BackTest> tests;
  const double scale = losses.sums.front();
  for (size_t m = 0; m < kMethods.size(); ++m) {
    if (losses.failed[m]) continue;
    // Where the naive method makes no mistake there is nothing to win.
    const double loss = scale > 0 ? losses.sums[m] / scale : m == 0 ? 0 : 1;
    tests.push_back({.method = kMethods[m], .loss = loss});
  }
  return tests;
}

}  // namespace autoscale
