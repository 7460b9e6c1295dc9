// WorkerBatch: requests as the frames that one worker process is sent, and before them the
// policies, modules and time zones that it has not been sent yet. Each of these goes once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/worker/wire.h"
#include "engine/policy/evaluator.h"

namespace autoscale {

class WorkerBatch {
 public:
  // Of kBatch or kTrials frames. `wall` is the limit of services without one of their own.
  WorkerBatch(FrameKind kind, Millis wall) : kind_(kind), wall_(wall) {}

  // Writes as many of the requests `todo` as make a batch, at most `most`; answers how many.
  size_t Pack(std::span<const EvaluationRequest> requests, std::span<const uint32_t> todo,
              size_t most);
  // Of the last Pack: what to send, and the limit of each request.
  [[nodiscard]] const std::string& frames() const { return frames_; }
  [[nodiscard]] std::span<const Millis> walls() const { return walls_; }

  // The worker holds so many sources that a fresh one is better.
  [[nodiscard]] bool full() const;
  // Another worker takes its place, which has been sent nothing.
  void Forget();

 private:
  using Sent = std::unordered_map<std::string, uint32_t>;
  uint32_t PolicyId(const PolicySource& policy);
  uint32_t ModuleId(const PolicyModule& module);
  uint32_t ZoneId(const Zone& zone);

  const FrameKind kind_;
  const Millis wall_;
  Sent policies_, modules_, zones_;  // by hash and path; zones by name and version
  std::string frames_, sources_;
  std::vector<Millis> walls_;
};

}  // namespace autoscale
