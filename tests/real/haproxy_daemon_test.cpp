// Scale-outs and scale-ins under load, with a real HAProxy, real backends and the real daemon: not
// one request may fail, and none is tried twice. Skipped when there is no HAProxy.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "tests/integration/daemon_rig.h"
#include "tests/real/haproxy_process.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

constexpr int kFew = 2, kMany = 4;

class HaproxyDaemon : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(HaproxyProcess::kProgram)) {
      GTEST_SKIP() << "no haproxy: apt-get install haproxy";
    }
    haproxy_.emplace();
    ASSERT_TRUE(haproxy_->Start()) << haproxy_->Log();
  }
  void TearDown() override {
    if (HasFailure() && haproxy_) std::cerr << haproxy_->Log() << haproxy_->Ask("show stat");
  }

  void StartDaemon(const std::string& options = "reload_grace: 0s") {
    rig_.ConfigureDaemon("gateways: {edge: {type: haproxy, socket: \"" + haproxy_->socket() +
                         "\", timeout: 1s, " + options + "}}\n");
    rig_.WriteService("checkout", "return scale_to(metric(\"load\").value)\n",
                      "max: 8\ngateways: [{gateway: edge}]\n",
                      {"--rps-capacity", "1000", "--boot", "0.05"});
    Want(kFew);
    rig_.Start();
    AwaitServed(kFew);
  }

  void Want(int instances) { rig_.prometheus().Set("load", "checkout", instances); }
  // One cheap look, by what the daemon tells Prometheus.
  [[nodiscard]] bool Arrived(int instances) const {
    const std::string text = rig_.Get("/metrics").body;
    const auto is = [&text](const char* name, int value) {
      return text.find("autoscaled_service_" + std::string(name) +
                       "_instances{service=\"checkout\"} " + std::to_string(value) + "\n") !=
             std::string::npos;
    };
    return is("desired", instances) && is("ready", instances) && is("draining", 0);
  }
  bool LogSays(const std::string& phrase) {
    return rig_.daemon().Errors().find(phrase) != std::string::npos;
  }
  // What HAProxy ought to hold: the service's instances, besides its own server.
  [[nodiscard]] bool Holds(int instances) const {
    std::set<std::string> wanted = {"wait"}, held;
    for (const auto& [pid, port] : rig_.Backends()) {
      wanted.insert("autoscaled-127.0.0.1:" + std::to_string(port));
    }
    for (const auto& [name, state] : haproxy_->Servers()) {
      if (state.starts_with("ready ")) held.insert(name);
    }
    return held == wanted && static_cast<int>(held.size()) == instances + 1;
  }
  void AwaitServed(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("checkout", instances) && Holds(instances); }))
        << rig_.Ctl({"status", "checkout"}).out << haproxy_->Ask("show servers state");
  }
  void ExpectNothingTriedTwice() {
    EXPECT_EQ(haproxy_->Stat("wretr"), 0);
    EXPECT_EQ(haproxy_->Stat("wredis"), 0);
    EXPECT_EQ(haproxy_->Stat("econ"), 0);
    EXPECT_EQ(haproxy_->Stat("hrsp_5xx"), 0);
  }
  std::vector<std::string> LoadCommand(const std::string& schedule) {
    return {BuiltProgram("demo/demo-load"),
            "--port",
            std::to_string(haproxy_->port()),
            "--schedule",
            schedule,
            "--summary",
            rig_.folder() / "load.json"};
  }
  nlohmann::json Summary() const {
    return nlohmann::json::parse(ReadWhole(rig_.folder() / "load.json"), nullptr, false);
  }

  std::optional<HaproxyProcess> haproxy_;  // goes after the daemon that pushes to it
  DaemonRig rig_;
};

TEST_F(HaproxyDaemon, NoRequestFailsInTensOfCycles) {
  constexpr int kCycles = 30, kRequests = 20'000;
  StartDaemon();
  Child load(LoadCommand("30:800"), rig_.folder() / "output/load");
  int cycles = 0;
  while (!load.Wait(seconds(0)) && cycles < 10 * kCycles) {
    for (const int wanted : {kMany, kFew}) {
      Want(wanted);
      ASSERT_TRUE(Eventually([&] { return Arrived(wanted); }))
          << rig_.Ctl({"status", "checkout"}).out;
    }
    ++cycles;
  }
  ASSERT_EQ(load.Wait(), 0) << load.Errors();
  const nlohmann::json summary = Summary();
  ASSERT_TRUE(summary.is_object()) << load.Errors();
  std::printf("cycles=%d requests=%d failed=%d p99_ms=%.1f\n", cycles,
              summary["arrived"].get<int>(), summary["failed"].get<int>(),
              summary["p99_ms"].get<double>());
  EXPECT_GE(cycles, kCycles);
  EXPECT_GE(summary["arrived"], kRequests);
  EXPECT_EQ(summary["failed"], 0) << summary;
  EXPECT_EQ(summary["succeeded"], summary["arrived"]);
  ExpectNothingTriedTwice();
  EXPECT_EQ(rig_.Metric("autoscaled_gateway_errors_total"), 0);
  AwaitServed(kFew);
}

}  // namespace
}  // namespace autoscale
