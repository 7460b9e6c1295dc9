// The real daemon, the two plugins that the guide shows, and a gateway.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/fault/fleet/fake_nginx.h"
#include "tests/integration/daemon_rig.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

enum class Example { kPython, kCpp };

class PluginDaemonTest : public testing::TestWithParam<Example> {
 protected:
  void SetUp() override {
    if (GetParam() == Example::kPython &&
        (!fs::exists(Program()) ||
         std::system("/usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null") != 0)) {
      GTEST_SKIP() << "needs python3-grpcio, python3-protobuf and grpc_python_plugin";
    }
    fs::create_directory(Folder());
    rig_.ConfigureDaemon("gateways: {edge: {" + gateway_.Section() + "}}\n");
    rig_.ConfigureDaemon("plugins: {toy: {command: [\"" + Program() + "\", \"" + Folder().string() +
                         "\"], call_timeout: 1s}}\n");
    const int port = rig_.TakePorts();
    rig_.Write("policies/web.lua",
               "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
    rig_.Write("services.d/web.yaml",
               "service: web\npolicy: ../policies/web.lua\ninterval: 250ms\nmax: 8\n"
               "metrics: {load: shared}\ngateways: [{gateway: edge}]\ndrain_timeout: 10s\n"
               "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n"
               "provider: {type: toy, group: web, " +
                   (GetParam() == Example::kPython
                        ? "ports: [" + std::to_string(port) + ", " +
                              std::to_string(port + DaemonRig::kPortsOfService - 1) + "]}\n"
                        : "address: 127.0.0.1, port: " + std::to_string(port) + ", max: 8}\n"));
  }
  void TearDown() override {
    std::ifstream file(Folder() / "web.json");
    const auto json = nlohmann::json::parse(file, nullptr, false);
    if (!json.is_object()) return;
    for (const auto& instance : json) SignalOne(instance["pid"].get<pid_t>(), SIGKILL);
  }

  [[nodiscard]] static std::string Program() {
    return (fs::path(BuiltProgram("plugins")) /
            (GetParam() == Example::kPython ? "toyfleet.py" : "toyfleet"))
        .string();
  }
  [[nodiscard]] fs::path Folder() const { return rig_.folder() / "toy"; }

  // The ports of the fleet, as the plugin has written them down.
  [[nodiscard]] std::set<int> Ports() const {
    std::set<int> ports;
    if (GetParam() == Example::kPython) {
      const auto json = nlohmann::json::parse(ReadWhole(Folder() / "web.json"), nullptr, false);
      if (!json.is_object()) return ports;
      for (const auto& instance : json) ports.insert(instance["port"].get<int>());
      return ports;
    }
    std::istringstream text(ReadWhole(Folder() / "web"));
    std::string word, endpoint;
    text >> word >> word;
    while (text >> word >> endpoint)
      ports.insert(std::stoi(endpoint.substr(endpoint.find(':') + 1)));
    return ports;
  }

  // Processes of the plugin, and those that look after one: they name its folder.
  [[nodiscard]] std::set<pid_t> Processes(bool runners) const {
    std::set<pid_t> pids;
    std::error_code ended;  // processes come and go while we look
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const pid_t pid = std::atoi(entry.path().filename().c_str());
      if (pid <= 0) continue;
      const std::string command = ReadWhole(entry.path() / "cmdline");
      if (command.find(Folder().string() + '\0') == std::string::npos) continue;
      const bool runner =
          fs::read_symlink(entry.path() / "exe", ended).filename() == "autoscaled-plugin";
      if (runner == runners) pids.insert(pid);
    }
    return pids;
  }
  pid_t Plugin() const {
    const std::set<pid_t> pids = Processes(false);
    return pids.size() == 1 ? *pids.begin() : -1;
  }
  [[nodiscard]] bool NoneRuns() const {
    return Processes(false).empty() && Processes(true).empty();
  }

  void Load(double value) { rig_.prometheus().Set("load", "web", value); }
  // Plugin, gateway and status agree.
  bool IsAt(size_t count) {
    const std::set<int> ports = Ports();
    if (ports.size() != count || gateway_.Serving("web") != ports) return false;
    const nlohmann::json service = rig_.Service("web");
    return !service.is_null() && service["capacity"]["desired"] == count &&
           service["capacity"]["ready"] == count && service["instances"].size() == count;
  }
  void Await(size_t count) {
    ASSERT_TRUE(Eventually([&] { return IsAt(count); }))
        << Ports().size() << rig_.Ctl({"status", "web"}).out << rig_.Explain("web");
  }
  // As Await, for fewer: whatever has ended was off the gateway's list before.
  void AwaitDrained(size_t count) {
    ASSERT_TRUE(Eventually([&] {
      const std::set<int> there = Ports();
      const std::set<int> serving = gateway_.Serving("web");  // later than `there`
      EXPECT_TRUE(std::includes(there.begin(), there.end(), serving.begin(), serving.end()));
      return IsAt(count);
    })) << Ports().size()
        << rig_.Ctl({"status", "web"}).out << rig_.Explain("web");
  }
  bool LogHas(const std::string& text) {
    return rig_.daemon().Errors().find(text) != std::string::npos;
  }

  FakeNginx gateway_;
  DaemonRig rig_{3};
};

TEST_P(PluginDaemonTest, FollowsThePolicyDrainsBeforeAnythingEndsAndEndsWithTheDaemon) {
  Load(3);
  rig_.Start();
  Await(3);
  EXPECT_TRUE(Says(rig_.Explain("web"), {"so many are asked for"}));
  Load(5);
  Await(5);
  Load(1);
  AwaitDrained(1);
  EXPECT_GT(Plugin(), 0);
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  EXPECT_TRUE(NoneRuns());
  EXPECT_EQ(Ports().size(), 1u);  // the fleet serves on
}

// It is in the middle of a call when it dies, as it is stopped first.
TEST_P(PluginDaemonTest, KilledOrHungItCostsItsOwnServicesAHoldAndIsStartedAgain) {
  rig_.WriteService("calc", "return scale_to(metric(\"load\").value, \"so many\")\n");
  rig_.prometheus().Set("load", "calc", 1);
  Load(2);
  rig_.Start();
  Await(2);
  ASSERT_TRUE(Eventually([&] { return rig_.Settled("calc", 1); }));
  const pid_t killed = Plugin();
  SignalOne(killed, SIGSTOP);
  Load(4);
  ASSERT_TRUE(Eventually([&] { return LogHas("its target is asked for 4 instances"); }));
  rig_.prometheus().Set("load", "calc", 3);
  ASSERT_TRUE(Eventually([&] { return rig_.Settled("calc", 3); }));
  EXPECT_EQ(Ports().size(), 2u);
  SignalOne(killed, SIGKILL);
  Await(4);
  EXPECT_NE(Plugin(), killed);
  EXPECT_TRUE(LogHas("does not run: it was ended by signal 9 (SIGKILL)") || LogHas("it hangs"));

  const pid_t hung = Plugin();
  SignalOne(hung, SIGSTOP);
  Load(1);
  rig_.prometheus().Set("load", "calc", 2);
  ASSERT_TRUE(Eventually([&] { return rig_.Settled("calc", 2); }));
  AwaitDrained(1);
  EXPECT_TRUE(LogHas("does not run: it hangs: its health check did not answer within 1s"));
  EXPECT_NE(Plugin(), hung);
}

TEST_P(PluginDaemonTest, ADaemonThatIsKilledLeavesNoPluginAndGoesOnFromWhatIs) {
  Load(2);
  rig_.Start();
  Await(2);
  SignalOne(Plugin(), SIGSTOP);
  Load(5);
  ASSERT_TRUE(Eventually([&] { return LogHas("its target is asked for 5 instances"); }));
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();  // while the old plugin may still be there
  Await(5);
  EXPECT_EQ(Processes(false).size(), 1u);
  EXPECT_EQ(Processes(true).size(), 1u);
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  EXPECT_TRUE(Eventually([&] { return NoneRuns(); }));
  EXPECT_EQ(Ports().size(), 5u);
}

TEST_P(PluginDaemonTest, WhatItRefusesIsToldAndMended) {
  Load(2);
  rig_.Start();
  Await(2);
  const std::string right = ReadWhole(rig_.folder() / "services.d/web.yaml");
  rig_.Write("services.d/web.yaml",
             right.substr(0, right.find("provider:")) + "provider: {type: toy, group: web}\n");
  rig_.Ctl({"reload"});
  ASSERT_TRUE(Eventually([&] {
    return rig_.Ctl({"status", "web"}).out.find("(INVALID_ARGUMENT)") != std::string::npos;
  })) << rig_.Ctl({"status", "web"}).out;
  EXPECT_EQ(Ports().size(), 2u);
  rig_.Write("services.d/web.yaml", right);
  rig_.Ctl({"reload"});
  Load(3);
  Await(3);
}

// As the guide says it is tried by hand.
TEST_P(PluginDaemonTest, AnswersWhenItIsAskedByHand) {
  if (!fs::exists(fs::path(Program()).parent_path() / "ask.py"))
    GTEST_SKIP() << "needs python3-grpcio";
  const int port = rig_.TakePorts();
  const std::string options = GetParam() == Example::kPython
                                  ? R"({"group": "web", "ports": [)" + std::to_string(port) + ", " +
                                        std::to_string(port + 1) + "]}"
                                  : R"({"group": "web", "address": "127.0.0.1", "port": )" +
                                        std::to_string(port) + R"(, "max": 8})";
  Child asked({"/usr/bin/python3", fs::path(Program()).parent_path() / "ask.py", "--set", "2",
               options, Program(), Folder()},
              rig_.folder() / "asked");
  EXPECT_EQ(asked.Wait(), 0);
  EXPECT_TRUE(Says(asked.Output(), {"handshake: 1|1|unix|/", "status: SERVING",
                                    "name: \"toyfleet\"", "SetCapacity: {", "capacity: 2",
                                    "ends_exactly: true", "it exited with status 0"}))
      << asked.Errors();
}

INSTANTIATE_TEST_SUITE_P(Both, PluginDaemonTest, testing::Values(Example::kPython, Example::kCpp),
                         [](const auto& example) {
                           return example.param == Example::kPython ? "Python" : "Cpp";
                         });

class BrokenPluginTest : public testing::Test {
 protected:
  // A service of such a plugin, and another of processes.
  void Start(const std::string& plugin) {
    rig_.ConfigureDaemon("plugins: {broken: " + plugin + "}\n");
    rig_.Write("policies/web.lua", "return scale_to(2, \"always\")\n");
    rig_.Write("services.d/web.yaml",
               "service: web\npolicy: ../policies/web.lua\ninterval: 250ms\nmax: 8\n"
               "provider: {type: broken}\n");
    rig_.WriteService("calc", "return scale_to(metric(\"load\").value, \"so many\")\n");
    rig_.prometheus().Set("load", "calc", 2);
    rig_.Start();
  }
  // The other scales, this one says why it does not.
  void Expect(const std::string& why) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("calc", 2); }));
    ASSERT_TRUE(Eventually([&] {
      return rig_.Ctl({"status", "web"}).out.find(why) != std::string::npos;
    })) << rig_.Ctl({"status", "web"}).out;
    const std::string log = rig_.daemon().Errors();
    const std::string once = "\"message\":\"does not run: " + why;
    const size_t first = log.find(once);
    ASSERT_NE(first, std::string::npos) << log;
    EXPECT_EQ(log.find(once, first + 1), std::string::npos) << log;
  }

  DaemonRig rig_{2};
};

TEST_F(BrokenPluginTest, OneThatIsNotThereHoldsItsOwnServices) {
  Start("{command: [/nowhere/plugin]}");
  Expect("cannot run /nowhere/plugin: No such file or directory");
}

TEST_F(BrokenPluginTest, OneThatPrintsSomethingElseHoldsItsOwnServices) {
  Start("{command: [/bin/echo, Hello]}");
  Expect("the first line on its standard output must be a handshake");
}

TEST_F(BrokenPluginTest, OneThatNeverAnswersHoldsItsOwnServicesAndTheEndIsInTime) {
  Start("{command: [/bin/sleep, 1000], start_timeout: 500ms}");
  Expect("it printed no handshake within 500ms");
  EXPECT_EQ(rig_.End(SIGTERM), 0);
}

TEST_F(BrokenPluginTest, CheckConfigReadsTheDeclarationAndStartsNothing) {
  const auto check = [&](const std::string& plugins) {
    rig_.ConfigureDaemon(plugins);
    const auto daemon = rig_.Launch({"--check-config"});
    const int code = daemon->Wait().value_or(-1);
    return std::to_string(code) + " " + daemon->Output() + daemon->Errors();
  };
  rig_.Write("policies/web.lua", "return hold(\"as it is\")\n");
  rig_.Write("services.d/web.yaml",
             "service: web\npolicy: ../policies/web.lua\nmax: 8\nprovider: {type: toy, a: [1]}\n");
  EXPECT_TRUE(Says(check(""), {"2 ", "unknown provider type 'toy'; known: "}));
  const std::string started = rig_.folder() / "started";
  EXPECT_TRUE(Says(check("plugins: {toy: {command: [/usr/bin/touch, \"" + started + "\"]}}\n"),
                   {"0 ", ": fine, 1 services"}));
  EXPECT_FALSE(fs::exists(started));
  rig_.Write("services.d/web.yaml",
             "service: web\npolicy: ../policies/web.lua\nmax: 8\nprovider: {type: tog, a: [1]}\n");
  EXPECT_TRUE(Says(check(""), {"2 ", "unknown provider type 'tog'; known: ", ", toy"}));
}

TEST_F(BrokenPluginTest, OneThatIsNewNeedsARestart) {
  Start("{command: [/nowhere/plugin]}");
  rig_.ConfigureDaemon("");
  const std::string file = ReadWhole(rig_.folder() / "autoscaled.yaml");
  rig_.Write(
      "autoscaled.yaml",
      file.substr(0, file.find("plugins:")) +
          "plugins: {broken: {command: [/nowhere/plugin]}, other: {command: [/bin/true]}}\n" +
          file.substr(file.find('\n', file.find("plugins:")) + 1));
  const std::string web = ReadWhole(rig_.folder() / "services.d/web.yaml");
  rig_.Write("services.d/web.yaml",
             web.substr(0, web.find("provider:")) + "provider: {type: other}\n");
  const auto reload = rig_.Ctl({"reload"});
  EXPECT_NE(reload.code, 0);
  EXPECT_TRUE(Says(reload.err, {"web.yaml:1: plugin 'other' is new", "restart the daemon"}));
}

}  // namespace
}  // namespace autoscale
