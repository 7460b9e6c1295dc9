// The Prometheus client against a real Prometheus that scrapes fake exporters every second.
//
// Skipped when there is no `prometheus` in $AUTOSCALE_PARTS/usr/bin or on the PATH.
#include "net/prometheus.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>

#include "tests/fakes/http_server.h"
#include "tests/real/prometheus_process.h"

namespace autoscale {
namespace {

constexpr auto kPatience = std::chrono::seconds(15);  // a condition takes a few scrapes at most
constexpr Millis kPoll{200};

class PrometheusTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string program = FindPrometheus();
    if (program.empty()) {
      GTEST_SKIP() << "no prometheus in $AUTOSCALE_PARTS/usr/bin or on the PATH: run `make parts`";
    }
    first_.Answer("/metrics",
                  "load{service=\"shop\",code=\"200\"} 5\n"
                  "load{service=\"mail\",code=\"200\"} 1\n");
    second_.emplace();
    second_->Answer("/metrics", "load{service=\"shop\",code=\"200\"} 7\n");
    prometheus_.emplace(program,
                        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                        "scrape_configs:\n"
                        "- job_name: load\n"
                        "  static_configs: [{targets: ['" +
                            first_.address() + "', '" + second_->address() + "']}]\n");
    client_.emplace(http_, PrometheusOptions{.urls = {prometheus_->Url()}});
  }

  Result<Answer> Ask(const MetricQuery& query) {
    std::optional<Result<Answer>> result;
    client_->Query(query, std::chrono::seconds(5), [&](Result<Answer> answer) {
      result.emplace(std::move(answer));
      loop_.Stop();
    });
    loop_.Run();
    return std::move(*result);
  }

  // Asks until the answer is as wanted; false, with the last answer shown, when it never is.
  bool AskUntil(const MetricQuery& query, const std::function<bool(const Answer&)>& wanted) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::string last;
    while (std::chrono::steady_clock::now() < deadline) {
      const Result<Answer> answer = Ask(query);
      if (answer.ok() && wanted(*answer)) return true;
      last = answer.ok() ? Show(*answer) : answer.error().message;
      loop_.After(kPoll, [this] { loop_.Stop(); });
      loop_.Run();
    }
    ADD_FAILURE() << ToPromQl(query) << "\nlast answered: " << last;
    return false;
  }

  static std::string Show(const Answer& answer) {
    std::ostringstream text;
    for (const Answer::Row& row : answer.rows()) {
      text << '[' << row.key << ' ' << row.instance << " value "
           << (row.value ? std::to_string(*row.value) : "none") << " age "
           << (row.age_s ? std::to_string(*row.age_s) : "none") << " series " << row.series << ']';
    }
    return text.str();
  }

  bool WaitForBoth() {
    return AskUntil(kLoad, [](const Answer& answer) {
      const auto [row, end] = answer.Find("shop");
      return row != end && row->series == 2;
    });
  }

  const MetricQuery kLoad{
      .value = "sum by (service) (load) # all codes", .series = "load", .by = {"service"}};
  FakeHttpServer first_;
  std::optional<FakeHttpServer> second_;
  std::optional<PrometheusProcess> prometheus_;
  EventLoop loop_;
  HttpClient http_{loop_, 2};
  std::optional<PrometheusClient> client_;
};

TEST_F(PrometheusTest, AnswersValueAgeAndCountInOneQueryOfAnyForm) {
  ASSERT_TRUE(WaitForBoth());
  const Result<Answer> answer = Ask(kLoad);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  ASSERT_EQ(answer->rows().size(), 2u) << Show(*answer);
  EXPECT_EQ(answer->rows()[0].key, "mail");
  EXPECT_EQ(answer->rows()[0].series, 1);
  const Answer::Row& shop = answer->rows()[1];
  EXPECT_EQ(shop.value, 12);
  EXPECT_EQ(shop.series, 2);
  EXPECT_LT(*shop.age_s, 5.0F);

  const Result<Answer> single = Ask({.value = "sum(load)", .series = "load"});
  ASSERT_TRUE(single.ok()) << single.error().message;
  ASSERT_EQ(single->rows().size(), 1u);
  EXPECT_EQ(single->rows()[0].key, "");
  EXPECT_EQ(single->rows()[0].value, 13);
  EXPECT_EQ(single->rows()[0].series, 3);

  const Result<Answer> extra_labels =
      Ask({.value = "load > 5", .series = "load{service='shop'}", .by = {"service"}});
  ASSERT_TRUE(extra_labels.ok()) << extra_labels.error().message;
  ASSERT_EQ(extra_labels->rows().size(), 1u) << Show(*extra_labels);
  EXPECT_EQ(extra_labels->rows()[0].value, 7);
  EXPECT_EQ(extra_labels->rows()[0].series, 2);

  const Result<Answer> instances =
      Ask({.value = "load", .series = "load", .by = {"service"}, .instance_label = "instance"});
  ASSERT_TRUE(instances.ok()) << instances.error().message;
  EXPECT_EQ(instances->rows().size(), 3u) << Show(*instances);
  for (const Answer::Row& row : instances->rows()) {
    EXPECT_FALSE(row.instance.empty());
    EXPECT_TRUE(row.value && std::isfinite(*row.age_s)) << Show(*instances);
  }

  const Result<Answer> scalar = Ask({.value = "scalar(sum(load))"});
  ASSERT_TRUE(scalar.ok()) << scalar.error().message;
  EXPECT_EQ(scalar->rows().at(0).value, 13);

  const Result<Answer> nothing =
      Ask({.value = "sum by (service) (none)", .series = "none", .by = {"service"}});
  ASSERT_TRUE(nothing.ok()) << nothing.error().message;
  EXPECT_TRUE(nothing->rows().empty()) << Show(*nothing);
}

TEST_F(PrometheusTest, ExplainsWhatItRefuses) {
  ASSERT_TRUE(WaitForBoth());
  const auto refusal = [this](const MetricQuery& query) {
    const Result<Answer> answer = Ask(query);
    return answer.ok() ? "accepted" : answer.error().message;
  };
  EXPECT_EQ(refusal({.value = "load", .by = {"service"}}),
            "prometheus: the query answers several series for service=\"shop\"; aggregate them, "
            "as in sum by (...) (...)");
  EXPECT_NE(refusal({.value = "sum("}).find("refused the query: bad_data: "), std::string::npos);
  EXPECT_NE(refusal({.value = "1", .series = "load"}).find("refused the query: bad_data: "),
            std::string::npos);
  EXPECT_NE(refusal({.value = "load[5s]"}).find("answers a matrix"), std::string::npos);
}

TEST_F(PrometheusTest, OneOfTwoExportersDeadLowersTheCount) {
  ASSERT_TRUE(WaitForBoth());
  second_->Stop();
  EXPECT_TRUE(AskUntil(kLoad, [](const Answer& answer) {
    const auto [row, end] = answer.Find("shop");
    // The value falls as if the load had; only the count tells.
    return row != end && row->series == 1 && row->value == 5;
  }));
}

TEST_F(PrometheusTest, AnExporterThatRepeatsAnOldSampleAges) {
  const auto now =
      std::chrono::duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch());
  first_.Answer("/metrics",
                "cached{service=\"shop\"} 5 " + std::to_string(now.count() - 2000) + "\n");
  const MetricQuery query{
      .value = "sum by (service) (cached)", .series = "cached", .by = {"service"}};
  for (const float age : {2.0F, 4.0F}) {
    EXPECT_TRUE(AskUntil(query, [age](const Answer& answer) {
      const auto [row, end] = answer.Find("shop");
      return row != end && row->value == 5 && *row->age_s >= age && *row->age_s < 60.0F;
    }));
  }
}

TEST_F(PrometheusTest, AHungTargetIsSeenThoughAWindowStillAnswers) {
  ASSERT_TRUE(WaitForBoth());
  first_.Answer("/metrics", FakeAnswer{.ending = FakeAnswer::Ending::kHang});
  second_->Answer("/metrics", FakeAnswer{.ending = FakeAnswer::Ending::kHang});
  const MetricQuery window{
      .value = "sum by (service) (avg_over_time(load[1m]))", .series = "load", .by = {"service"}};
  EXPECT_TRUE(AskUntil(window, [](const Answer& answer) {
    const auto [row, end] = answer.Find("shop");
    return row != end && row->value == 12 && std::isinf(*row->age_s) && row->series == 0;
  }));
  EXPECT_TRUE(AskUntil(kLoad, [](const Answer& answer) { return answer.rows().empty(); }));
}

}  // namespace
}  // namespace autoscale
