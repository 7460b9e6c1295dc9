// The daemon learns from the past that a real Prometheus knows, and has the capacity before the
// load comes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <sstream>

#include "tests/fakes/http_server.h"
#include "tests/integration/daemon_rig.h"
#include "tests/real/prometheus_process.h"

namespace autoscale {
namespace {

constexpr int64_t kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour;

// A fortnight of a series that shows `low`, and `high` each day from `rise` on for eleven hours; up
// to ten minutes before now, when the scrapes begin.
std::string Fortnight(const std::string& series, int64_t now, int64_t rise, double low,
                      double high) {
  std::ostringstream text;
  text << "# TYPE load gauge\n";
  const int64_t end = now - 10 * kMinute;
  for (int64_t at = (now - 14 * kDay) / kMinute * kMinute; at < end; at += kMinute) {
    const int64_t since = ((at - rise) % kDay + kDay) % kDay;
    text << series << ' ' << (since < 11 * kHour ? high : low) << ' ' << at << '\n';
  }
  text << "# EOF\n";
  return text.str();
}

class ForecastTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string program = FindPrometheus();
    if (program.empty()) {
      GTEST_SKIP() << "no prometheus in $AUTOSCALE_PARTS/usr/bin or on the PATH: run `make parts`";
    }
    if (::access((program.substr(0, program.rfind('/')) + "/promtool").c_str(), X_OK) != 0) {
      GTEST_SKIP() << "no promtool beside " << program << ": run `make parts`";
    }
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    exporter_.Answer("/metrics", "load{service=\"web\"} 2\n");
    // The load comes in half an hour, as every day.
    const std::string series =
        "load{service=\"web\",instance=\"" + exporter_.address() + "\",job=\"load\"}";
    prometheus_.emplace(program,
                        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                        "scrape_configs:\n"
                        "- job_name: load\n"
                        "  static_configs: [{targets: ['" +
                            exporter_.address() + "']}]\n",
                        Fortnight(series, now, now + kHour / 2, 2, 5.6));
    rig_.ConfigurePrometheus("{url: \"" + prometheus_->Url() + "\", timeout: 5s}");
    rig_.ConfigureDaemon("  soon: {forecast: load, horizon: 1h}\n");  // of its `metrics`
    rig_.WriteService("web", "return scale_to(metric(\"soon\").value, \"what is to come\")\n",
                      "max: 10\n");
    const std::string path = "services.d/web.yaml";
    std::string text = ReadWhole(rig_.folder() / path);
    text.replace(text.find("250ms"), 5, "1s");
    text.replace(text.find("load: shared"), 12, "load: shared, soon: shared");
    rig_.Write(path, text);
    rig_.Start();
  }

  FakeHttpServer exporter_;
  std::optional<PrometheusProcess> prometheus_;
  DaemonRig rig_{1};
};

TEST_F(ForecastTest, TheCapacityIsThereBeforeTheLoadComes) {
  ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", 6); }))
      << rig_.Explain("web") << rig_.daemon().Errors();
  // By what was learned, not by what is: the load has not come.
  EXPECT_EQ(rig_.Metric("autoscaled_metric_value{service=\"web\",metric=\"load\"}"), 2);
  EXPECT_NE(rig_.Metric("autoscaled_metric_substituted{service=\"web\",metric=\"soon\"}"), 1);
  EXPECT_GE(rig_.Metric("autoscaled_forecasts_fitted_total"), 1);
  EXPECT_EQ(rig_.Service("web")["problem"], "");
  // The back-test chose a method that knows the day.
  const std::string log = rig_.daemon().Errors();
  EXPECT_TRUE(Says(log, {"a forecast is made"}));
  EXPECT_EQ(log.find("method=naive"), std::string::npos) << log;
  // And it comes: nothing changes.
  exporter_.Answer("/metrics", "load{service=\"web\"} 5.6\n");
  ASSERT_TRUE(Eventually([&] {
    return rig_.Metric("autoscaled_metric_value{service=\"web\",metric=\"load\"}") == 5.6;
  })) << rig_.Explain("web");
  EXPECT_TRUE(rig_.Settled("web", 6)) << rig_.Explain("web");
}

}  // namespace
}  // namespace autoscale
