// Made-up loads for the tests of forecasts: five-minute slots, days of 288 of them.
#pragma once

#include <cmath>
#include <functional>
#include <numbers>

#include "engine/forecast/series.h"

namespace autoscale {

inline constexpr int kDay = 288;
inline constexpr int64_t kStart = 5'666'688;  // a midnight: a multiple of kDay

// 100 at midnight, 300 at noon.
inline double Daily(int64_t slot) {
  return 200 - 100 * std::cos(2 * std::numbers::pi * static_cast<double>(slot % kDay) / kDay);
}

// Within ±1, the same for the same slot.
inline double Noise(int64_t slot) {
  uint64_t x = static_cast<uint64_t>(slot) * 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return static_cast<double>((x >> 11) & 0xfffff) / 0x80000 - 1;
}

// Days of a load from kStart on.
inline Series Recorded(int days, const std::function<double(int64_t slot)>& load) {
  Series series(std::chrono::minutes(5), 14 * kDay);
  for (int64_t slot = kStart; slot < kStart + days * kDay; ++slot) series.Put(slot, load(slot));
  return series;
}

}  // namespace autoscale
