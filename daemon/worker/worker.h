// PolicyWorker: an Evaluator in a process of its own.
//
// The worker (autoscaled-policy-worker) is spawned, limits itself (seccomp, rlimits) and answers
// batches over a socket pair. A policy that does not come back before the wall-clock limit costs
// the worker's life: it is killed and spawned again, the culprit (told by shared memory) gets a
// fault, the rest of the batch is evaluated again. What costs too much is quarantined (standing.h):
// it answers faults without being run.
#pragma once

#include <memory>
#include <string>

#include "daemon/telemetry/telemetry.h"
#include "engine/policy/evaluator.h"

namespace autoscale {

// The worker's executable beside this one: ../libexec/autoscaled/autoscaled-policy-worker.
std::string DefaultWorkerPath();

class PolicyWorker final : public Evaluator {
 public:
  // Spawns the worker. Used by one thread. `counters` outlives it.
  static Result<std::unique_ptr<PolicyWorker>> Start(const std::string& executable,
                                                     PolicyLimits limits, Counters& counters);
  ~PolicyWorker() override;

  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests,
                                   Deadline until = kNoDeadline) override;
  // The worker's present pid, for tests and for summing up memory.
  [[nodiscard]] int pid() const;

 private:
  struct State;
  explicit PolicyWorker(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
