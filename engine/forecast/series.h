// Series: the latest values of one metric at regular instants, with gaps.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/model/time.h"

namespace autoscale {

// Slot n is the instant n × step after the epoch, and stands for the time until the next. Holds the
// newest `slots` of them; what was never put is a gap.
class Series {
 public:
  Series(Millis step, int slots);

  [[nodiscard]] Millis step() const { return step_; }
  [[nodiscard]] int64_t SlotOf(TimePoint at) const;
  // The slots there are: [begin, end); equal while nothing was put.
  [[nodiscard]] int64_t begin() const { return begin_; }
  [[nodiscard]] int64_t end() const { return end_; }

  // NaN for a gap and outside of [begin, end).
  [[nodiscard]] float At(int64_t slot) const {
    return slot < begin_ || slot >= end_ ? kGap : values_[Place(slot)];
  }
  // What is not finite, or beyond kMaxValue, is a gap and forgets what was there. A slot older than
  // all that is held is dropped; a newer one drops the oldest.
  void Put(int64_t slot, double value);

 private:
  static const float kGap;
  [[nodiscard]] size_t Place(int64_t slot) const { return static_cast<size_t>(slot) & mask_; }

  Millis step_;
  int64_t slots_;
  size_t mask_;
  int64_t begin_ = 0;
  int64_t end_ = 0;
  std::vector<float> values_;  // a ring
};

// The median, of an even number the mean of the two in the middle; reorders. Not of nothing.
float Median(float* first, float* last);

}  // namespace autoscale
