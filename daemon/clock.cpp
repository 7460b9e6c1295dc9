#include "daemon/clock.h"

#include <algorithm>
#include <ctime>

namespace autoscale {
namespace {

using std::chrono::nanoseconds;

nanoseconds Read(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);  // these two clocks are always there
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

ClockReading ReadClocks() { return {.boot = Read(CLOCK_BOOTTIME), .wall = Read(CLOCK_REALTIME)}; }

}  // namespace

SlewedTime::SlewedTime(const ClockReading& reading, TimePoint floor)
    : last_(reading), now_(std::max<nanoseconds>(reading.wall, floor.time_since_epoch())) {}

TimePoint SlewedTime::At(const ClockReading& reading) {
  const nanoseconds passed = std::max(reading.boot - last_.boot, nanoseconds(0));
  const nanoseconds most = passed / kSlew;
  now_ += passed;
  now_ += std::clamp(reading.wall - now_, -most, most);
  last_ = reading;
  return TimePoint(std::chrono::floor<Millis>(now_));
}

Millis SlewedTime::Offset() const { return std::chrono::round<Millis>(now_ - last_.wall); }

SteadyClock::SteadyClock(TimePoint floor) : time_(ReadClocks(), floor) {}

TimePoint SteadyClock::Now() const {
  const std::lock_guard lock(mutex_);
  return time_.At(ReadClocks());
}

Millis SteadyClock::Offset() const {
  const std::lock_guard lock(mutex_);
  time_.At(ReadClocks());
  return time_.Offset();
}

OffsetWatch::News OffsetWatch::Take(Millis offset) {
  const Millis size = std::chrono::abs(offset);
  if (!off_ && size > kTold) {
    off_ = true;
    return News::kBegins;
  }
  if (off_ && size < kSettled) {
    off_ = false;
    return News::kEnds;
  }
  return News::kNone;
}

}  // namespace autoscale
