// SystemdProcess: a real systemd of its own, in namespaces, which can change nothing of the
// machine.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/integration/child.h"

namespace autoscale {

class SystemdProcess {
 public:
  // Why there can be none here; empty: there can.
  static std::string Missing();

  // In a folder that it and its units may write to. Not started yet.
  explicit SystemdProcess(std::filesystem::path folder);
  // Ends it with all its units.
  ~SystemdProcess();
  SystemdProcess(const SystemdProcess&) = delete;
  SystemdProcess& operator=(const SystemdProcess&) = delete;

  // As it is to stand in a unit file; before Start, or before Ctl({"daemon-reload"}).
  void WriteUnit(const std::string& name, const std::string& text) const;
  void RemoveUnit(const std::string& name) const;
  void MaskUnit(const std::string& name) const;
  // Starts it and waits until it can be reached; false: it cannot.
  bool Start();
  // All of it is gone at once.
  void Kill();
  // To the manager alone.
  void Signal(int signal) const;
  // Where it listens for us, as a target's `bus`.
  [[nodiscard]] std::string Bus() const { return "unix:path=" + (folder_ / "private").string(); }

  // A D-Bus with this manager on it; before Start.
  void AddBroker() const;
  [[nodiscard]] std::string Broker() const {
    return "unix:path=" + (folder_ / "system_bus_socket").string();
  }

  // A user's manager below it, with the same units; before Start.
  void AddUser() const;
  // What XDG_RUNTIME_DIR is to be for whoever looks for that.
  [[nodiscard]] std::string UserFolder() const { return (folder_ / "user").string(); }

  // Installs a Debian package before it starts, with these files over those of /etc/autoscaled. The
  // machine has nothing of it.
  void Install(const std::filesystem::path& package, const std::filesystem::path& etc) const;

  // Runs a program there.
  struct Ended {
    int code = -1;
    std::string text;  // what it prints, errors included
  };
  Ended Run(const std::vector<std::string>& command);
  // Runs systemctl there; what it prints, errors included.
  std::string Ctl(const std::vector<std::string>& arguments);
  // The ports of a template's units that are in the state ("active", "failed", "deactivating").
  std::set<int> Ports(const std::string& prefix, const std::string& state = "active");
  [[nodiscard]] std::string Log() const;

 private:
  [[nodiscard]] pid_t Init() const;
  void RemoveGroup() const;

  std::filesystem::path folder_;
  std::filesystem::path group_;  // its control group
  std::unique_ptr<Child> child_;
  int outputs_ = 0;
};

}  // namespace autoscale
