#include "engine/forecast/series.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/model/metric.h"

namespace autoscale {

const float Series::kGap = std::numeric_limits<float>::quiet_NaN();

Series::Series(Millis step, int slots)
    : step_(step),
      slots_(slots),
      mask_(std::bit_ceil(static_cast<size_t>(slots)) - 1),
      values_(mask_ + 1, kGap) {}

int64_t Series::SlotOf(TimePoint at) const {
  const int64_t since = at.time_since_epoch().count();
  const int64_t step = step_.count();
  return since >= 0 ? since / step : -((-since + step - 1) / step);
}

void Series::Put(int64_t slot, double value) {
  const bool sound = std::isfinite(value) && std::abs(value) <= kMaxValue;
  if (begin_ == end_ || slot >= end_ + slots_) {
    std::fill(values_.begin(), values_.end(), kGap);
    begin_ = slot;
    end_ = slot;
  }
  if (slot < begin_) {
    if (slot < end_ - slots_) return;
    for (int64_t gap = slot; gap < begin_; ++gap) values_[Place(gap)] = kGap;
    begin_ = slot;
  }
  for (; end_ <= slot; ++end_) values_[Place(end_)] = kGap;
  begin_ = std::max(begin_, end_ - slots_);
  values_[Place(slot)] = sound ? static_cast<float>(value) : kGap;
}

float Median(float* first, float* last) {
  float* const middle = first + (last - first) / 2;
  std::nth_element(first, middle, last);
  if ((last - first) % 2 == 1) return *middle;
  return (*middle + *std::max_element(first, middle)) / 2;
}

}  // namespace autoscale
