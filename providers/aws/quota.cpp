#include "providers/aws/quota.h"

#include <algorithm>
#include <cmath>

namespace autoscale::aws {
namespace {

constexpr Millis kLongestPause{20000};
constexpr int kWithoutRetry = 1;   // what a success gives back that needed none
constexpr double kRecovery = 0.1;  // what each success gives back of the rate

}  // namespace

int RetryQuota::Take(bool timed_out) {
  const int cost = timed_out ? kRetryAfterTimeout : kRetry;
  if (tokens_ < cost) return 0;
  tokens_ -= cost;
  return cost;
}

void RetryQuota::GiveBack(int cost) {
  tokens_ = std::min(kTokens, tokens_ + (cost > 0 ? cost : kWithoutRetry));
}

Millis BackoffOf(int retry, double share, Millis first) {
  const double most = std::min(static_cast<double>(kLongestPause.count()),
                               static_cast<double>(first.count()) * std::exp2(retry - 1));
  return Millis(static_cast<int64_t>(most * share));
}

void CallRate::Fill(Time now) {
  if (filled_ != Time{} && now > filled_) {
    const std::chrono::duration<double> passed = now - filled_;
    // One whole place at the least: else the slowest rate would let nobody go at once.
    places_ = std::min(std::max(rate_, 1.0), places_ + passed.count() * rate_);
  }
  filled_ = std::max(filled_, now);
}

std::optional<Millis> CallRate::Reserve(Time now, Millis longest) {
  Fill(now);
  const double missing = std::max(0.0, 1 - places_);
  const Millis wait(static_cast<int64_t>(std::ceil(missing / rate_ * 1000)));
  if (wait > longest) return std::nullopt;
  places_ -= 1;
  return wait;
}

void CallRate::Throttled(Time now) {
  Fill(now);
  const double before = rate_;
  rate_ = std::max(kLeast, rate_ / 2);
  places_ = std::min(places_, 0.0) * (rate_ / before);
}

void CallRate::Succeeded() { rate_ = std::min(kMost, rate_ * (1 + kRecovery)); }

}  // namespace autoscale::aws
