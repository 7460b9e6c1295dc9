// A hundred scale-outs and scale-ins under load, with a real nginx, real backends and the real
// daemon: not one request may fail. Skipped when there is no nginx, see parts.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "tests/integration/daemon_rig.h"
#include "tests/real/nginx_process.h"
#include "tests/real/parts.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

constexpr int kFew = 2, kMany = 4;
constexpr int kCycles = 100;
constexpr int kRequests = 100'000;
constexpr const char* kSchedule = "120:870";  // SECONDS:RPS, more requests than are needed
constexpr seconds kLoadPatience{150};

class CyclesTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto root = PartsRoot("usr/sbin/nginx");
    if (!root || !std::filesystem::exists(*root / "usr/lib/nginx/modules")) {
      GTEST_SKIP() << "no nginx with Lua: deploy/fetch-parts.sh build/parts gets it";
    }
    nginx_.emplace(*root);
    ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
    rig_.ConfigureDaemon(
        "gateways: {edge: {type: nginx, address: \"unix:" + nginx_->control_socket() + "\"}}\n");
    rig_.WriteService("checkout", "return scale_to(metric(\"load\").value)\n",
                      "max: 8\ngateways: [{gateway: edge}]\n",
                      {"--rps-capacity", "1000", "--boot", "0.05"});
    Want(kFew);
    rig_.Start();
    ASSERT_TRUE(Eventually(
        [this] { return rig_.Settled("checkout", kFew) && rig_.Arrived("checkout", kFew); }));
  }
  void TearDown() override {
    if (HasFailure() && nginx_) std::cerr << nginx_->ErrorLog();
  }

  void Want(int instances) { rig_.prometheus().Set("load", "checkout", instances); }
  // Decisions from `before` to `desired`, as they are stored.
  int Decisions(int before, int desired) {
    const DaemonRig::Ended history =
        rig_.Ctl({"history", "checkout", "--limit", "1000", "-o", "json"});
    const auto json = nlohmann::json::parse(history.out, nullptr, false);
    if (!json.is_object()) return -1;
    int count = 0;
    for (const auto& record : json["records"]) {
      count += record["decision"]["before"] == before && record["decision"]["desired"] == desired;
    }
    return count;
  }
  // Requests that nginx had to try again elsewhere; a user does not see those, but an instance that
  // is drained before it stops and serves before it is published causes none.
  [[nodiscard]] int Retries() const {
    std::istringstream metrics(HttpProbe(nginx_->metrics_port()).Get("/metrics", false).body);
    double sum = 0;
    for (std::string line; std::getline(metrics, line);) {
      if (line.starts_with("autoscaled_gateway_retries_total{")) {
        sum += std::atof(line.c_str() + line.rfind(' '));
      }
    }
    return static_cast<int>(sum);
  }
  // The load's own account; null when it gave none.
  nlohmann::json Summary() const {
    return nlohmann::json::parse(ReadWhole(rig_.folder() / "load.json"), nullptr, false);
  }

  std::optional<NginxProcess> nginx_;  // goes after the daemon that pushes to it
  DaemonRig rig_;
};

TEST_F(CyclesTest, NoRequestFailsInAHundredCycles) {
  Child load({BuiltProgram("demo/demo-load"), "--port", std::to_string(nginx_->port()),
              "--schedule", kSchedule, "--summary", rig_.folder() / "load.json"},
             rig_.folder() / "output/load");
  const auto deadline = std::chrono::steady_clock::now() + kLoadPatience;
  while (!load.Wait(seconds(0)) && std::chrono::steady_clock::now() < deadline) {
    for (const int wanted : {kMany, kFew}) {
      Want(wanted);
      ASSERT_TRUE(Eventually([&] { return rig_.Arrived("checkout", wanted); }))
          << rig_.Ctl({"status", "checkout"}).out;
    }
  }
  ASSERT_EQ(load.Wait(), 0) << load.Errors();

  const nlohmann::json summary = Summary();
  ASSERT_TRUE(summary.is_object()) << load.Errors();
  const int out = Decisions(kFew, kMany), in = Decisions(kMany, kFew);
  const int retries = Retries();
  std::printf("cycles=%d requests=%d failed=%d retries=%d p99_ms=%.1f\n", std::min(out, in),
              summary["arrived"].get<int>(), summary["failed"].get<int>(), retries,
              summary["p99_ms"].get<double>());
  EXPECT_GE(out, kCycles);
  EXPECT_GE(in, kCycles);
  EXPECT_GE(summary["arrived"], kRequests);
  EXPECT_EQ(summary["failed"], 0) << summary;
  EXPECT_EQ(retries, 0);
  EXPECT_EQ(summary["succeeded"], summary["arrived"]);
}

}  // namespace
}  // namespace autoscale
