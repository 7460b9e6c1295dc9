// Clock: the daemon's one source of time; tests hold it still.
#pragma once

#include <chrono>

#include "engine/model/time.h"

namespace autoscale {

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes backwards. From any thread.
  [[nodiscard]] virtual TimePoint Now() const = 0;
};

// Follows the steady clock, anchored to the wall clock once, at its making, and not below `floor`
// (the last `now` that was persisted): a wall clock set back must not stretch cooldowns, one set
// forward must not end them.
class SteadyClock final : public Clock {
 public:
  explicit SteadyClock(TimePoint floor)
      : steady_start_(std::chrono::steady_clock::now()),
        start_(std::max(floor, std::chrono::floor<Millis>(std::chrono::system_clock::now()))) {}

  [[nodiscard]] TimePoint Now() const override {
    return start_ + std::chrono::floor<Millis>(std::chrono::steady_clock::now() - steady_start_);
  }

 private:
  std::chrono::steady_clock::time_point steady_start_;
  TimePoint start_;
};

}  // namespace autoscale
