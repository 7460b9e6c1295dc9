#include "engine/forecast/forecast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "engine/forecast/fitter.h"

namespace autoscale {
namespace {

constexpr int kSeasonsLearned =
    4;  // of recorded loads the best; what was usual before is not any more
constexpr double kLeastPresent = 0.5;  // of a season, that it is learned from
constexpr int kLevelSlots = 6;         // that the present level is taken from
constexpr float kLeastShare = 0.05F;   // of the level: where less is usual it says nothing of it
constexpr double kMuchBetter = 0.95;   // of the loss: a smaller gain is an accident

double NaN() { return std::numeric_limits<double>::quiet_NaN(); }

size_t InSeason(int64_t slot, size_t season) {
  const auto size = static_cast<int64_t>(season);
  return static_cast<size_t>(((slot % size) + size) % size);
}

// The value at the slot, or the newest of the few before it.
float Latest(const Series& series, int64_t now) {
  for (int64_t slot = now; slot > now - kLevelSlots; --slot) {
    if (!std::isnan(series.At(slot))) return series.At(slot);
  }
  return std::numeric_limits<float>::quiet_NaN();
}

// How many times the usual there is now: the median of the last few.
float Level(const Series& series, int64_t now, const std::vector<float>& profile) {
  std::array<float, kLevelSlots> ratios{};
  size_t count = 0;
  size_t place = InSeason(now, profile.size());
  for (int i = 0; i < kLevelSlots; ++i) {
    const float usual = profile[place];
    const float value = series.At(now - i);
    if (usual >= kLeastShare && !std::isnan(value)) ratios[count++] = value / usual;
    place = place == 0 ? profile.size() - 1 : place - 1;
  }
  if (count == 0) return std::numeric_limits<float>::quiet_NaN();
  return Median(ratios.data(), ratios.data() + count);
}

// A slot that no season knew is as those beside it.
bool FillGaps(std::vector<float>& season) {
  const size_t size = season.size();
  const auto known = std::find_if(season.begin(), season.end(), [](float v) { return v == v; });
  if (known == season.end()) return false;
  float last = *known;
  const auto start = static_cast<size_t>(known - season.begin());
  for (size_t i = 0; i < size; ++i) {
    float& value = season[(start + i) % size];
    if (std::isnan(value)) value = last;
    last = value;
  }
  return true;
}

}  // namespace

std::string_view ToString(ForecastMethod method) {
  switch (method) {
    case ForecastMethod::kNaive:
      return "naive";
    case ForecastMethod::kSeasonal:
      return "seasonal";
    case ForecastMethod::kProfile:
      return "profile";
  }
  return "";
}

double ForecastModel::Predict(const Series& series, int64_t now) const {
  if (method_ == ForecastMethod::kNaive) return Latest(series, now);
  const float level = method_ == ForecastMethod::kProfile ? Level(series, now, season_) : 1.0F;
  float greatest = -std::numeric_limits<float>::infinity();
  size_t place = InSeason(now, season_.size());
  for (int i = 0; i < horizon_; ++i) {
    if (++place == season_.size()) place = 0;
    greatest = std::max(greatest, season_[place] * level);
  }
  if (!std::isfinite(greatest)) return NaN();
  const float latest = Latest(series, now);
  const double most = std::max(most_, std::isnan(latest) ? most_ : latest);
  return std::min<double>(greatest, most * kMostGrowth);
}

std::optional<ForecastModel> Fitter::Fit(ForecastMethod method, int64_t origin) {
  ForecastModel model;
  model.method_ = method;
  model.horizon_ = options_.horizon;
  if (method == ForecastMethod::kNaive) return model;
  FindLevels(origin);
  const bool knows = std::any_of(levels_.begin(), levels_.end(), [](float v) { return v == v; });
  if (!knows) return std::nullopt;
  if (method == ForecastMethod::kSeasonal) LearnLastSeason(model, origin);
  if (method == ForecastMethod::kProfile && !LearnProfile(model, origin)) return std::nullopt;
  if (!FillGaps(model.season_)) return std::nullopt;
  const auto learned = static_cast<int64_t>(levels_.size()) * options_.season;
  for (int64_t slot = origin - learned; slot < origin; ++slot) {
    const float value = series_.At(slot);
    if (value > model.most_) model.most_ = value;
  }
  return model;
}

// The mean of each season before the origin that is there well enough.
void Fitter::FindLevels(int64_t origin) {
  levels_.clear();
  for (int n = 0; n < kSeasonsLearned; ++n) {
    const int64_t last = origin - static_cast<int64_t>(n) * options_.season;
    if (last - options_.season < series_.begin() - options_.season / 2) break;
    double sum = 0;
    int count = 0;
    for (int64_t slot = last - options_.season; slot < last; ++slot) {
      const float value = series_.At(slot);
      if (std::isnan(value)) continue;
      sum += value;
      ++count;
    }
    const bool enough = count >= options_.season * kLeastPresent;
    levels_.push_back(enough ? static_cast<float>(sum / count)
                             : std::numeric_limits<float>::quiet_NaN());
  }
}

// Where the last season has a gap, the one before it.
void Fitter::LearnLastSeason(ForecastModel& model, int64_t origin) const {
  const auto size = static_cast<size_t>(options_.season);
  model.season_.assign(size, std::numeric_limits<float>::quiet_NaN());
  for (int64_t slot = origin - options_.season; slot < origin; ++slot) {
    float& value = model.season_[InSeason(slot, size)];
    for (size_t n = 0; n < levels_.size() && std::isnan(value); ++n) {
      value = series_.At(slot - static_cast<int64_t>(n) * options_.season);
    }
  }
}

// For each slot of a season the median over the seasons of its share of that season's level.
bool Fitter::LearnProfile(ForecastModel& model, int64_t origin) {
  const auto size = static_cast<size_t>(options_.season);
  model.season_.assign(size, std::numeric_limits<float>::quiet_NaN());
  scratch_.resize(levels_.size());
  bool learned = false;
  for (int64_t slot = origin - options_.season; slot < origin; ++slot) {
    size_t count = 0;
    for (size_t n = 0; n < levels_.size(); ++n) {
      const float value = series_.At(slot - static_cast<int64_t>(n) * options_.season);
      // A season of nothing says nothing of its course.
      if (levels_[n] > 0 && !std::isnan(value)) scratch_[count++] = value / levels_[n];
    }
    if (count == 0) continue;
    model.season_[InSeason(slot, size)] = Median(scratch_.data(), scratch_.data() + count);
    learned = true;
  }
  return learned;
}

Result<ForecastModel> FitForecast(const Series& series, const ForecastOptions& options) {
  const auto too_little = [&](int seasons) {
    int present = 0;
    for (int64_t slot = series.begin(); slot < series.end(); ++slot) {
      present += std::isnan(series.At(slot)) ? 0 : 1;
    }
    std::array<char, 160> text{};
    const double hours = ToSeconds(series.step()) / 3600;
    std::snprintf(text.data(), text.size(),
                  "too little history: %.1f h of values, %d season%s of %.1f h %s needed",
                  present * hours, seasons, seasons == 1 ? "" : "s", options.season * hours,
                  seasons == 1 ? "is" : "are");
    return Error{ErrorKind::kUnavailable, text.data()};
  };
  Fitter fitter(series, options);
  if (options.method) {
    auto model = fitter.Fit(*options.method, series.end());
    if (!model) return too_little(1);
    return *std::move(model);
  }
  auto tests = RunBackTest(series, options);
  if (!tests) return too_little(2);
  auto best = tests->cbegin();
  for (auto test = best + 1; test != tests->cend(); ++test) {
    if (test->loss < best->loss * kMuchBetter) best = test;
  }
  auto model = fitter.Fit(best->method, series.end());
  if (!model) return too_little(1);
  model->back_tests_ = *std::move(tests);
  return *std::move(model);
}

}  // namespace autoscale
