// ExecRun: one run of a program that tells who we are (client.authentication.k8s.io).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/event_loop.h"
#include "providers/kubernetes/kubeconfig.h"

namespace autoscale::kubernetes {

struct ExecCredential {
  std::string token;
  std::string client_cert_pem, client_key_pem;
  std::optional<std::chrono::system_clock::time_point> expires;
};

// What a plugin printed. Errors never hold any of it.
Result<ExecCredential> ReadExecCredential(const std::string& text);

class ExecRun {
 public:
  using Callback = std::function<void(Result<ExecCredential>)>;

  // Starts it and calls back once, later, within a minute; not after the end of this object, which
  // kills what still runs.
  ExecRun(EventLoop& loop, const ExecPlugin& plugin, Callback done);
  ~ExecRun();
  ExecRun(const ExecRun&) = delete;
  ExecRun& operator=(const ExecRun&) = delete;

 private:
  Status Start(const ExecPlugin& plugin);
  void OnOutput();
  void Finish(Result<ExecCredential> result);
  void End();

  EventLoop& loop_;
  const std::string program_;
  Callback done_;
  pid_t pid_ = -1;
  int output_ = -1;
  std::string text_;
  EventLoop::TimerId deadline_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale::kubernetes
