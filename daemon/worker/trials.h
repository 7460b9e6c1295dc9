// PolicyTrials: policies tried on made-up samples, in a worker process that lives only as long as
// this: one that crashes or hangs on the way costs a process and a message, and not the daemon.
#pragma once

#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/worker/batch.h"
#include "daemon/worker/blame.h"
#include "daemon/worker/process.h"
#include "daemon/worker/standing.h"
#include "engine/model/result.h"

namespace autoscale {

class PolicyTrials {
 public:
  PolicyTrials(std::string executable, const PolicyLimits& limits, std::stop_token stop);

  // What PolicyHost::Check says of each policy and service, in order; what hangs or crashes is a
  // doubt, in the words in which a decision would say it. After too many of these the rest is
  // kUntried. What is the same for several services but for their names is tried once. An error
  // where no worker can be started, or it was told to stop. Blocks: each evaluation of a trial is
  // bounded by its limits, and a stop ends all within 100 ms.
  Result<std::vector<TrialVerdict>> Try(std::span<const EvaluationRequest> requests);

  // The last one that cost a worker, as its verdict says it; empty: none did.
  [[nodiscard]] const std::string& last_loss() const { return last_loss_; }

 private:
  // Of one call: the verdicts of the requests `todo` are to come.
  struct Round {
    std::span<const EvaluationRequest> requests;
    std::vector<TrialVerdict>& verdicts;
    std::vector<uint32_t> todo = {};
    Blame blame = {};
  };
  Status Run(Round& round);
  Status EnsureProcess();
  // Takes the answers to the first of what was sent; how many, 0 when they are none.
  size_t Unpack(Round& round) const;
  // Answers how many to send next: those that had come to an end, so that they are not lost again
  // with each that hangs behind them.
  size_t HandleLoss(Round& round, Loss loss, size_t sent);
  void AnswerQuarantined(Round& round) const;

  const std::string executable_;
  const PolicyLimits limits_;
  const std::stop_token stop_;
  std::unique_ptr<WorkerProcess> process_;
  WorkerBatch batch_;
  Standing standing_;
  int losses_ = 0;
  std::string answer_, last_loss_;
};

}  // namespace autoscale
