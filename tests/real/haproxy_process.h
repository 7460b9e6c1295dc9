// A real HAProxy in a folder of its own, configured by haproxy.cfg.example itself.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/child.h"

namespace autoscale {

class HaproxyProcess {
 public:
  // Why it cannot be started here; empty: it can.
  static std::string WhatIsMissing();

  // Writes the configuration; Start starts. More of the configuration, e.g. backends, in `extra`.
  explicit HaproxyProcess(const std::string& extra = {});
  ~HaproxyProcess();
  HaproxyProcess(const HaproxyProcess&) = delete;
  HaproxyProcess& operator=(const HaproxyProcess&) = delete;

  // Waits until it answers at its socket; false: see Log.
  [[nodiscard]] bool Start();
  // Ends it and waits for that.
  void Stop();
  // Kills it and its worker, as a lack of memory might.
  void Crash();
  // Reads the configuration anew; the old worker finishes what it has. Waits for the new one.
  [[nodiscard]] bool Reload();
  void Configure(const std::string& from, const std::string& to);  // in its file, for a Reload
  // What haproxy -c says of the file: its exit code and output.
  [[nodiscard]] std::pair<int, std::string> Check() const;

  // One question to the Runtime API, which may block; empty when nobody answers.
  [[nodiscard]] std::string Ask(const std::string& commands, const std::string& socket = {}) const;
  // A column of `show stat` of the backend's row, "wretr"; -1: there is none. Of a server: its
  // name.
  [[nodiscard]] int Stat(const std::string& column, const std::string& server = "BACKEND",
                         const std::string& backend = "checkout") const;
  // The servers of a backend: name -> "ready 100", "drain 100", "maint 100".
  [[nodiscard]] std::map<std::string, std::string> Servers(
      const std::string& backend = "checkout") const;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string socket() const { return folder_ / "admin.sock"; }
  [[nodiscard]] std::string operator_socket() const { return folder_ / "operator.sock"; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::vector<pid_t> Workers() const;
  [[nodiscard]] std::string Log() const;

 private:
  [[nodiscard]] std::filesystem::path file() const { return folder_ / "haproxy.cfg"; }
  // The command that runs it, with its arguments.
  [[nodiscard]] static std::vector<std::string> Command(const std::vector<std::string>& arguments);

  std::filesystem::path folder_;
  int port_;
  int starts_ = 0;
  std::optional<Child> process_;
};

}  // namespace autoscale
