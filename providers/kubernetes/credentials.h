// Credentials: who we are in a cluster, kept fresh: files rotate, and programs that tell it say how
// long it holds.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "providers/kubernetes/exec.h"
#include "providers/kubernetes/kubeconfig.h"

namespace autoscale::kubernetes {

class Credentials {
 public:
  using Callback = std::function<void(Result<ClusterAccess>)>;

  Credentials(EventLoop& loop, std::string kubeconfig, std::string context);
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // Calls back on the loop, later, and not after the end of this object. What is told is read again
  // when it is older than a minute, or `anew`.
  void Get(bool anew, Callback done);

 private:
  void Answer(const Result<ClusterAccess>& result);
  void Run(const ExecPlugin& plugin);
  [[nodiscard]] bool Holds() const;

  EventLoop& loop_;
  const std::string kubeconfig_, context_;
  std::optional<ClusterAccess> access_;
  std::chrono::steady_clock::time_point read_{};
  std::optional<ExecCredential> credential_;  // of the plugin, where there is one
  std::unique_ptr<ExecRun> run_;
  std::vector<Callback> waiting_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale::kubernetes
