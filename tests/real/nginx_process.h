// A real nginx with our Lua in a folder of its own, configured by autoscaled.conf.example itself.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace autoscale {

class NginxProcess {
 public:
  // `root`: see PartsRoot. Writes the configuration; Start starts.
  explicit NginxProcess(std::filesystem::path root);
  ~NginxProcess();
  NginxProcess(const NginxProcess&) = delete;
  NginxProcess& operator=(const NginxProcess&) = delete;

  // Waits until it listens, at most ten seconds; false: see ErrorLog.
  [[nodiscard]] bool Start();
  // Ends it and waits for that.
  void Stop();
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
  std::filesystem::path folder_;
  int port_;
  int error_page_port_;
  int metrics_port_;
  pid_t pid_ = -1;
};

}  // namespace autoscale
