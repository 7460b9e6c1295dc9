// PodRunner: what a node's kubelet does, as far as it matters here: runs the pods of a namespace as
// demo backends at loopback addresses of their own, says that they are ready, and ends those that
// are to end.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "tests/integration/child.h"
#include "tests/real/kubernetes_client.h"

namespace autoscale {

class PodRunner {
 public:
  // kPaper: nothing runs; the pods are only said to.
  enum class Kind { kReal, kPaper };

  // All pods serve at one port of theirs. `api` must outlive it.
  PodRunner(KubernetesClient& api, std::string api_namespace, Kind kind,
            std::filesystem::path output);
  ~PodRunner();
  PodRunner(const PodRunner&) = delete;
  PodRunner& operator=(const PodRunner&) = delete;

  [[nodiscard]] int port() const { return port_; }
  // Where pods serve that are not about to end: "127.9.0.3:12345".
  [[nodiscard]] std::set<std::string> Serving() const;
  [[nodiscard]] std::set<std::string> Names() const;
  // New pods are not ready from now on, or are again.
  void HoldStarts(bool hold) { hold_ = hold; }

 private:
  struct Pod {
    std::string address;
    bool ready = false;
    std::chrono::steady_clock::time_point ends{};  // set: asked to end; its pause is over then
    std::unique_ptr<Child> backend;
  };
  void Run();
  void Look();
  void StartPod(const std::string& name, Pod& pod);
  // False: it is gone.
  bool EndPod(const std::string& name, Pod& pod);
  [[nodiscard]] std::string PathOf(const std::string& name) const;

  KubernetesClient& api_;
  const std::string namespace_;
  const Kind kind_;
  const std::filesystem::path output_;
  const int port_;
  int started_ = 0;
  std::map<std::string, Pod> pods_;  // of the thread
  mutable std::mutex mutex_;
  std::map<std::string, std::string> serving_;  // name -> address
  std::atomic<bool> hold_{false}, stop_{false};
  std::thread thread_;
};

}  // namespace autoscale
