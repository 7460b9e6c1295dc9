// FleetFixture: services of backends that misbehave, behind a gateway that says what it was told.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/fault/fleet/fake_nginx.h"
#include "tests/integration/daemon_rig.h"

namespace autoscale {

struct BackendOptions {
  std::vector<std::string> command;    // empty: the backend, with `arguments`
  std::vector<std::string> arguments;  // besides --port
  std::string directory = "../run";
  int ports = DaemonRig::kPortsOfService;  // of the range
  std::string provider;                    // more keys of it, e.g. "  output: {max: 64KiB}\n"
  std::string service;                     // more keys of the service
  std::string gateways = "{gateway: edge}";
};

class FleetFixture : public testing::Test {
 protected:
  explicit FleetFixture(int services = 2);
  // Whatever runs when the daemon has stopped all of them was lost by it.
  void TearDown() override;

  // Writes services.d/NAME.yaml; its instances are as many as Want says. Ports stay those of the
  // first time.
  void WriteService(const std::string& name, const BackendOptions& options = {});
  void Want(int instances, const std::string& service = "web");
  void StartWith(int instances);
  void Reload();
  void AwaitSettled(int instances, const std::string& service = "web");

  // Ports and processes.
  [[nodiscard]] int FirstPort(const std::string& service = "web") { return first_ports_[service]; }
  [[nodiscard]] std::set<int> Ports(int count, const std::string& service = "web");
  [[nodiscard]] pid_t PidAt(int port);
  // How the one backend, or with port 0 all of them, answers from now on; "" as it was started.
  void Answers(int port, const std::string& how);

  // What is told; the status as JSON, which no terminal's width cuts.
  std::string Status(const std::string& service = "web");
  bool StatusSays(const std::string& phrase, const std::string& service = "web");
  bool LogSays(const std::string& phrase);
  double Metric(const std::string& name, const std::string& service = "web");

  // First, and last to go: the daemon pushes to it.
  FakeNginx gateway_;  // "edge"
  FakeNginx spare_;    // "spare", for services that say so
  DaemonRig rig_;
  std::map<std::string, int> first_ports_;
};

}  // namespace autoscale
