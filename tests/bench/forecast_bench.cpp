// How well forecasts do on a recorded load, and what fitting one costs.
//
//   forecast_bench [FILE.csv [STEP_MINUTES [SEASON_HOURS]]]
//
// FILE.csv: "2014-04-10 00:04:00,94.0", a header before it or not; values of one step are averaged.
// Without a file: a made-up fortnight with noise, for the cost alone. The forecast is used as the
// daemon uses it: fitted anew each hour on the fortnight before, never less than what is now.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <numbers>
#include <random>
#include <string>

#include "engine/forecast/forecast.h"

namespace autoscale {
namespace {

constexpr int kDays = 14;

// Means by slot.
std::map<int64_t, double> ReadTrace(const char* path, Millis step) {
  std::ifstream file(path);
  std::map<int64_t, std::pair<double, int>> sums;
  for (std::string line; std::getline(file, line);) {
    std::tm time{};
    double value = 0;
    if (std::sscanf(line.c_str(), "%d-%d-%d %d:%d:%d,%lf", &time.tm_year, &time.tm_mon,
                    &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &value) != 7) {
      continue;
    }
    time.tm_year -= 1900;
    --time.tm_mon;
    auto& [sum, count] = sums[timegm(&time) * 1000 / step.count()];
    sum += value;
    ++count;
  }
  std::map<int64_t, double> values;
  for (const auto& [slot, one] : sums) values[slot] = one.first / one.second;
  return values;
}

struct Score {
  double under = 0, over = 0, came = 0, pinball = 0;
  int count = 0, chosen[3] = {};

  void Add(double real, double used) {
    (real > used ? under : over) += std::abs(real - used);
    pinball += real > used ? 0.8 * (real - used) : 0.2 * (used - real);
    came += real;
    ++count;
  }
};

void PrintScores(const std::map<int64_t, double>& trace, Millis step, Millis season) {
  const auto slots = [&](Millis d) { return static_cast<int>(d / step); };
  std::printf("%-10s %8s %9s %9s %9s %9s   chosen\n", "method", "horizon", "too low", "too high",
              "WAPE", "pinball");
  for (const int minutes : {10, 30, 60}) {
    for (int method = -1; method < 3; ++method) {
      ForecastOptions options{.season = slots(season),
                              .horizon = std::max(slots(std::chrono::minutes(minutes)), 1)};
      if (method >= 0) options.method = static_cast<ForecastMethod>(method);
      Series series(step, slots(std::chrono::hours(24 * kDays)));
      Score score;
      ForecastModel model;
      int64_t next_fit = 0;
      const int64_t first = trace.begin()->first + 2 * options.season;
      for (const auto& [slot, value] : trace) {
        series.Put(slot, value);
        if (slot < first) continue;
        if (slot >= next_fit) {
          if (auto fitted = FitForecast(series, options); fitted.ok()) {
            model = std::move(fitted).value();
          }
          next_fit = slot + std::max(slots(std::chrono::hours(1)), 1);
        }
        double came = -1;
        for (int i = 1; i <= options.horizon; ++i) {
          const auto later = trace.find(slot + i);
          if (later != trace.end()) came = std::max(came, later->second);
        }
        if (came < 0) continue;
        const double predicted = model.Predict(series, slot);
        ++score.chosen[static_cast<int>(model.method())];
        score.Add(came, predicted > value ? predicted : value);
      }
      std::printf("%-10s %6d m %7.2f %% %7.2f %% %7.2f %% %7.2f %%   %d/%d/%d\n",
                  method < 0 ? "auto" : std::string(ToString(*options.method)).c_str(), minutes,
                  100 * score.under / score.came, 100 * score.over / score.came,
                  100 * (score.under + score.over) / score.came, 100 * score.pinball / score.came,
                  score.chosen[0], score.chosen[1], score.chosen[2]);
    }
  }
}

void PrintCost() {
  constexpr int kSeason = 288, kFits = 200;
  Series series(std::chrono::minutes(5), kDays * kSeason);
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(0.9, 1.1);
  for (int slot = 0; slot < kDays * kSeason; ++slot) {
    series.Put(slot, noise(random) * (2 + std::sin(2 * std::numbers::pi * slot / kSeason)));
  }
  const auto began = std::chrono::steady_clock::now();
  double sum = 0;
  for (int i = 0; i < kFits; ++i) {
    const auto model = FitForecast(series, {.season = kSeason, .horizon = 2});
    sum += model.ok() ? model->Predict(series, series.end() - 1) : 0;
  }
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
  std::printf("choosing and fitting %d days at 5 minutes: %.0f us (forecast %.3f)\n", kDays,
              took.count() / kFits, sum / kFits);
}

}  // namespace
}  // namespace autoscale

int main(int argc, char** argv) {
  using namespace autoscale;
  if (argc > 1) {
    const Millis step = std::chrono::minutes(argc > 2 ? std::atoi(argv[2]) : 5);
    const auto trace = ReadTrace(argv[1], step);
    if (trace.empty()) {
      std::fprintf(stderr, "forecast_bench: no values in %s\n", argv[1]);
      return 1;
    }
    PrintScores(trace, step, std::chrono::hours(argc > 3 ? std::atoi(argv[3]) : 24));
  }
  PrintCost();
  return 0;
}
