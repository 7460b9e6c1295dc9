#include "engine/forecast/anomaly.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace autoscale {
namespace {

constexpr int kBeside = 1;            // slots on either side
constexpr size_t kLeastOfSeason = 6;  // values: two seasons with what is beside
constexpr int kRecent = 24;
constexpr size_t kLeastRecent = 12;
constexpr double kNormal = 1.4826;  // deviation of a normal distribution, in median distances
constexpr double kLeastSpread = 0.05;

Usual Measure(std::vector<float>& values) {
  const float median = Median(values.data(), values.data() + values.size());
  for (float& value : values) value = std::abs(value - median);
  return {.median = median,
          .spread =
              kNormal * static_cast<double>(Median(values.data(), values.data() + values.size()))};
}

}  // namespace

std::optional<Usual> UsualAt(const Series& series, int64_t slot, int season) {
  if (series.begin() == series.end()) return std::nullopt;
  std::vector<float> values;
  const auto take = [&](int64_t at) {
    if (at < slot && !std::isnan(series.At(at))) values.push_back(series.At(at));
  };
  for (int64_t at = slot - season; at + kBeside >= series.begin(); at -= season) {
    for (int64_t beside = at - kBeside; beside <= at + kBeside; ++beside) take(beside);
  }
  if (values.size() >= kLeastOfSeason) return Measure(values);
  values.clear();
  for (int64_t at = slot - kRecent; at < slot; ++at) take(at);
  if (values.size() >= kLeastRecent) return Measure(values);
  return std::nullopt;
}

double OddnessOf(const Usual& usual, double value) {
  const double spread = std::max(usual.spread, kLeastSpread * std::abs(usual.median));
  const double distance = value - usual.median;
  if (distance == 0) return 0;
  if (spread <= 0) return std::copysign(kMostOdd, distance);
  return std::clamp(distance / spread, -kMostOdd, kMostOdd);
}

}  // namespace autoscale
