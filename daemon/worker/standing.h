// Standing: what policies have cost lately, which of them are quarantined for it, and whose turn
// comes first.
//
// One that had to be killed three times is quarantined; one that met a limit for one service in ten
// evaluations in a row, for that service. Both until its text, a module or a limit of it changes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/policy/evaluator.h"

namespace autoscale {

// A hold that no evaluation led to.
Evaluation NotEvaluated(const EvaluationRequest& request, const std::string& reason);

class Standing {
 public:
  // What it is answered without being run; absent: it is to be run.
  [[nodiscard]] std::optional<Evaluation> Quarantined(const EvaluationRequest& request) const;

  // The process that ran it had to be killed, or crashed again and again. True: it is quarantined
  // from now on.
  bool Killed(const EvaluationRequest& request);
  void Ended(const EvaluationRequest& request, const Evaluation& evaluation);
  // There was no time for it.
  void Missed(const EvaluationRequest& request);
  [[nodiscard]] bool any_missed() const { return !missed_.empty(); }

  // Puts the requests in the order of their turns: first those for which there was no time before,
  // last those that cost too much, so that these never keep others from theirs.
  void Arrange(std::span<const EvaluationRequest> requests, std::vector<uint32_t>& order) const;

 private:
  struct AtLimit {
    int count = 0;       // evaluations in a row
    Proposal last = {};  // what came of the last
  };
  std::unordered_map<uint64_t, int> kills_;            // by policy
  std::unordered_map<std::string, AtLimit> at_limit_;  // by service and policy; most have none
  std::unordered_set<std::string> missed_;             // the same
};

}  // namespace autoscale
