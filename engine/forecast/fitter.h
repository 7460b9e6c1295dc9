// Fitter: learns one method from the part of a series before an instant. For FitForecast and its
// back-test.
#pragma once

#include <optional>
#include <vector>

#include "engine/forecast/forecast.h"

namespace autoscale {

class Fitter {
 public:
  Fitter(const Series& series, const ForecastOptions& options)
      : series_(series), options_(options) {}

  // What the method makes of the slots before `origin`; absent: too little of them.
  std::optional<ForecastModel> Fit(ForecastMethod method, int64_t origin);

 private:
  void LearnLastSeason(ForecastModel& model, int64_t origin) const;
  bool LearnProfile(ForecastModel& model, int64_t origin);
  void FindLevels(int64_t origin);

  const Series& series_;
  const ForecastOptions& options_;
  std::vector<float>
      levels_;  // of the seasons before the origin, the latest first; NaN: too sparse
  std::vector<float> scratch_;
};

// The loss of each method over the last seasons, by what each would have known then. Absent: not
// two seasons.
std::optional<std::vector<BackTest>> RunBackTest(const Series& series,
                                                 const ForecastOptions& options);

}  // namespace autoscale
