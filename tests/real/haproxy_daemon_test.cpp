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

#include "net/fault_point.h"
#include "tests/integration/daemon_rig.h"
#include "tests/real/haproxy_process.h"
#include "tests/real/steady_client.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

constexpr int kFew = 2, kMany = 4;

class HaproxyDaemon : public testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = HaproxyProcess::WhatIsMissing();
    if (!missing.empty()) GTEST_SKIP() << missing;
    haproxy_.emplace();
    ASSERT_TRUE(haproxy_->Start()) << haproxy_->Log();
  }
  void TearDown() override {
    if (HasFailure() && haproxy_) std::cerr << haproxy_->Log() << haproxy_->Ask("show stat");
  }

  // `rps`: what an instance can serve a second, one request after the other.
  void StartDaemon(const std::string& options = "reload_grace: 0s",
                   const std::string& rps = "1000") {
    rig_.ConfigureDaemon("gateways: {edge: {type: haproxy, socket: \"" + haproxy_->socket() +
                         "\", timeout: 1s, " + options + "}}\n");
    rig_.WriteService("checkout", "return scale_to(metric(\"load\").value)\n",
                      "max: 8\ngateways: [{gateway: edge}]\n",
                      {"--rps-capacity", rps, "--boot", "0.05"});
    Want(kFew);
    rig_.Start();
    AwaitServed(kFew);
  }

  void Want(int instances) { rig_.prometheus().Set("load", "checkout", instances); }
  // So many are wanted and the change is under way.
  void AwaitDecided(int instances) {
    Want(instances);
    ASSERT_TRUE(Eventually([&] {
      return rig_.Metric("autoscaled_service_desired_instances{service=\"checkout\"}") == instances;
    }));
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
      ASSERT_TRUE(Eventually([&] { return rig_.Arrived("checkout", wanted); }))
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

TEST_F(HaproxyDaemon, ADrainWaitsForItsRequestsAsHaproxyCountsThem) {
  StartDaemon("reload_grace: 0s", "0.4");  // a request takes 2.5 s
  HttpProbe one(haproxy_->port()), other(haproxy_->port());
  ASSERT_TRUE(one.Send("/"));
  ASSERT_TRUE(other.Send("/"));
  ASSERT_TRUE(Eventually([&] { return haproxy_->Stat("scur") == 2; }));
  AwaitDecided(1);
  ASSERT_TRUE(Eventually([&] {
    return rig_.Service("checkout").dump().find("\"in_flight\":1") != std::string::npos;
  })) << rig_.Service("checkout").dump();
  EXPECT_EQ(rig_.BackendPids().size(), 2u);
  EXPECT_EQ(one.Receive().status, 200);
  EXPECT_EQ(other.Receive().status, 200);
  AwaitServed(1);
  EXPECT_TRUE(LogSays("is drained after "));
  EXPECT_FALSE(LogSays("(drain_timeout)"));
  ExpectNothingTriedTwice();
}

// Customers whose connections do not stay: a reload closes idle ones, and a request may be on its
// way there.
TEST_F(HaproxyDaemon, ReloadsInTheMiddleLoseNothing) {
  StartDaemon();
  SteadyClients customers(haproxy_->port(), /*keep_alive=*/false);
  for (const int wanted : {4, 1, 4, 2}) {
    AwaitDecided(wanted);
    ASSERT_TRUE(haproxy_->Reload());
    AwaitServed(wanted);
  }
  EXPECT_TRUE(LogSays("gateway edge fell back to list 0.0 from "));
  EXPECT_GT(customers.served(), 100);
  EXPECT_EQ(customers.Stop(), 0) << "of " << customers.served();
}

TEST_F(HaproxyDaemon, ADrainOutlivesTheProcessThatHasItsRequests) {
  StartDaemon("reload_grace: 7s", "0.4");
  HttpProbe one(haproxy_->port()), other(haproxy_->port());
  ASSERT_TRUE(one.Send("/", false));
  ASSERT_TRUE(other.Send("/", false));
  ASSERT_TRUE(Eventually([&] { return haproxy_->Stat("scur") == 2; }));
  ASSERT_TRUE(haproxy_->Reload());
  AwaitDecided(1);
  EXPECT_EQ(one.Receive().status, 200);
  EXPECT_EQ(other.Receive().status, 200);
  EXPECT_FALSE(LogSays("is drained after ")) << "the new process counts none, and is not believed";
  AwaitServed(1);
  EXPECT_FALSE(LogSays("(drain_timeout)"));
}

TEST_F(HaproxyDaemon, ARestartIsMadeUpFor) {
  StartDaemon();
  Want(kMany);
  AwaitServed(kMany);
  haproxy_->Crash();
  ASSERT_TRUE(Eventually([&] { return LogSays("gateway edge does not answer: "); }));
  EXPECT_TRUE(LogSays("connection refused") || LogSays("there is no such socket"));
  AwaitDecided(kFew);
  ASSERT_TRUE(haproxy_->Start()) << haproxy_->Log();
  SteadyClients customers(haproxy_->port(), /*keep_alive=*/true);
  AwaitServed(kFew);
  Want(kMany);
  AwaitServed(kMany);
  EXPECT_EQ(customers.Stop(), 0) << "of " << customers.served();
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
}

TEST_F(HaproxyDaemon, AHungOneIsToldAndTakesUpWhereItWas) {
  StartDaemon();
  for (const pid_t worker : haproxy_->Workers()) SignalOne(worker, SIGSTOP);
  Want(kMany);
  EXPECT_TRUE(Eventually([&] {
    return rig_.Service("checkout").dump().find("timed out after 1s") != std::string::npos;
  }));
  for (const pid_t worker : haproxy_->Workers()) SignalOne(worker, SIGCONT);
  AwaitServed(kMany);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
}

TEST_F(HaproxyDaemon, KilledInTheMiddleItGoesOnFromWhatIsThere) {
  StartDaemon();
  SteadyClients customers(haproxy_->port(), /*keep_alive=*/true);
  const std::vector<std::pair<const char*, int>> deaths = {{"before-publish", kMany},
                                                           {"published", kFew},
                                                           {"confirmed", kMany},
                                                           {"drain-finished", kFew}};
  for (const auto& [point, wanted] : deaths) {
    SCOPED_TRACE(point);
    ASSERT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
    Want(wanted);
    setenv(kFaultPointVariable, point, 1);
    const auto armed = rig_.Launch({});
    unsetenv(kFaultPointVariable);
    ASSERT_EQ(armed->Wait(), 128 + SIGKILL) << armed->Errors();
    rig_.Start();
    AwaitServed(wanted);
  }
  EXPECT_EQ(customers.Stop(), 0) << "of " << customers.served();
  ExpectNothingTriedTwice();
}

}  // namespace
}  // namespace autoscale
