// Failures in a row: later tries, and at last a breaker.
#include <algorithm>
#include <utility>

#include "daemon/fleet/reconcile.h"

namespace autoscale {
namespace {

constexpr Millis kFirstBackoff{500};
constexpr Millis kLongestBackoff = std::chrono::minutes(1);
// While the breaker is open.
constexpr Millis kProbeEvery = std::chrono::minutes(5);

}  // namespace

void CountFailure(Member& member, TimePoint now, std::string why) {
  member.last_failure = now;
  member.problem = std::move(why);
  ++member.failures;
  if (member.failures < member.failures_allowed) return;
  if (member.breaker.empty()) member.breaker_since = now;
  member.breaker = std::to_string(member.failures) +
                   " actions in a row have failed; the last: " + member.problem;
}

void BackOff(Member& member, TimePoint now, std::string why) {
  if (now < member.launch_after) {
    // Of the same try: what starts together fails together, and that is one failure.
    member.last_failure = now;
    member.problem = std::move(why);
    return;
  }
  const int doublings = std::min(member.failures, 7);
  CountFailure(member, now, std::move(why));
  member.launch_after =
      now + (member.breaker.empty() ? std::min(kFirstBackoff * (1 << doublings), kLongestBackoff)
                                    : kProbeEvery);
}

void CloseBreaker(Member& member) {
  if (!member.breaker.empty()) member.problem.clear();
  member.failures = 0;
  member.launch_after = {};
  member.breaker.clear();
}

}  // namespace autoscale
