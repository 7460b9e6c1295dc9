// How much is asked of AWS: what retries may cost, and how many calls a second there are.
//
// Both as AWS's own tools have it ("Retry behavior", AWS SDKs and Tools Reference Guide).
#pragma once

#include <chrono>
#include <optional>

#include "engine/model/time.h"

namespace autoscale::aws {

// What all retries of an account together may cost, so that they do not pile up while AWS fails.
class RetryQuota {
 public:
  static constexpr int kTokens = 500;
  static constexpr int kRetry = 5;
  static constexpr int kRetryAfterTimeout = 10;

  // What a retry costs, paid; 0: too much has failed, do without.
  int Take(bool timed_out);
  // A call has succeeded, whose retries cost so much: that comes back, else a little.
  void GiveBack(int cost);
  [[nodiscard]] int left() const { return tokens_; }

 private:
  int tokens_ = kTokens;
};

// The pause before the n-th retry (1, 2, ...): up to twice as long each time, at most 20 s. `share`
// is a random number of 0 to 1.
Millis BackoffOf(int retry, double share, Millis first);

// Calls a second: halves whenever AWS throttles us, and comes back with what succeeds.
class CallRate {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr double kMost = 20;  // a second; a burst may be as large
  static constexpr double kLeast = 0.5;

  // How long to wait before the next call, which this takes a place for; 0: go on. Nothing, and no
  // place taken, when that is more than `longest`.
  std::optional<Millis> Reserve(Time now, Millis longest);
  // Whoever waits already waits no longer for it.
  void Throttled(Time now);
  void Succeeded();
  [[nodiscard]] double per_second() const { return rate_; }

 private:
  void Fill(Time now);

  double rate_ = kMost;
  double places_ = kMost;  // below 0: so many wait
  Time filled_{};
};

}  // namespace autoscale::aws
