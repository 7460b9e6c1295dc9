#include "net/http_breaker.h"

#include <algorithm>

#include "net/http_text.h"

namespace autoscale {
namespace {

constexpr int kFailures = 5;  // in a row, none of them an answer
constexpr Millis kFirstRest{2000};
constexpr Millis kLongestRest{30000};

}  // namespace

Millis HttpBreaker::Rest(int failures) {
  const int doublings = std::min(failures - kFailures, 4);
  const Millis rest = std::min(kLongestRest, kFirstRest * (1 << doublings));
  const double share = std::uniform_real_distribution<double>(0.5, 1.0)(random_);
  return std::chrono::duration_cast<Millis>(rest * share);
}

std::optional<Error> HttpBreaker::Refuse(const std::string& origin, Time now) {
  const auto found = origins_.find(origin);
  if (found == origins_.end() || !found->second.last) return std::nullopt;
  Origin& state = found->second;
  const auto left = std::chrono::ceil<Millis>(state.closed_until - now);
  if (left > Millis(0)) {
    Error error = *state.last;
    error.retry_after = left;
    error.message += "; not asked again for " + ShownDuration(left);
    return error;
  }
  if (state.failures < kFailures) {
    origins_.erase(found);
  } else {
    // This one finds out whether it is back; the others wait longer than before.
    state.closed_until = now + Rest(++state.failures);
  }
  return std::nullopt;
}

bool HttpBreaker::IsThrottling(const Origin& state, Time now) {
  return state.last && state.failures < kFailures && state.closed_until > now;
}

void HttpBreaker::Answered(const std::string& origin, Time now) {
  const auto found = origins_.find(origin);
  if (found == origins_.end()) return;
  if (IsThrottling(found->second, now)) {
    found->second.failures = 0;
  } else {
    origins_.erase(found);
  }
}

void HttpBreaker::Failed(const std::string& origin, Time now, const Error& error) {
  Origin& state = origins_[origin];
  if (state.failures < kFailures && ++state.failures == kFailures) {
    state.closed_until = now + Rest(state.failures);
  }
  if (state.failures >= kFailures) state.last = error;
}

void HttpBreaker::Throttled(const std::string& origin, Time now, const Error& error) {
  Origin& state = origins_[origin];
  const Time until = now + error.retry_after;
  if (IsThrottling(state, now) && state.closed_until >= until) return;
  state = {.failures = 0, .closed_until = until, .last = error};
}

}  // namespace autoscale
