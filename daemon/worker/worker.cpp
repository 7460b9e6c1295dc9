#include "daemon/worker/worker.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "daemon/worker/process.h"

namespace autoscale {
namespace {

constexpr size_t kBatch = 1024;           // requests that go together, and are repeated together
constexpr size_t kBatchBytes = 4u << 20;  // or fewer, when they are large
constexpr int kStrikes = 3;               // kills until a policy is quarantined
constexpr int kMaxLosses = 16;            // workers that one call may cost
// Sources that a worker has been sent stay with it; after so many it is replaced by a fresh one.
constexpr size_t kMaxSources = 20'000;

std::string FileOf(const PolicySource& policy) {
  return policy.path.substr(policy.path.rfind('/') + 1);
}

Evaluation Fault(const EvaluationRequest& request, const std::string& reason) {
  return {.proposal = {.kind = ProposalKind::kHold,
                       .cause = HoldCause::kFault,
                       .capacity = request.snapshot.capacity.desired,
                       .reason = FileOf(*request.policy) + ": " + reason}};
}

constexpr const char* kQuarantined =
    "quarantined: the process running it has had to be killed 3 times; change the file to have it "
    "tried again";

}  // namespace

struct PolicyWorker::State {
  // One call of Evaluate.
  struct Call {
    std::span<const EvaluationRequest> requests;
    std::vector<Evaluation> answers = {};
    std::vector<uint32_t> todo = {};       // requests without an answer, in order
    std::optional<uint32_t> suspect = {};  // was running when a worker died
    int losses = 0;
  };

  State(std::string executable_path, PolicyLimits policy_limits, Counters& all_counters)
      : executable(std::move(executable_path)), limits(policy_limits), counters(all_counters) {}

  Status EnsureProcess();
  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests);
  // Writes as many of the requests `todo` as make a batch into `frames`; answers how many.
  size_t Pack(std::span<const EvaluationRequest> requests, std::span<const uint32_t> todo);
  uint32_t SourceId(const PolicySource& policy);
  bool Unpack(std::span<const uint32_t> batch, std::vector<Evaluation>& answers) const;
  // The request to blame for the loss, if any is; drops the process.
  std::optional<uint32_t> Blame(Call& call, Loss loss, std::span<const uint32_t> batch);
  void HandleLoss(Call& call, Loss loss, std::span<const uint32_t> batch);
  void AnswerQuarantined(Call& call) const;
  static void GiveUp(Call& call, const std::string& reason);
  [[nodiscard]] bool IsQuarantined(const PolicySource& policy) const;

  const std::string executable;
  const PolicyLimits limits;
  Counters& counters;
  std::unique_ptr<WorkerProcess> process;
  bool started_once = false;
  std::unordered_map<std::string, uint32_t> source_ids;  // of this process; by hash and path
  std::unordered_map<uint64_t, int> strikes;             // kills by hash
  std::string frames, sources, answer;
};

Status PolicyWorker::State::EnsureProcess() {
  if (process != nullptr && source_ids.size() < kMaxSources) return Ok{};
  process.reset();
  source_ids.clear();
  auto spawned = WorkerProcess::Spawn(executable, limits);
  if (!spawned) return std::move(spawned).error();
  process = std::move(spawned).value();
  if (std::exchange(started_once, true)) ++counters.worker_restarts;
  return Ok{};
}

bool PolicyWorker::State::IsQuarantined(const PolicySource& policy) const {
  const auto found = strikes.find(policy.hash);
  return found != strikes.end() && found->second >= kStrikes;
}

uint32_t PolicyWorker::State::SourceId(const PolicySource& policy) {
  std::string key = std::to_string(policy.hash) + policy.path;
  const auto [entry, is_new] =
      source_ids.try_emplace(std::move(key), static_cast<uint32_t>(source_ids.size()));
  if (is_new) {
    FrameWriter out(sources);
    out.Begin(FrameKind::kPolicy);
    out.Put(policy.hash);
    out.PutText(policy.path);
    out.PutText(policy.text);
    out.Finish();
  }
  return entry->second;
}

size_t PolicyWorker::State::Pack(std::span<const EvaluationRequest> requests,
                                 std::span<const uint32_t> todo) {
  frames.clear();
  sources.clear();
  FrameWriter out(frames);
  out.Begin(FrameKind::kBatch);
  size_t count = 0;
  const PolicySource* last = nullptr;
  uint32_t id = 0;
  while (count < std::min(todo.size(), kBatch) && frames.size() < kBatchBytes) {
    const EvaluationRequest& request = requests[todo[count++]];
    if (request.policy.get() != last) {
      last = request.policy.get();
      id = SourceId(*last);
    }
    PutRequest(out, id, request.snapshot);
  }
  out.Finish();
  frames.insert(0, sources);
  return count;
}

bool PolicyWorker::State::Unpack(std::span<const uint32_t> batch,
                                 std::vector<Evaluation>& answers) const {
  FrameReader in(answer);
  if (in.Get<uint8_t>() != static_cast<uint8_t>(FrameKind::kAnswers)) return false;
  for (const uint32_t index : batch) answers[index] = GetEvaluation(in);
  return in.Done();
}

std::optional<uint32_t> PolicyWorker::State::Blame(Call& call, Loss loss,
                                                   std::span<const uint32_t> batch) {
  const auto running = process->running();
  process.reset();
  if (!running || *running >= batch.size() || loss == Loss::kStalled) return std::nullopt;
  const uint32_t index = batch[*running];
  if (loss == Loss::kHung) return index;
  // It may have been killed from outside: only who runs when it dies again is to blame.
  if (call.suspect == index) return index;
  call.suspect = index;
  return std::nullopt;
}

void PolicyWorker::State::AnswerQuarantined(Call& call) const {
  if (strikes.empty()) return;
  std::erase_if(call.todo, [&](uint32_t index) {
    if (!IsQuarantined(*call.requests[index].policy)) return false;
    call.answers[index] = Fault(call.requests[index], kQuarantined);
    return true;
  });
}

void PolicyWorker::State::GiveUp(Call& call, const std::string& reason) {
  for (const uint32_t index : call.todo) {
    call.answers[index] = Fault(call.requests[index], "not evaluated: " + reason);
  }
  call.todo.clear();
}

void PolicyWorker::State::HandleLoss(Call& call, Loss loss, std::span<const uint32_t> batch) {
  if (const auto culprit = Blame(call, loss, batch)) {
    const EvaluationRequest& request = call.requests[*culprit];
    ++strikes[request.policy->hash];
    call.answers[*culprit] =
        Fault(request, loss == Loss::kHung
                           ? "did not come back within " + std::to_string(limits.wall.count()) +
                                 " ms, and the process running it was killed (policy_limits.wall)"
                           : "the process running it crashed, twice");
    std::erase(call.todo, *culprit);
    AnswerQuarantined(call);
  }
  if (++call.losses < kMaxLosses) return;
  GiveUp(call, "the policy worker was lost too often; see the faults of other policies");
}

std::vector<Evaluation> PolicyWorker::State::Evaluate(std::span<const EvaluationRequest> requests) {
  Call call{.requests = requests};
  call.answers.resize(requests.size());
  call.todo.resize(requests.size());
  std::iota(call.todo.begin(), call.todo.end(), 0U);
  AnswerQuarantined(call);
  while (!call.todo.empty()) {
    if (Status ready = EnsureProcess(); !ready) {
      GiveUp(call, ready.error().message);
      break;
    }
    const size_t count = Pack(requests, call.todo);
    const std::span<const uint32_t> batch(call.todo.data(), count);
    std::optional<Loss> lost = process->Exchange(frames, answer);
    if (!lost && !Unpack(batch, call.answers)) lost = Loss::kDied;
    if (lost) {
      HandleLoss(call, *lost, batch);
    } else {
      call.todo.erase(call.todo.begin(), call.todo.begin() + static_cast<std::ptrdiff_t>(count));
    }
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

std::vector<Evaluation> PolicyWorker::Evaluate(std::span<const EvaluationRequest> requests) {
  return state_->Evaluate(requests);
}

int PolicyWorker::pid() const { return state_->process != nullptr ? state_->process->pid() : -1; }

}  // namespace autoscale
