// DaemonRig: a real autoscaled in a folder of its own, with real backends as instances, a fake
// Prometheus, and autoscalectl to ask it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/fakes/prometheus.h"
#include "tests/integration/child.h"
#include "tests/real/http_probe.h"

namespace autoscale {

class DaemonRig {
 public:
  static constexpr int kPortsOfService = 12;  // more than any service here may have

  // What came of one run of a program.
  struct Ended {
    int code = -1;
    std::string out;
    std::string err;
  };

  // For so many services of kPortsOfService ports each.
  explicit DaemonRig(int services = 2);
  // Ends the daemon and then every instance.
  ~DaemonRig();
  DaemonRig(const DaemonRig&) = delete;
  DaemonRig& operator=(const DaemonRig&) = delete;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  FakePrometheus& prometheus() { return prometheus_; }
  void Write(const std::string& file, const std::string& text) const;

  // The value of `prometheus:` in autoscaled.yaml, instead of the fake with a time-out of 200 ms;
  // before Start.
  void ConfigurePrometheus(const std::string& yaml) { prometheus_yaml_ = yaml; }
  // Appended to autoscaled.yaml; before Start.
  void ConfigureDaemon(const std::string& yaml);
  // Writes services.d/NAME.yaml and policies/NAME.lua. Its metric `load` is what the fake
  // Prometheus says of the service; `extra` is more YAML, `backend` more arguments of it.
  void WriteService(const std::string& name, const std::string& policy,
                    const std::string& extra = "max: 6\n",
                    const std::vector<std::string>& backend = {});

  // The ports of one more service, for YAML of the test's own: the first of kPortsOfService.
  [[nodiscard]] int TakePorts() { return first_port_ + kPortsOfService * services_++; }
  // The daemon is started as the last of these programs, e.g. {"/usr/bin/unshare", "-m"}.
  void RunUnder(std::vector<std::string> wrapper) { wrapper_ = std::move(wrapper); }

  // The daemon and its helpers run from copies in the folder, which a test may take away. Before
  // Start.
  void CopyPrograms();
  // Starts the daemon and waits until it decides; fails the test when it does not.
  void Start(const std::vector<std::string>& options = {});
  // Only starts it: for what is to be refused.
  [[nodiscard]] std::unique_ptr<Child> Launch(const std::vector<std::string>& options);
  // Signals the daemon and waits for its end; its exit code, -1 when it does not end.
  int End(int signal);
  Child& daemon() { return *daemon_; }

  Ended Ctl(const std::vector<std::string>& arguments);
  // One service of `status -o json`; null while nobody answers.
  nlohmann::json Service(const std::string& name);
  // Whether so many are desired, ready and running, and nothing drains or stops.
  bool Settled(const std::string& name, int instances);
  // The same but for the gateways, in one cheap look: by what the daemon tells Prometheus.
  [[nodiscard]] bool Arrived(const std::string& name, int instances) const;
  // The last decision, as a person reads it.
  std::string Explain(const std::string& name);

  // Where /metrics is served.
  [[nodiscard]] int Port() const { return ListenPort(); }
  HttpProbe::Answer Get(const std::string& path) const;
  // A series of /metrics as written; -1 when it is not there.
  [[nodiscard]] double Metric(const std::string& series) const;

  // The instances that run now, of all services and whoever started them: pid -> port. They are
  // known by their folder, `run`.
  [[nodiscard]] std::map<pid_t, int> Backends() const;
  [[nodiscard]] std::set<pid_t> BackendPids() const;
  // The present policy worker; -1: none. While policies are tried there is one more.
  [[nodiscard]] pid_t Worker() const;
  [[nodiscard]] std::set<pid_t> Workers() const;

 private:
  [[nodiscard]] int ListenPort() const;
  [[nodiscard]] std::string Program(const std::string& path) const;
  [[nodiscard]] std::filesystem::path Output(const std::string& name);

  std::filesystem::path folder_;
  std::filesystem::path programs_;  // empty: those of the build
  FakePrometheus prometheus_;
  std::string prometheus_yaml_;
  std::string daemon_yaml_;
  std::vector<std::string> wrapper_;
  int first_port_;
  int services_ = 0;
  int outputs_ = 0;
  std::unique_ptr<Child> daemon_;
};

// Whether all the parts stand in the text; a failure shows the text and what it lacks.
testing::AssertionResult Says(const std::string& text, const std::vector<std::string>& parts);
// Programs of this build.
std::string BuiltProgram(const std::string& path);

}  // namespace autoscale
