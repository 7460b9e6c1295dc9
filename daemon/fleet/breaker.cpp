// Failures in a row: later tries, and at last a breaker. So do contests of a capacity.
#include <algorithm>
#include <utility>

#include "daemon/fleet/reconcile.h"

namespace autoscale {
namespace {

constexpr Millis kFirstBackoff{500};
constexpr Millis kLongestBackoff = std::chrono::minutes(1);

Millis Backoff(int doublings) {
  return std::min(kFirstBackoff * (1 << std::min(doublings, 7)), kLongestBackoff);
}

std::string InWords(Millis time) {
  constexpr Millis kLongInSeconds = std::chrono::minutes(2);
  if (time < kLongInSeconds) {
    return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count()) + " s";
  }
  return std::to_string(std::chrono::ceil<std::chrono::minutes>(time).count()) + " min";
}

}  // namespace

void CountFailure(Member& member, TimePoint now, std::string why) {
  member.last_failure = now;
  member.problem = std::move(why);
  ++member.failures;
  if (member.failures < member.failures_allowed || member.contested) return;
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
  const Millis backoff = Backoff(member.failures);
  CountFailure(member, now, std::move(why));
  member.launch_after = now + (member.breaker.empty() ? backoff : kProbeEvery);
}

void CountContest(Member& member, TimePoint now, const std::string& change) {
  if (now - member.last_contest >= kUncontested) member.contests = 0;
  if (member.contests == 0) member.first_contest = now;
  member.last_contest = now;
  member.problem = "its capacity was changed " + change + " by somebody else";
  member.sizing->retry_at = std::max(member.sizing->retry_at, now + Backoff(member.contests));
  if (++member.contests < member.failures_allowed) return;
  if (member.breaker.empty()) {
    member.breaker_since = now;
  } else {
    member.breaker_stored = false;  // as another one
  }
  member.contested = true;
  member.breaker = "its capacity was changed " + std::to_string(member.contests) +
                   " times within " + InWords(now - member.first_contest) +
                   " by somebody else, and set back each time but the last, when it went " + change;
}

void EndRowOfFailures(Member& member) {
  member.failures = 0;
  member.launch_after = {};
  if (member.contested) return;
  if (!member.breaker.empty()) member.problem.clear();
  member.breaker.clear();
}

void CloseBreaker(Member& member) {
  member.contests = 0;
  member.contested = false;
  EndRowOfFailures(member);
}

}  // namespace autoscale
