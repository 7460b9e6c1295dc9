// WorkerProcess: one life of the policy worker, from spawn to SIGKILL.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "daemon/worker/wire.h"
#include "engine/model/result.h"

namespace autoscale {

// How a worker was lost in the middle of an exchange.
enum class Loss {
  kHung,     // it used processor time far beyond the limit on one request
  kStalled,  // it did not get on, nor use the processor: stopped or starved, no policy's fault
  kDied,     // it ended, or wrote what is no answer
  kLeft,     // whoever waited was told to stop
};

class WorkerProcess {
 public:
  // Spawns and configures it. Blocks until it is ready, at most kReadyTimeout.
  static Result<std::unique_ptr<WorkerProcess>> Spawn(const std::string& executable,
                                                      const PolicyLimits& limits);
  // Kills it.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  // Writes whole frames and reads the payload of one answer. Blocks; bounded by the wall-clock
  // limit of each request of the batch, which `walls` says in their order; of a trial, by that of
  // each of its evaluations. Within 100 ms of a stop it is left. After a loss the process is of no
  // more use.
  std::optional<Loss> Exchange(const std::string& frames, std::span<const Millis> walls,
                               std::string& answer, std::stop_token stop = {});
  // The request of the batch that is or was last running, from 0.
  [[nodiscard]] std::optional<uint32_t> running() const;
  [[nodiscard]] int pid() const { return pid_; }

 private:
  explicit WorkerProcess(Millis wall) : wall_(wall) {}
  Status Open();
  Status Launch(const std::string& executable);
  Status Configure(const std::string& executable, const PolicyLimits& limits);
  // Waits until the socket is ready for `events`, watching that the worker gets on.
  std::optional<Loss> Wait(short events);
  std::optional<Loss> Write(const std::string& frames);
  std::optional<Loss> Read(char* to, size_t size);
  void Mark(uint32_t progress);
  // The limit of what runs.
  [[nodiscard]] Millis Wall(uint32_t progress) const;

  const Millis wall_;              // while no request runs
  std::span<const Millis> walls_;  // of the batch
  std::stop_token stop_;           // of the exchange
  int pid_ = -1;
  int socket_ = -1, worker_socket_ = -1, memory_ = -1;
  Progress* progress_ = nullptr;
  // When it last got on, by the clock and by its own processor time.
  uint32_t mark_progress_ = 0;
  std::chrono::nanoseconds mark_time_{0}, mark_cpu_{0};
};

}  // namespace autoscale
