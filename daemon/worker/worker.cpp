#include "daemon/worker/worker.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "daemon/telemetry/log.h"
#include "daemon/worker/process.h"
#include "daemon/worker/standing.h"

namespace autoscale {
namespace {

constexpr size_t kBatch = 1024;           // requests that go together, and are repeated together
constexpr size_t kBatchBytes = 4u << 20;  // or fewer, when they are large
constexpr int kMaxLosses = 16;            // workers that one call may cost
// Sources that a worker has been sent stay with it; after so many it is replaced by a fresh one.
constexpr size_t kMaxSources = 20'000;

std::string_view CauseOf(Loss loss) {
  switch (loss) {
    case Loss::kHung:
      return "a policy did not come back";
    case Loss::kStalled:
      return "it did not run: stopped, or starved";
    case Loss::kDied:
      return "it ended (killed, or out of memory), or what it wrote is no answer";
  }
  return "";
}

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
  std::vector<Evaluation> Evaluate(std::span<const EvaluationRequest> requests, Deadline until);
  // Writes as many of the requests `todo` as make a batch, at most `most`, into `frames`; answers
  // how many.
  size_t Pack(std::span<const EvaluationRequest> requests, std::span<const uint32_t> todo,
              size_t most);
  uint32_t SourceId(const PolicySource& policy);
  uint32_t ModuleId(const PolicyModule& module);
  uint32_t ZoneId(const Zone& zone);
  // Takes the answers to the first requests of the batch; how many, 0 when they are none.
  size_t Unpack(Call& call, std::span<const uint32_t> batch) const;
  // The request to blame for the loss, if any is; drops the process.
  std::optional<uint32_t> Blame(Call& call, Loss loss, std::span<const uint32_t> batch);
  void HandleLoss(Call& call, Loss loss, std::span<const uint32_t> batch);
  void AnswerQuarantined(Call& call);
  [[nodiscard]] Millis WallOf(const EvaluationRequest& request) const {
    return request.snapshot.limits.wall.value_or(limits.wall);
  }
  static void GiveUp(Call& call, const std::string& reason);
  void RunOutOfTime(Call& call);

  const std::string executable;
  const PolicyLimits limits;
  Counters& counters;
  std::unique_ptr<WorkerProcess> process;
  bool started_once = false;
  // What this process has been sent, by hash and path; zones by name and version.
  std::unordered_map<std::string, uint32_t> source_ids, module_ids, zone_ids;
  Standing standing;
  std::string frames, sources, answer;
  std::vector<Millis> walls;  // of the batch
};

Status PolicyWorker::State::EnsureProcess() {
  if (process != nullptr && source_ids.size() + module_ids.size() < kMaxSources) return Ok{};
  process.reset();
  source_ids.clear();
  module_ids.clear();
  zone_ids.clear();
  auto spawned = WorkerProcess::Spawn(executable, limits);
  if (!spawned) return std::move(spawned).error();
  process = std::move(spawned).value();
  if (std::exchange(started_once, true)) ++counters.worker_restarts;
  return Ok{};
}

uint32_t PolicyWorker::State::SourceId(const PolicySource& policy) {
  std::string key = std::to_string(policy.hash) + policy.path;
  const auto [entry, is_new] =
      source_ids.try_emplace(std::move(key), static_cast<uint32_t>(source_ids.size()));
  if (!is_new) return entry->second;
  std::vector<uint32_t> modules;  // sent before it
  for (const auto& module : policy.modules) modules.push_back(ModuleId(*module));
  FrameWriter out(sources);
  out.Begin(FrameKind::kPolicy);
  out.Put(policy.hash);
  out.PutText(policy.path);
  out.PutText(policy.text);
  out.Put(static_cast<uint32_t>(modules.size()));
  for (const uint32_t module : modules) out.Put(module);
  out.Finish();
  return entry->second;
}

uint32_t PolicyWorker::State::ModuleId(const PolicyModule& module) {
  // One file may be required under two names, as seen from two folders.
  std::string key =
      std::to_string(std::hash<std::string>()(module.text)) + module.path + '\n' + module.name;
  const auto [entry, is_new] =
      module_ids.try_emplace(std::move(key), static_cast<uint32_t>(module_ids.size()));
  if (!is_new) return entry->second;
  FrameWriter out(sources);
  out.Begin(FrameKind::kModule);
  out.PutText(module.name);
  out.PutText(module.path);
  out.PutText(module.text);
  out.Finish();
  return entry->second;
}

uint32_t PolicyWorker::State::ZoneId(const Zone& zone) {
  const auto [entry, is_new] =
      zone_ids.try_emplace(zone.name + ' ' + zone.version, static_cast<uint32_t>(zone_ids.size()));
  if (!is_new) return entry->second;
  FrameWriter out(sources);
  out.Begin(FrameKind::kZone);
  PutZone(out, zone);
  out.Finish();
  return entry->second;
}

size_t PolicyWorker::State::Pack(std::span<const EvaluationRequest> requests,
                                 std::span<const uint32_t> todo, size_t most) {
  frames.clear();
  sources.clear();
  walls.clear();
  FrameWriter out(frames);
  out.Begin(FrameKind::kBatch);
  size_t count = 0;
  const PolicySource* last = nullptr;
  uint32_t id = 0;
  std::vector<uint32_t> zones;
  while (count < std::min(todo.size(), most) && frames.size() < kBatchBytes) {
    const EvaluationRequest& request = requests[todo[count++]];
    if (request.policy.get() != last) {
      last = request.policy.get();
      id = SourceId(*last);
    }
    zones.clear();
    for (const auto& zone : request.snapshot.zones) zones.push_back(ZoneId(*zone));
    PutRequest(out, id, zones, request.snapshot);
    walls.push_back(WallOf(request));
  }
  out.Finish();
  frames.insert(0, sources);
  return count;
}

size_t PolicyWorker::State::Unpack(Call& call, std::span<const uint32_t> batch) const {
  FrameReader in(answer);
  if (in.Get<uint8_t>() != static_cast<uint8_t>(FrameKind::kAnswers)) return 0;
  size_t count = 0;
  for (; in.ok() && !in.Done() && count < batch.size(); ++count) {
    const OwnLimits& own = call.requests[batch[count]].snapshot.limits;
    Evaluation evaluation = GetEvaluation(in);
    // No worker of ours makes it larger; what is stored must not depend on that.
    if (evaluation.state && evaluation.state->size() > own.state_bytes.value_or(limits.state_bytes))
      return 0;
    call.answers[batch[count]] = std::move(evaluation);
  }
  return in.Done() ? count : 0;
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

void PolicyWorker::State::HandleLoss(Call& call, Loss loss, std::span<const uint32_t> batch) {
  LogWarning("the policy worker was lost; another one takes its place",
             {{"pid", int64_t{process->pid()}}, {"cause", CauseOf(loss)}});
  if (const auto culprit = Blame(call, loss, batch)) {
    const EvaluationRequest& request = call.requests[*culprit];
    standing.Killed(request);
    const LimitName name("wall", request.snapshot.limits.wall.has_value(),
                         request.snapshot.service);
    call.answers[*culprit] = NotEvaluated(
        request, loss == Loss::kHung
                     ? "did not come back within " + std::to_string(WallOf(request).count()) +
                           " ms, and the process running it was killed (" + name.text + ")"
                     : "the process running it crashed, twice");
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
  size_t most = kBatch;
  while (!call.todo.empty()) {
    if (std::chrono::steady_clock::now() >= until) {
      RunOutOfTime(call);
      break;
    }
    if (Status ready = EnsureProcess(); !ready) {
      GiveUp(call, ready.error().message);
      break;
    }
    const size_t count = Pack(requests, call.todo, most);
    const std::span<const uint32_t> batch(call.todo.data(), count);
    std::optional<Loss> lost = process->Exchange(frames, walls, answer);
    const size_t answered = lost ? 0 : Unpack(call, batch);
    if (answered == 0) {
      HandleLoss(call, lost.value_or(Loss::kDied), batch);
      continue;
    }
    for (const uint32_t index : batch.first(answered)) {
      standing.Ended(requests[index], call.answers[index]);
    }
    call.todo.erase(call.todo.begin(), call.todo.begin() + static_cast<std::ptrdiff_t>(answered));
    // Of slow ones few are sent at a time: what is not answered is sent again.
    most = std::min(kBatch, 2 * answered);
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
