// Evaluator: the seam between the tick and whatever runs policies (worker processes in the daemon,
// a PolicyHost in process in tests and offline tools).
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "engine/policy/host.h"

namespace autoscale {

struct EvaluationRequest {
  std::shared_ptr<const PolicySource> policy;
  Snapshot snapshot;
  bool projected = false;  // asked before a scale-in, of what would be after it
};

// Until when evaluations are begun.
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNoDeadline = Deadline::max();

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // Answers each request with exactly one Evaluation, in order: a request that could not be
  // evaluated answers a hold with cause kFault. Blocks; bounded by the limits, and by the limit of
  // one evaluation after the deadline.
  virtual std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests,
                                           Deadline until) = 0;
};

}  // namespace autoscale
