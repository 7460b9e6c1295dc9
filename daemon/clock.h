// Clock: the daemon's one source of time; tests hold it still.
#pragma once

#include <chrono>
#include <mutex>

#include "engine/model/time.h"

namespace autoscale {

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes backwards. From any thread.
  [[nodiscard]] virtual TimePoint Now() const = 0;
};

// What the kernel's clocks say at one moment.
struct ClockReading {
  std::chrono::nanoseconds boot{0};  // CLOCK_BOOTTIME: nobody can set it, and it counts a suspend
  std::chrono::nanoseconds wall{0};  // CLOCK_REALTIME, UTC, since 1970: anybody may set it
};

// Time that passes as `boot` does, and goes after `wall` by at most kSlew of what has passed: a
// wall clock set back must not stretch windows and cooldowns, one set forward must not end them,
// and still a minute's correction is made up for in twenty. One thread.
class SlewedTime {
 public:
  static constexpr int kSlew = 20;  // one part in so many: 5 %

  // Begins at the wall's time, or at `floor` (the last `now` that was persisted) if that is later.
  SlewedTime(const ClockReading& reading, TimePoint floor);

  // Takes a reading that is not older than the one before; never returns less than before.
  TimePoint At(const ClockReading& reading);
  // This time minus the wall's, at the last reading.
  [[nodiscard]] Millis Offset() const;

 private:
  ClockReading last_;
  std::chrono::nanoseconds now_;
};

// SlewedTime of this machine's clocks.
class SteadyClock final : public Clock {
 public:
  explicit SteadyClock(TimePoint floor);
  [[nodiscard]] TimePoint Now() const override;
  // `now` minus the wall clock, this moment. From any thread.
  [[nodiscard]] Millis Offset() const;

 private:
  mutable std::mutex mutex_;  // readings are taken under it, so that they come in order
  mutable SlewedTime time_;
};

// Says when an offset is worth a line in the log, once: not for what NTP does every day.
class OffsetWatch {
 public:
  static constexpr Millis kTold = std::chrono::seconds(5);
  static constexpr Millis kSettled = std::chrono::seconds(1);

  enum class News { kNone, kBegins, kEnds };
  News Take(Millis offset);

 private:
  bool off_ = false;
};

}  // namespace autoscale
