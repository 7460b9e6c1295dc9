// Forecast: how much there will soon be at most, told from what there was.
//
// Pure arithmetic: the same series gives the same forecast to the bit.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/forecast/series.h"
#include "engine/model/result.h"

namespace autoscale {

// From the simplest to the cleverest; a cleverer one must be 5 % better in the back-test.
enum class ForecastMethod : uint8_t {
  kNaive,     // what is now stays
  kSeasonal,  // as one season ago
  kProfile,   // the usual course of a season × the present level
};

// "naive", "seasonal", "profile".
std::string_view ToString(ForecastMethod method);

struct ForecastOptions {
  int season = 288;                           // slots
  int horizon = 1;                            // slots, at least 1
  std::optional<ForecastMethod> method = {};  // absent: the back-test chooses
};

// How well a method would have done on the series itself. The loss is the pinball loss at
// kQuantile, relative to that of the naive method (which so has 1); what is forecast too low costs
// four times as much as what is forecast too high.
struct BackTest {
  static constexpr double kQuantile = 0.8;
  ForecastMethod method = ForecastMethod::kNaive;
  double loss = 1;
};

class ForecastModel {
 public:
  [[nodiscard]] ForecastMethod method() const { return method_; }
  // Of each method that was tried, in the order of ForecastMethod; empty when one was given.
  [[nodiscard]] const std::vector<BackTest>& back_tests() const { return back_tests_; }

  // The greatest value within the horizon after the slot `now`, judged by the series until then.
  // At most kMostGrowth times the greatest value of the season behind it. NaN: cannot be told.
  [[nodiscard]] double Predict(const Series& series, int64_t now) const;

  // A usual course taken to more than twice what was ever seen is not knowledge any more.
  static constexpr double kMostGrowth = 2;

 private:
  friend class Fitter;
  friend Result<ForecastModel> FitForecast(const Series& series, const ForecastOptions& options);
  ForecastMethod method_ = ForecastMethod::kNaive;
  int horizon_ = 1;
  float most_ = 0;             // the greatest value that the fit saw
  std::vector<float> season_;  // by slot modulo its size: the last season, or the profile; gaps NaN
  std::vector<BackTest> back_tests_;
};

// Learns from the whole series. Error (kUnavailable): too little history, in words. A method that
// was given needs one season of it, the choice among them two: one to learn from, one to be tested
// on.
Result<ForecastModel> FitForecast(const Series& series, const ForecastOptions& options);

}  // namespace autoscale
