// What passes between the daemon and its policy worker, and a policy's stored state.
//
// Input: what the rest is ('0' evaluations, '1' requests, '2' limits, '3' a stored state, '4'
// verdicts), then the bytes.
#include "daemon/worker/wire.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

constexpr size_t kMaxAnswers = 1024;  // as many as a batch has

std::string Encoded(const Evaluation& evaluation) {
  std::string bytes;
  FrameWriter out(bytes);
  PutEvaluation(out, evaluation);
  return bytes;
}

// From the worker, which runs what users wrote: nothing it says may be out of range.
void CheckEvaluations(std::string_view text) {
  FrameReader in(text);
  for (size_t i = 0; i < kMaxAnswers && !in.Done(); ++i) {
    const Evaluation evaluation = GetEvaluation(in);
    if (!in.ok()) return;
    const Proposal& proposal = evaluation.proposal;
    Expect(proposal.capacity >= 0 && proposal.capacity <= 1'000'000, "a capacity is in range");
    const std::string bytes = Encoded(evaluation);
    FrameReader back(bytes);
    Expect(Encoded(GetEvaluation(back)) == bytes && back.Done(), "an evaluation comes back");
  }
}

std::string Encoded(const WireRequest& request) {
  std::string bytes;
  FrameWriter out(bytes);
  PutRequest(out, request.policy, request.zones, request.snapshot);
  return bytes;
}

void CheckRequests(std::string_view text) {
  FrameReader in(text);
  WireRequest request, twin;  // the first is reused, as the worker does
  for (size_t i = 0; i < kMaxAnswers && !in.Done(); ++i) {
    GetRequest(in, request);
    if (!in.ok()) return;
    const Snapshot& snapshot = request.snapshot;
    Expect(snapshot.metrics.size() == snapshot.samples.size(), "metrics and samples are parallel");
    const std::string bytes = Encoded(request);
    FrameReader back(bytes);
    GetRequest(back, twin);
    Expect(back.Done() && Encoded(twin) == bytes, "a request comes back");
  }
}

std::string Encoded(const TrialVerdict& verdict) {
  std::string bytes;
  FrameWriter out(bytes);
  PutVerdict(out, verdict);
  return bytes;
}

void CheckVerdicts(std::string_view text) {
  FrameReader in(text);
  for (size_t i = 0; i < kMaxAnswers && !in.Done(); ++i) {
    const TrialVerdict verdict = GetVerdict(in);
    if (!in.ok()) return;
    Expect(verdict.kind != TrialVerdict::Kind::kUntried, "whoever answers has tried it");
    const std::string bytes = Encoded(verdict);
    FrameReader back(bytes);
    Expect(Encoded(GetVerdict(back)) == bytes && back.Done(), "a verdict comes back");
  }
}

void CheckLimits(std::string_view text) {
  FrameReader in(text);
  const PolicyLimits limits = GetLimits(in);
  if (!in.Done()) return;
  std::string bytes;
  FrameWriter out(bytes);
  PutLimits(out, limits);
  FrameReader back(bytes);
  const PolicyLimits again = GetLimits(back);
  Expect(back.Done() && again.instructions == limits.instructions && again.wall == limits.wall &&
             again.memory_bytes == limits.memory_bytes && again.state_bytes == limits.state_bytes,
         "limits come back");
}

Evaluation EvaluateState(std::string_view state) {
  static PolicyHost host({.memory_bytes = 4u << 20, .wall = std::chrono::seconds(10)});
  static const PolicySource source{
      .path = "p.lua", .text = "local s = state\nreturn hold(\"read\")", .hash = 1};
  static const Params params;
  const Snapshot snapshot{.service = "shop",
                          .now = FromUnixSeconds(1000),
                          .capacity = {.desired = 4, .ready = 4},
                          .bounds = {.min = 2, .max = 20},
                          .metrics = {},
                          .samples = {},
                          .params = &params,
                          .state = state};
  return host.Evaluate(source, snapshot);
}

void CheckState(std::string_view text) {
  const Evaluation read = EvaluateState(text);
  ExpectMessage(read.proposal.reason);
  if (read.proposal.cause == HoldCause::kFault) {
    Expect(!read.state, "a fault leaves the stored state alone");
    return;
  }
  // Absent: written as it was read. What the host wrote itself, it reads and leaves as it is.
  const std::string written = read.state.value_or(std::string(text));
  const Evaluation again = EvaluateState(written);
  Expect(again.proposal.cause != HoldCause::kFault, "what was written is read", written);
  Expect(!again.state, "what was written is written the same", written);
}

void Run(std::string_view text) {
  switch (TakeChoice(text, 5)) {
    case 0:
      return CheckEvaluations(text);
    case 1:
      return CheckRequests(text);
    case 2:
      return CheckLimits(text);
    case 4:
      return CheckVerdicts(text);
    default:
      return CheckState(text);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
