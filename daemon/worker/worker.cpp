#include "daemon/worker/worker.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <numeric>
#include <utility>

#include "daemon/telemetry/log.h"
#include "daemon/worker/batch.h"
#include "daemon/worker/blame.h"
#include "daemon/worker/process.h"
#include "daemon/worker/standing.h"

namespace autoscale {
namespace {

constexpr int kMaxLosses = 16;  // workers that one call may cost

std::string_view CauseOf(Loss loss) {
  switch (loss) {
    case Loss::kHung:
      return "a policy did not come back";
    case Loss::kStalled:
      return "it did not run: stopped, or starved";
    case Loss::kDied:
      return "it ended (killed, or out of memory), or what it wrote is no answer";
    case Loss::kLeft:
      break;  // of nothing that stops
  }
  return "";
}

}  // namespace

struct PolicyWorker::State {
  // One call of Evaluate.
  struct Call {
    std::span<const EvaluationRequest> requests;
    std::vector<Evaluation> answers = {};
    std::vector<uint32_t> todo = {};  // requests without an answer, in order
    Blame blame = {};
    int losses = 0;
  };

  State(std::string executable_path, PolicyLimits policy_limits, Counters& all_counters)
      : executable(std::move(executable_path)), limits(policy_limits), counters(all_counters) {}

  Status EnsureProcess();
  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests, Deadline until);
  // Takes the answers to the first requests of the batch; how many, 0 when they are none.
  size_t Unpack(Call& call, std::span<const uint32_t> sent) const;
  void HandleLoss(Call& call, Loss loss, std::span<const uint32_t> sent);
  void AnswerQuarantined(Call& call);
  static void GiveUp(Call& call, const std::string& reason);
  void RunOutOfTime(Call& call);

  const std::string executable;
  const PolicyLimits limits;
  Counters& counters;
  std::unique_ptr<WorkerProcess> process;
  bool started_once = false;
  WorkerBatch batch{FrameKind::kBatch, limits.wall};
  Standing standing;
  std::string answer;
};

Status PolicyWorker::State::EnsureProcess() {
  if (process != nullptr && !batch.full()) return Ok{};
  process.reset();
  batch.Forget();
  auto spawned = WorkerProcess::Spawn(executable, limits);
  if (!spawned) return std::move(spawned).error();
  process = std::move(spawned).value();
  if (std::exchange(started_once, true)) ++counters.worker_restarts;
  return Ok{};
}

size_t PolicyWorker::State::Unpack(Call& call, std::span<const uint32_t> sent) const {
  FrameReader in(answer);
  if (in.Get<uint8_t>() != static_cast<uint8_t>(FrameKind::kAnswers)) return 0;
  size_t count = 0;
  for (; in.ok() && !in.Done() && count < sent.size(); ++count) {
    const OwnLimits& own = call.requests[sent[count]].snapshot.limits;
    Evaluation evaluation = GetEvaluation(in);
    // No worker of ours makes it larger; what is stored must not depend on that.
    if (evaluation.state && evaluation.state->size() > own.state_bytes.value_or(limits.state_bytes))
      return 0;
    call.answers[sent[count]] = std::move(evaluation);
  }
  return in.Done() ? count : 0;
}

void PolicyWorker::State::AnswerQuarantined(Call& call) {
  std::erase_if(call.todo, [&](uint32_t index) {
    auto answered = standing.Quarantined(call.requests[index]);
    if (!answered) return false;
    call.answers[index] = *std::move(answered);
    ++counters.quarantined;
    return true;
  });
}

void PolicyWorker::State::GiveUp(Call& call, const std::string& reason) {
  for (const uint32_t index : call.todo) {
    call.answers[index] = NotEvaluated(call.requests[index], "not evaluated: " + reason);
  }
  call.todo.clear();
}

void PolicyWorker::State::HandleLoss(Call& call, Loss loss, std::span<const uint32_t> sent) {
  LogWarning("the policy worker was lost; another one takes its place",
             {{"pid", int64_t{process->pid()}}, {"cause", CauseOf(loss)}});
  const auto culprit = call.blame.Find(process->running(), loss, sent);
  process.reset();
  if (culprit) {
    const EvaluationRequest& request = call.requests[*culprit];
    if (standing.Killed(request)) {
      LogWarning("a policy is quarantined: the process running it has had to be killed too often",
                 {{"policy", request.policy->path}, {"service", request.snapshot.service}});
    }
    const Millis wall = request.snapshot.limits.wall.value_or(limits.wall);
    call.answers[*culprit] = NotEvaluated(request, DescribeLoss(loss, request.snapshot, wall));
    std::erase(call.todo, *culprit);
    AnswerQuarantined(call);
  }
  if (++call.losses < kMaxLosses) return;
  GiveUp(call, "the policy worker was lost too often; see the faults of other policies");
}

void PolicyWorker::State::RunOutOfTime(Call& call) {
  if (!standing.any_missed()) {
    LogWarning("policies use up the time that a tick has for them; who had no turn holds",
               {{"without_turn", static_cast<int64_t>(call.todo.size())}});
  }
  for (const uint32_t index : call.todo) {
    const EvaluationRequest& request = call.requests[index];
    Evaluation& evaluation = call.answers[index];
    evaluation = NotEvaluated(
        request, std::string(request.projected ? "not asked before a scale-in" : "not evaluated") +
                     ": the time that a tick has for policies was used up before its turn, which "
                     "comes first in the next");
    evaluation.unserved = true;
    standing.Missed(request);
    ++counters.policies_unserved;
  }
  call.todo.clear();
}

std::vector<Evaluation> PolicyWorker::State::Evaluate(std::span<const EvaluationRequest> requests,
                                                      Deadline until) {
  Call call{.requests = requests};
  call.answers.resize(requests.size());
  call.todo.resize(requests.size());
  std::iota(call.todo.begin(), call.todo.end(), 0U);
  AnswerQuarantined(call);
  standing.Arrange(requests, call.todo);
  size_t most = kMaxBatch;
  while (!call.todo.empty()) {
    if (std::chrono::steady_clock::now() >= until) {
      RunOutOfTime(call);
      break;
    }
    if (Status ready = EnsureProcess(); !ready) {
      GiveUp(call, ready.error().message);
      break;
    }
    const size_t count = batch.Pack(requests, call.todo, most);
    const std::span<const uint32_t> sent(call.todo.data(), count);
    std::optional<Loss> lost = process->Exchange(batch.frames(), batch.walls(), answer);
    const size_t answered = lost ? 0 : Unpack(call, sent);
    if (answered == 0) {
      HandleLoss(call, lost.value_or(Loss::kDied), sent);
      continue;
    }
    for (const uint32_t index : sent.first(answered)) {
      standing.Ended(requests[index], call.answers[index]);
    }
    call.todo.erase(call.todo.begin(), call.todo.begin() + static_cast<std::ptrdiff_t>(answered));
    // Of slow ones few are sent at a time: what is not answered is sent again.
    most = std::min(kMaxBatch, 2 * answered);
  }
  return std::move(call.answers);
}

std::string DefaultWorkerPath() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  const std::string self(path, length > 0 ? static_cast<size_t>(length) : 0);
  const std::string folder = self.substr(0, self.rfind('/') + 1);
  return folder + "../libexec/autoscaled/autoscaled-policy-worker";
}

PolicyWorker::PolicyWorker(std::unique_ptr<State> state) : state_(std::move(state)) {}
PolicyWorker::~PolicyWorker() = default;

Result<std::unique_ptr<PolicyWorker>> PolicyWorker::Start(const std::string& executable,
                                                          PolicyLimits limits, Counters& counters) {
  auto state = std::make_unique<State>(executable, limits, counters);
  if (Status ready = state->EnsureProcess(); !ready) return std::move(ready).error();
  return std::unique_ptr<PolicyWorker>(new PolicyWorker(std::move(state)));
}

std::vector<Evaluation> PolicyWorker::Evaluate(std::span<const EvaluationRequest> requests,
                                               Deadline until) {
  return state_->Evaluate(requests, until);
}

int PolicyWorker::pid() const { return state_->process != nullptr ? state_->process->pid() : -1; }

}  // namespace autoscale
