// Rig: a process provider on a running event loop, with folders and ports of its own.
#pragma once

#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "providers/process/options.h"
#include "providers/process/process_provider.h"

namespace autoscale {

class Rig {
 public:
  Rig();
  // Kills what still runs below the state folder.
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // Another daemon on the same folder; the one before is gone, its instances are not.
  void StartProvider();
  void StopProvider();

  // The program beside the test that runs as an instance, with --port {port}.
  [[nodiscard]] std::shared_ptr<ProcessTarget> Target(std::vector<std::string> options = {}) const;
  [[nodiscard]] int first_port() const { return first_port_; }
  [[nodiscard]] std::string Folder(const std::string& id, const std::string& service = "web") const;
  [[nodiscard]] std::string File(const std::string& id, const std::string& name,
                                 const std::string& service = "web") const;
  [[nodiscard]] pid_t Pid(const std::string& id, const std::string& service = "web") const;
  [[nodiscard]] const std::string& root() const { return root_; }

  // The provider's calls, waited for.
  std::vector<Status> Launch(std::shared_ptr<const ProviderTarget> target,
                             std::vector<std::string> ids, const std::string& service = "web");
  void Terminate(std::shared_ptr<const ProviderTarget> target, std::vector<std::string> ids,
                 const std::string& service = "web");
  std::vector<ObservedInstance> Observe(std::shared_ptr<const ProviderTarget> target,
                                        const std::string& service = "web");
  void Forget(const std::string& id, const std::string& service = "web");
  std::vector<InstanceUsage> ReadUsage();

  // Waits until the listener was told so; fails the test after a generous time. A report counts
  // once.
  ObservedInstance Await(const std::string& id, InstanceState state,
                         const std::string& service = "web");

 private:
  template <typename T>
  T Call(std::function<void(Provider&, std::function<void(T)>)> call);

  std::string root_;
  int first_port_;
  EventLoop loop_;
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<Provider> provider_;  // of the loop's thread
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable told_;
  std::vector<std::pair<std::string, ObservedInstance>> reports_;
};

// Whether a process that is not a zombie has the pid.
bool Lives(pid_t pid);
// Looks again and again until it holds or a generous time is over.
bool Eventually(const std::function<bool()>& holds);
std::string BesideTest(const std::string& program);
std::string ReadWhole(const std::string& path);

}  // namespace autoscale
