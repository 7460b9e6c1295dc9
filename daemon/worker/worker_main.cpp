// autoscaled-policy-worker: evaluates policies for autoscaled, which starts it and watches it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
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
      if (kind == FrameKind::kZone) {
        zones_.push_back(std::make_shared<const Zone>(GetZone(in)));
      } else if (kind == FrameKind::kModule) {
        TakeModule(in);
      } else if (kind == FrameKind::kPolicy) {
        TakePolicy(in);
      } else if ((kind != FrameKind::kBatch && kind != FrameKind::kTrials) || !Answer(in, kind)) {
        return false;
      }
      if (!in.Done()) return false;
    }
    return true;
  }

 private:
  void TakeModule(FrameReader& in) {
    PolicyModule module;
    module.name = in.GetText();
    module.path = in.GetText();
    module.text = in.GetText();
    modules_.push_back(std::make_shared<const PolicyModule>(std::move(module)));
  }

  void TakePolicy(FrameReader& in) {
    PolicySource source;
    source.hash = in.Get<uint64_t>();
    source.path = in.GetText();
    source.text = in.GetText();
    for (auto count = in.Get<uint32_t>(); in.ok() && count > 0; --count) {
      const auto id = in.Get<uint32_t>();
      if (id >= modules_.size()) return in.Fail();
      source.modules.push_back(modules_[id]);
    }
    sources_.push_back(std::move(source));
  }

  bool Answer(FrameReader& in, FrameKind kind) {
    const bool trials = kind == FrameKind::kTrials;
    answers_.clear();
    FrameWriter out(answers_);
    out.Begin(trials ? FrameKind::kVerdicts : FrameKind::kAnswers);
    const auto began = std::chrono::steady_clock::now();
    for (uint32_t position = 1; !in.Done(); ++position) {
      GetRequest(in, request_);
      if (!in.ok() || position > kMaxBatch || request_.policy >= sources_.size() || !PickZones()) {
        return false;
      }
      progress_.store(position);
      const PolicySource& source = sources_[request_.policy];
      if (trials) {
        PutVerdict(out, Try(source, position));
      } else {
        PutEvaluation(out, host_.Evaluate(source, request_.snapshot));
      }
      if (std::chrono::steady_clock::now() - began >= kSlice) in = FrameReader(std::string_view());
    }
    progress_.store(0);
    out.Finish();
    return WriteAll(answers_);
  }

  TrialVerdict Try(const PolicySource& source, uint32_t position) {
    TrialVerdict verdict;
    uint32_t evaluations = 0;
    const auto doubt =
        host_.Check(source, request_.snapshot,
                    {.begins = [&] { progress_.store(position | ++evaluations << 16); },
                     .named = &verdict.named});
    if (doubt.ok() && doubt->empty()) return verdict;
    verdict.kind = doubt.ok() ? TrialVerdict::Kind::kDoubt : TrialVerdict::Kind::kError;
    verdict.text = doubt.ok() ? *doubt : doubt.error().message;
    return verdict;
  }

  bool PickZones() {
    picked_.clear();
    for (const uint32_t zone : request_.zones) {
      if (zone >= zones_.size()) return false;
      picked_.push_back(zones_[zone]);
    }
    request_.snapshot.zones = picked_;
    return true;
  }

  PolicyHost host_;
  Progress& progress_;
  // By the order in which they were sent; modules are shared by the policies that require them.
  std::vector<std::shared_ptr<const Zone>> zones_, picked_;  // the latter of the running request
  std::vector<std::shared_ptr<const PolicyModule>> modules_;
  std::vector<PolicySource> sources_;
  WireRequest request_;
  std::string frame_, answers_;
};

int Fail(const std::string& why) {
  std::fprintf(stderr, "autoscaled-policy-worker: %s\n", why.c_str());
  return 1;
}

int Main() {
  // Within a policy that hangs it would not see that the daemon has gone.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
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
  if (Status confined = Confine(limits.worker_bytes); !confined)
    return Fail(confined.error().message);
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

// Nothing is left to tidy, and what a sanitizer does at the end needs descriptors: there are none.
int main() { std::_Exit(autoscale::Main()); }
