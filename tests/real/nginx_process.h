// A real nginx with our Lua in a folder of its own, configured by autoscaled.conf.example itself.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace autoscale {

class NginxProcess {
 public:
  // `root`: see PartsRoot. Writes the configuration; Start starts.
  // `counters`: the size of the shared memory for counts.
  explicit NginxProcess(std::filesystem::path root, std::string counters = "16m");
  ~NginxProcess();
  NginxProcess(const NginxProcess&) = delete;
  NginxProcess& operator=(const NginxProcess&) = delete;

  // Waits until it listens, at most ten seconds; false: see ErrorLog.
  [[nodiscard]] bool Start();
  // Ends it and waits for that.
  void Stop();
  // Kills it and its workers, as a lack of memory might, and clears away the socket that it leaves.
  void Crash();
  // Leaves every list in its shared memory unreadable, as a change that was cut off might.
  void TearLists() const;
  // The worker that takes the next push stops (SIGSTOP) between reading the list and writing it.
  void StopInNextPush() const;
  [[nodiscard]] std::optional<pid_t> StoppedWorker() const;
  // Reads the configuration anew; old workers finish what they have.
  void Reload() const;
  [[nodiscard]] std::vector<pid_t> Workers() const;

  [[nodiscard]] int port() const { return port_; }                        // the service
  [[nodiscard]] int error_page_port() const { return error_page_port_; }  // with an error_page
  [[nodiscard]] int metrics_port() const { return metrics_port_; }
  [[nodiscard]] std::string control_socket() const { return folder_ / "control.sock"; }
  [[nodiscard]] std::filesystem::path state_dir() const { return folder_ / "state"; }
  [[nodiscard]] std::string ErrorLog() const;

 private:
  void WriteConfiguration() const;
  [[nodiscard]] std::string HttpBlock() const;

  std::filesystem::path root_;
  std::string counters_;
  std::filesystem::path folder_;
  int port_;
  int error_page_port_;
  int metrics_port_;
  pid_t pid_ = -1;
};

}  // namespace autoscale
