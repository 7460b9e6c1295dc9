// autoscaled-policy-worker: evaluates policies for autoscaled, which starts it and watches it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "daemon/worker/confine.h"
#include "daemon/worker/wire.h"
#include "engine/policy/host.h"

namespace autoscale {
namespace {

bool ReadAll(char* to, size_t size) {
  while (size > 0) {
    const ssize_t count = read(kWorkerSocket, to, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    to += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

bool WriteAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(kWorkerSocket, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

// The payload of the next frame; false when the daemon has gone.
bool ReadFrame(std::string& payload) {
  uint32_t length = 0;
  if (!ReadAll(reinterpret_cast<char*>(&length), sizeof length) || length > kMaxFrame) return false;
  payload.resize(length);
  return ReadAll(payload.data(), length);
}

class Worker {
 public:
  Worker(PolicyLimits limits, Progress& progress) : host_(limits), progress_(progress) {}

  // Until the daemon closes the socket. False: it sent what makes no sense.
  bool Serve() {
    while (ReadFrame(frame_)) {
      FrameReader in(frame_);
      const auto kind = static_cast<FrameKind>(in.Get<uint8_t>());
      if (kind == FrameKind::kPolicy) {
        PolicySource source;
        source.hash = in.Get<uint64_t>();
        source.path = in.GetText();
        source.text = in.GetText();
        sources_.push_back(std::move(source));
        if (!in.Done()) return false;
      } else if (kind != FrameKind::kBatch || !Answer(in)) {
        return false;
      }
    }
    return true;
  }

 private:
  bool Answer(FrameReader& in) {
    answers_.clear();
    FrameWriter out(answers_);
    out.Begin(FrameKind::kAnswers);
    for (uint32_t position = 1; !in.Done(); ++position) {
      GetRequest(in, request_);
      if (!in.ok() || request_.policy >= sources_.size()) return false;
      progress_.store(position);
      PutEvaluation(out, host_.Evaluate(sources_[request_.policy], request_.snapshot));
    }
    progress_.store(0);
    out.Finish();
    return WriteAll(answers_);
  }

  PolicyHost host_;
  Progress& progress_;
  std::vector<PolicySource> sources_;  // by the order in which they were sent
  WireRequest request_;
  std::string frame_, answers_;
};

int Fail(const std::string& why) {
  std::fprintf(stderr, "autoscaled-policy-worker: %s\n", why.c_str());
  return 1;
}

int Main() {
  void* memory =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED, kWorkerProgress, 0);
  std::string frame;
  if (memory == MAP_FAILED || !ReadFrame(frame)) {
    return Fail("is started by autoscaled and of no use by itself");
  }
  FrameReader in(frame);
  const bool configure = in.Get<uint8_t>() == static_cast<uint8_t>(FrameKind::kConfigure);
  const PolicyLimits limits = GetLimits(in);
  if (!configure || !in.Done()) return Fail("is of another version than autoscaled");
  if (Status confined = Confine(); !confined) return Fail(confined.error().message);
  Worker worker(limits, *static_cast<Progress*>(memory));
  std::string ready;
  FrameWriter out(ready);
  out.Begin(FrameKind::kReady);
  out.Finish();
  if (!WriteAll(ready)) return 0;
  return worker.Serve() ? 0 : Fail("autoscaled sent a request that makes no sense");
}

}  // namespace
}  // namespace autoscale

int main() { return autoscale::Main(); }
