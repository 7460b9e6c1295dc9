// Evaluator: the seam between the tick and whatever runs policies (worker processes in the daemon,
// a PolicyHost in process in tests and offline tools).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/policy/host.h"

namespace autoscale {

struct EvaluationRequest {
  std::shared_ptr<const PolicySource> policy;
  Snapshot snapshot;
};

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // Evaluates all requests, in order, and answers each with exactly one Evaluation: a request that
  // could not be evaluated answers a hold with cause kFault. Blocks; bounded by the limits.
  virtual std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests) = 0;
};

}  // namespace autoscale
