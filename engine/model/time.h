// Time as the engine sees it: values handed in, never read from a clock.
#pragma once

#include <chrono>

namespace autoscale {

using Millis = std::chrono::milliseconds;

// Wall time with a resolution of a millisecond. The daemon's `now` follows the steady clock, is
// goes after the wall clock slowly, and never falls below the last persisted value.
using TimePoint = std::chrono::sys_time<Millis>;

inline double ToSeconds(Millis d) { return std::chrono::duration<double>(d).count(); }
inline double ToUnixSeconds(TimePoint t) { return ToSeconds(t.time_since_epoch()); }
inline Millis FromSeconds(double s) {
  return std::chrono::round<Millis>(std::chrono::duration<double>(s));
}
inline TimePoint FromUnixSeconds(double s) { return TimePoint(FromSeconds(s)); }

}  // namespace autoscale
