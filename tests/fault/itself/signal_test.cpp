// Signals by the thousand, and reloads by signal.
#include <csignal>
#include <cstdlib>
#include <thread>

#include "tests/fault/itself/itself.h"

namespace autoscale {
namespace {

class SignalTest : public ItselfTest {
 protected:
  void Storm(const std::vector<int>& signals, int rounds) {
    for (int i = 0; i < rounds; ++i) {
      for (const int signal : signals) rig_.daemon().Signal(signal);
      if (i % 50 == 0) std::this_thread::yield();
    }
  }
  std::string Yaml() { return ReadWhole(rig_.folder() / "services.d/web.yaml"); }
};

TEST_F(SignalTest, OneThatMeansNothingEndsNothing) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  Storm({SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD, SIGALRM, SIGWINCH, SIGURG, SIGCONT}, 2000);
  AwaitMoreTicks(2);
  ExpectWell(before, 3);
}

TEST_F(SignalTest, SighupLoadsTheConfigurationAnewOrTellsWhyNot) {
  StartWith(1);
  const std::string good = Yaml();
  rig_.Write("services.d/web.yaml", good + "minimum: 2\n");
  rig_.daemon().Signal(SIGHUP);
  AwaitLog({"services.d/web.yaml:", "minimum"});
  EXPECT_EQ(rig_.Metric("autoscaled_reload_errors_total"), 1);
  EXPECT_EQ(rig_.Metric("autoscaled_service_min_instances{service=\"web\"}"), 1);
  Load(2);  // the one in force serves on
  AwaitSettled(2);

  rig_.Write("services.d/web.yaml", good + "min: 3\n");
  rig_.daemon().Signal(SIGHUP);
  AwaitSettled(3);
  EXPECT_EQ(rig_.Metric("autoscaled_reloads_total"), 1);
}

// Whether a SIGHUP waits until it is asked for: from early in main on.
bool HoldsHangupsBack(pid_t pid) {
  const std::string status = ReadWhole("/proc/" + std::to_string(pid) + "/status");
  const std::string key = "SigBlk:";
  const size_t at = status.find(key);
  if (at == std::string::npos) return false;
  return (std::strtoull(status.c_str() + at + key.size(), nullptr, 16) & 1U << (SIGHUP - 1)) != 0;
}

// So many services that they take a while to be loaded.
TEST_F(SignalTest, OneDuringTheStartIsAReloadAfterIt) {
  WriteWeb();
  std::string services = "services:\n";
  for (int i = 0; i < 4000; ++i) {
    const std::string port = std::to_string(20'000 + i);
    services += "- {service: s" + std::to_string(i) +
                ", policy: ../policies/web.lua, metrics: {load: shared}, max: 1, dry_run: true, " +
                "provider: {type: process, command: [x], ports: " + port + "-" + port + "}}\n";
  }
  rig_.Write("services.d/many.yaml", services);
  const auto daemon = rig_.Launch({});
  ASSERT_TRUE(Eventually([&] { return HoldsHangupsBack(daemon->pid()); }));
  ASSERT_EQ(daemon->Errors(), "") << "it has been loaded already";
  daemon->Signal(SIGHUP);
  EXPECT_TRUE(Eventually([&] {
    return daemon->Wait(std::chrono::seconds(0)) ||
           Says(daemon->Errors(), {"\"started\"", "configuration loaded"});
  })) << daemon->Errors();
  EXPECT_FALSE(daemon->Wait(std::chrono::seconds(0))) << "it ended" << daemon->Errors();
}

// However the signals fall together, what the file says at last is what is in force at last.
TEST_F(SignalTest, AStormOfReloadsEndsWithTheLastConfiguration) {
  StartWith(1);
  const std::set<pid_t> before = rig_.BackendPids();
  const std::string good = Yaml();
  for (int round = 0; round < 40; ++round) {
    rig_.Write("services.d/web.yaml", good + (round % 2 == 0 ? "minimum: 2\n" : "min: 2\n"));
    Storm({SIGHUP}, 50);
  }
  rig_.Write("services.d/web.yaml", good + "min: 4\n");
  rig_.daemon().Signal(SIGHUP);
  AwaitSettled(4);
  AwaitMoreTicks(2);
  ExpectWell(before, 5);
}

}  // namespace
}  // namespace autoscale
