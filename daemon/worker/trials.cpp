#include "daemon/worker/trials.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "engine/policy/modules.h"

namespace autoscale {
namespace {

// Workers that all trials of a load may cost. A policy that hangs takes its process's 2 × wall and
// some 0.1 s, so that by default it is over within about 10 s.
constexpr int kMaxLosses = 32;

// All that a trial depends on; of the service's name only messages of limits of its own.
std::string KeyOf(const EvaluationRequest& request) {
  std::string key;
  FrameWriter out(key);
  out.Put(request.policy->hash);
  out.PutText(request.policy->path);
  for (const auto& zone : request.snapshot.zones) {
    out.PutText(zone->name);
    out.PutText(zone->version);
  }
  Snapshot snapshot = request.snapshot;
  if (snapshot.limits == OwnLimits()) snapshot.service = {};
  PutRequest(out, 0, {}, snapshot);
  return key;
}

// Whether it asks for the service's name is not known of one that did not come to its end.
TrialVerdict Doubt(const EvaluationRequest& request, const std::string& reason) {
  return {.kind = TrialVerdict::Kind::kDoubt,
          .text = WithWholePath(*request.policy, reason),
          .named = true};
}

}  // namespace

PolicyTrials::PolicyTrials(std::string executable, const PolicyLimits& limits, std::stop_token stop)
    : executable_(std::move(executable)),
      limits_(limits),
      stop_(std::move(stop)),
      batch_(FrameKind::kTrials, limits.wall) {}

Status PolicyTrials::EnsureProcess() {
  if (process_ != nullptr && !batch_.full()) return Ok{};
  process_.reset();
  batch_.Forget();
  auto spawned = WorkerProcess::Spawn(executable_, limits_);
  if (!spawned) return std::move(spawned).error();
  process_ = std::move(spawned).value();
  return Ok{};
}

size_t PolicyTrials::Unpack(Round& round) const {
  FrameReader in(answer_);
  if (in.Get<uint8_t>() != static_cast<uint8_t>(FrameKind::kVerdicts)) return 0;
  size_t count = 0;
  for (; in.ok() && !in.Done() && count < batch_.walls().size(); ++count) {
    round.verdicts[round.todo[count]] = GetVerdict(in);
  }
  return in.Done() ? count : 0;
}

size_t PolicyTrials::HandleLoss(Round& round, Loss loss, size_t sent) {
  ++losses_;
  const auto running = process_->running();
  const auto culprit = round.blame.Find(running, loss, std::span(round.todo).first(sent));
  process_.reset();
  const size_t ended = std::min<size_t>(running.value_or(0), sent);
  const size_t next = ended > 0 ? ended : kMaxBatch;
  if (!culprit) return next;
  const EvaluationRequest& request = round.requests[*culprit];
  standing_.Killed(request);
  const Millis wall = request.snapshot.limits.wall.value_or(limits_.wall);
  const Evaluation held = NotEvaluated(request, DescribeLoss(loss, request.snapshot, wall));
  round.verdicts[*culprit] = Doubt(request, held.proposal.reason);
  last_loss_ = round.verdicts[*culprit].text;
  std::erase(round.todo, *culprit);
  AnswerQuarantined(round);
  return next;
}

// As in a tick: what has killed its process three times is not run a fourth time.
void PolicyTrials::AnswerQuarantined(Round& round) const {
  std::erase_if(round.todo, [&](uint32_t index) {
    const EvaluationRequest& request = round.requests[index];
    const auto held = standing_.Quarantined(request);
    if (held) round.verdicts[index] = Doubt(request, held->proposal.reason);
    return held.has_value();
  });
}

Status PolicyTrials::Run(Round& round) {
  AnswerQuarantined(round);
  size_t most = kMaxBatch;
  while (!round.todo.empty()) {
    if (stop_.stop_requested()) {
      return Error{ErrorKind::kUnavailable, "told to stop before it was done"};
    }
    if (losses_ >= kMaxLosses) {
      for (const uint32_t index : round.todo) {
        round.verdicts[index] = {.kind = TrialVerdict::Kind::kUntried};
      }
      break;
    }
    if (Status ready = EnsureProcess(); !ready) return ready;
    const size_t sent = batch_.Pack(round.requests, round.todo, most);
    const auto lost = process_->Exchange(batch_.frames(), batch_.walls(), answer_, stop_);
    const size_t answered = lost ? 0 : Unpack(round);
    if (answered == 0) {
      most = HandleLoss(round, lost.value_or(Loss::kDied), sent);
      continue;
    }
    round.todo.erase(round.todo.begin(),
                     round.todo.begin() + static_cast<std::ptrdiff_t>(answered));
    // Trials take longer than a slice soon: what is not answered is sent again.
    most = std::min(kMaxBatch, 2 * answered);
  }
  return Ok{};
}

Result<std::vector<TrialVerdict>> PolicyTrials::Try(std::span<const EvaluationRequest> requests) {
  std::vector<TrialVerdict> verdicts(requests.size());
  Round round{.requests = requests, .verdicts = verdicts};
  std::unordered_map<std::string, uint32_t> firsts;
  std::vector<std::pair<uint32_t, uint32_t>> others;  // each with the one that is like it
  for (uint32_t i = 0; i < requests.size(); ++i) {
    const auto [first, is_new] = firsts.try_emplace(KeyOf(requests[i]), i);
    if (is_new) {
      round.todo.push_back(i);
    } else {
      others.emplace_back(i, first->second);
    }
  }
  if (Status done = Run(round); !done) return std::move(done).error();
  round.todo.clear();
  for (const auto& [other, first] : others) {
    if (verdicts[first].named) {
      round.todo.push_back(other);
    } else {
      verdicts[other] = verdicts[first];
    }
  }
  if (Status done = Run(round); !done) return std::move(done).error();
  return verdicts;
}

}  // namespace autoscale
