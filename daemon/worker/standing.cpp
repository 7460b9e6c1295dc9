#include "daemon/worker/standing.h"

#include <algorithm>

#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

constexpr int kMostKills = 3;
constexpr int kMostAtLimit = 10;  // evaluations in a row
constexpr size_t kMost = 20'000;  // remembered: of services that are long gone, too

// What is tried, and within what: with another text, module or limit it is tried again.
uint64_t PolicyOf(const EvaluationRequest& request) {
  uint64_t key = request.policy->hash;
  const OwnLimits& limits = request.snapshot.limits;
  for (const uint64_t limit : {static_cast<uint64_t>(limits.instructions.value_or(0)),
                               static_cast<uint64_t>(limits.wall.value_or(Millis(0)).count()),
                               static_cast<uint64_t>(limits.state_bytes.value_or(0))}) {
    if (limit != 0) key = (key ^ limit) * 1099511628211ULL;  // FNV-1a's prime
  }
  return key;
}

// A service has a policy, and another one that is tried beside it. One that hangs at projected
// values alone is fine at the present ones.
std::string KeyOf(const EvaluationRequest& request) {
  return std::string(request.snapshot.service) + (request.projected ? "\nprojected " : "\n") +
         std::to_string(PolicyOf(request));
}

}  // namespace

Evaluation NotEvaluated(const EvaluationRequest& request, const std::string& reason) {
  const std::string& path = request.policy->path;
  return {.proposal = {.kind = ProposalKind::kHold,
                       .cause = HoldCause::kFault,
                       .capacity = request.snapshot.capacity.desired,
                       .reason = path.substr(path.rfind('/') + 1) + ": " + reason},
          .outside = true};
}

std::optional<Evaluation> Standing::Quarantined(const EvaluationRequest& request) const {
  const std::string ending = "; change the file or the limit to have it tried again";
  if (!kills_.empty()) {
    const auto found = kills_.find(PolicyOf(request));
    if (found != kills_.end() && found->second >= kMostKills) {
      Evaluation out =
          NotEvaluated(request, "quarantined: the process running it has had to be killed " +
                                    std::to_string(kMostKills) + " times" + ending);
      out.quarantined = true;
      return out;
    }
  }
  if (at_limit_.empty()) return std::nullopt;
  const auto found = at_limit_.find(KeyOf(request));
  if (found == at_limit_.end() || found->second.count < kMostAtLimit) return std::nullopt;
  const Proposal& last = found->second.last;
  Evaluation out = NotEvaluated(
      request, "quarantined: " + std::to_string(kMostAtLimit) +
                   " evaluations in a row ended at a limit, the last at " + last.reason + ending);
  out.proposal.at = last.at;
  out.quarantined = true;
  return out;
}

bool Standing::Killed(const EvaluationRequest& request) {
  if (kills_.size() >= kMost) kills_.clear();
  return ++kills_[PolicyOf(request)] == kMostKills;
}

void Standing::Ended(const EvaluationRequest& request, const Evaluation& evaluation) {
  if (!missed_.empty()) missed_.erase(KeyOf(request));
  if (!evaluation.at_limit) {
    if (!at_limit_.empty()) at_limit_.erase(KeyOf(request));
    return;
  }
  if (at_limit_.size() >= kMost) at_limit_.clear();
  AtLimit& policy = at_limit_[KeyOf(request)];
  policy.last = evaluation.proposal;
  if (++policy.count != kMostAtLimit) return;
  LogWarning("a policy is quarantined for a service: it met a limit too often",
             {{"service", request.snapshot.service}, {"last", evaluation.proposal.reason}});
}

void Standing::Missed(const EvaluationRequest& request) {
  if (missed_.size() >= kMost) missed_.clear();
  missed_.insert(KeyOf(request));
}

void Standing::Arrange(std::span<const EvaluationRequest> requests,
                       std::vector<uint32_t>& order) const {
  if (kills_.empty() && at_limit_.empty() && missed_.empty()) return;
  std::vector<int> turns(requests.size());
  for (const uint32_t index : order) {
    const std::string key = KeyOf(requests[index]);
    const bool costly = kills_.contains(PolicyOf(requests[index])) || at_limit_.contains(key);
    turns[index] = (costly ? 2 : 0) + (missed_.contains(key) ? 0 : 1);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return turns[a] < turns[b]; });
}

}  // namespace autoscale
