// The daemon with a pair of real Prometheus servers and a real exporter, each of which dies in
// turn.
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "tests/fakes/http_server.h"
#include "tests/integration/daemon_rig.h"
#include "tests/real/prometheus_process.h"

namespace autoscale {
namespace {

class OutageTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string program = FindPrometheus();
    if (program.empty()) {
      GTEST_SKIP() << "no prometheus in $AUTOSCALE_PARTS/usr/bin or on the PATH: run `make parts`";
    }
    exporter_.emplace();
    exporter_port_ = exporter_->port();
    Load(3);
    const std::string configuration =
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        "- job_name: load\n"
        "  static_configs: [{targets: ['" +
        exporter_->address() + "']}]\n";
    a_.emplace(program, configuration);
    b_.emplace(program, configuration);
    rig_.ConfigurePrometheus("{urls: [\"" + a_->Url() + "\", \"" + b_->Url() + "\"], timeout: 2s}");
    rig_.WriteService("web",
                      "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
    const std::string path = "services.d/web.yaml";
    std::string text = ReadWhole(rig_.folder() / path);
    text.replace(text.find("250ms"), 5, "1s");
    rig_.Write(path, text);
    rig_.Start();
    Await(3);
  }
  void Load(int load) {
    exporter_->Answer("/metrics", "load{service=\"web\"} " + std::to_string(load) + "\n");
  }
  void Await(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); })) << rig_.Explain("web");
  }
  void AwaitState(const std::string& state) {
    ASSERT_TRUE(Eventually([&] {
      return rig_.Metric("autoscaled_metric_state{service=\"web\",metric=\"load\",state=\"" +
                         state + "\"}") == 1;
    })) << "never "
        << state << ": " << rig_.Explain("web");
  }
  void AwaitInUse(const PrometheusProcess& endpoint) {
    ASSERT_TRUE(Eventually([&] {
      return rig_.Metric("autoscaled_prometheus_in_use{endpoint=\"" + endpoint.Url() + "\"}") == 1;
    })) << rig_.Explain("web");
  }
  // The capacity is the same after as many ticks more.
  void ExpectHeld(int instances) {
    const double until = rig_.Metric("autoscaled_ticks_total") + 4;
    ASSERT_TRUE(Eventually([&] { return rig_.Metric("autoscaled_ticks_total") >= until; }));
    EXPECT_TRUE(rig_.Settled("web", instances)) << rig_.Explain("web");
  }

  int exporter_port_ = 0;
  std::optional<FakeHttpServer> exporter_;
  std::optional<PrometheusProcess> a_, b_;
  DaemonRig rig_;
};

TEST_F(OutageTest, EachPartDiesInTurnAndNothingShrinks) {
  // The exporter: its series end.
  exporter_->Stop();
  AwaitState("stale");
  ExpectHeld(3);
  EXPECT_TRUE(Says(rig_.Explain("web"), {"none of its series reports any more"}));
  exporter_.emplace(exporter_port_);
  Load(2);
  Await(2);

  // The one in use hangs: the other answers.
  a_->Signal(SIGSTOP);
  AwaitInUse(*b_);
  AwaitState("fresh");
  Load(3);
  Await(3);
  a_->Signal(SIGCONT);

  // The other is killed: back to the first.
  b_->Kill();
  AwaitInUse(*a_);
  AwaitState("fresh");
  ExpectHeld(3);

  // Both gone.
  a_->Kill();
  AwaitState("error");
  Load(1);
  ExpectHeld(3);
  const std::string problem = rig_.Service("web")["problem"];
  EXPECT_TRUE(Says(problem, {"every endpoint fails", a_->Url(), b_->Url(), "connection refused"}));

  // One comes back with nothing in it, and no exporter to fill it: it answers, and empty holds.
  exporter_->Stop();
  b_->StartEmpty();
  AwaitInUse(*b_);
  AwaitState("stale");
  ExpectHeld(3);
  exporter_.emplace(exporter_port_);
  Load(1);
  Await(1);
}

}  // namespace
}  // namespace autoscale
