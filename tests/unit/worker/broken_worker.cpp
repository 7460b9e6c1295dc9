// A policy worker that answers every request with a state of 20,000 bytes, and every trial with how
// many there have been.
#include <unistd.h>

#include <string>

#include "daemon/worker/wire.h"

namespace autoscale {
namespace {

bool ReadAll(char* to, size_t size) {
  while (size > 0) {
    const ssize_t count = read(kWorkerSocket, to, size);
    if (count <= 0) return false;
    to += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

std::string Answer(FrameReader& in, FrameKind kind) {
  std::string frame;
  FrameWriter out(frame);
  out.Begin(kind);
  WireRequest request;
  static int trials = 0;
  while (!in.Done() && in.ok()) {
    GetRequest(in, request);
    if (kind == FrameKind::kVerdicts) {
      PutVerdict(out, {.kind = TrialVerdict::Kind::kDoubt, .text = std::to_string(++trials)});
      continue;
    }
    PutEvaluation(out, {.proposal = {.capacity = 9}, .state = std::string(20'000, 'x')});
  }
  out.Finish();
  return frame;
}

void Serve() {
  uint32_t length = 0;
  std::string payload;
  while (ReadAll(reinterpret_cast<char*>(&length), sizeof length) && length <= kMaxFrame) {
    payload.resize(length);
    if (!ReadAll(payload.data(), length)) return;
    FrameReader in(payload);
    const auto kind = static_cast<FrameKind>(in.Get<uint8_t>());
    std::string answer;
    if (kind == FrameKind::kBatch) answer = Answer(in, FrameKind::kAnswers);
    if (kind == FrameKind::kTrials) answer = Answer(in, FrameKind::kVerdicts);
    if (kind == FrameKind::kConfigure) {
      FrameReader nothing{std::string_view()};
      answer = Answer(nothing, FrameKind::kReady);
    }
    if (write(kWorkerSocket, answer.data(), answer.size()) < 0) return;
  }
}

}  // namespace
}  // namespace autoscale

int main() { autoscale::Serve(); }
