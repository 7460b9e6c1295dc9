// Anomaly: how odd a value is for its time of the season.
#pragma once

#include <optional>

#include "engine/forecast/series.h"

namespace autoscale {

// What is usual at one instant: the median, and how far values lie from it (1.4826 × the median of
// the distances, which is the standard deviation where they are normal).
struct Usual {
  double median = 0;
  double spread = 0;
};

// Of the slots at the same time of earlier seasons, and those beside them; where there are not
// enough of these, of the last two dozen slots. Only slots before `slot` count. Absent: too few of
// either.
std::optional<Usual> UsualAt(const Series& series, int64_t slot, int season);

inline constexpr double kMostOdd = 100;

// How many spreads above the median (negative: below), within ±kMostOdd. A spread is taken for at
// least 5 % of the median, lest a metric that hardly moves is odd when it moves at all.
double OddnessOf(const Usual& usual, double value);

}  // namespace autoscale
