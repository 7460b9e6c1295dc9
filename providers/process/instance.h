// ProcessInstance: one process of a service, from its launch or its adoption to its end.
//
//            launch, adopt                 Stop                    exit
//   (folder) -------------> starting -> ... -----> stopping ----------------> gone
//                              | passes        ^                               ^
//                              v        fails  |                               |
//                            ready <-------> unready -- any of them, on exit --+
//
// On the loop's thread. Destroying it leaves the process as it is.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "providers/local/health.h"
#include "providers/process/folder.h"
#include "providers/process/identity.h"
#include "providers/process/options.h"
#include "providers/process/usage.h"
#include "providers/provider.h"

namespace autoscale {

class ProcessInstance {
 public:
  struct Surroundings {
    EventLoop& loop;
    HttpClient& http;
    std::function<void(const ProcessInstance&)>
        changed;  // after each change of state; must not destroy
  };
  ProcessInstance(Surroundings surroundings, std::string service, std::string id,
                  InstanceFolder folder);
  ~ProcessInstance();
  ProcessInstance(const ProcessInstance&) = delete;
  ProcessInstance& operator=(const ProcessInstance&) = delete;

  // Makes the folder, claims the port in it and starts the process. On an error nothing is left.
  [[nodiscard]] Status Launch(const std::string& launcher,
                              std::shared_ptr<const ProcessTarget> target, int port);
  // Takes up what the folder tells: a process that lives is watched, any other is gone.
  void Adopt();
  // Health checks begin, or go on, with these options.
  void SetTarget(std::shared_ptr<const ProcessTarget> target);
  // Signals the process and its group, and kills them after the target's grace.
  void Stop();

  [[nodiscard]] ObservedInstance Observed() const;
  [[nodiscard]] const std::string& service() const { return service_; }
  [[nodiscard]] const InstanceFolder& folder() const { return folder_; }
  [[nodiscard]] bool gone() const { return state_ == InstanceState::kGone; }
  [[nodiscard]] int port() const { return port_; }
  // What it and its descendants have used; cpu_seconds never falls.
  [[nodiscard]] InstanceUsage Usage();
  void RotateOutput() const;

 private:
  [[nodiscard]] bool ReadClaim();
  void AwaitRecord();
  void Watch(ProcessIdentity identity, UniqueFd pidfd);
  void WatchHealth();
  void HealthChanged();
  void Signal(int signal);
  void SignalToStop();
  // The age at which the stop signal was sent, by whichever daemon.
  [[nodiscard]] std::optional<Millis> ReadStop() const;
  void OnExit();
  [[nodiscard]] std::string DescribeExit(const siginfo_t* status, bool left_processes) const;
  [[nodiscard]] std::string DescribeLoss(const std::optional<ProcessIdentity>& record) const;
  void Become(InstanceState state);
  void End(std::string detail);

  const Surroundings surroundings_;
  const std::string service_;
  const std::string id_;
  const InstanceFolder folder_;
  std::string host_;
  int port_ = 0;
  InstanceState state_ = InstanceState::kStarting;
  std::string detail_;                           // of the end
  std::shared_ptr<const ProcessTarget> target_;  // null until the service is observed
  std::optional<ProcessIdentity> identity_;      // absent: not known yet
  UniqueFd pidfd_;
  std::unique_ptr<HealthWatch> health_;
  EventLoop::TimerId timer_ = 0;  // for the record, later for the grace
  Millis stop_began_{0};          // age at which it was asked to end
  bool killed_ = false;
  double cpu_seconds_ = 0;
};

}  // namespace autoscale
