// Two endpoints: whichever way one of them fails, the other is asked, and that is told.
#include <gtest/gtest.h>

#include <sstream>

#include "tests/fault/prometheus/faults.h"
#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

class FailoverTest : public testing::Test {
 protected:
  void SetUp() override {
    rig_.ConfigurePrometheus("{urls: [\"" + a_.Url() + "\", \"" + b_.Url() +
                             "\"], timeout: " + std::to_string(kSlower) + "s, max_answer: 1MiB}");
    rig_.WriteService("web", "return scale_to(metric(\"load\").value, \"so many are asked for\")\n",
                      "max: 6\n");
    const std::string path = "services.d/web.yaml";
    std::string text = ReadWhole(rig_.folder() / path);
    text.replace(text.find("250ms"), 5, std::to_string(kSlower) + "s");
    rig_.Write(path, text);
  }
  void StartWith(int load_of_a, int load_of_b) {
    a_.Set("load", "web", load_of_a);
    b_.Set("load", "web", load_of_b);
    rig_.Start();
    Await(load_of_a);
  }
  void Await(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); })) << rig_.Explain("web");
  }
  void AwaitMoreTicks(int count) {
    const double until = rig_.Metric("autoscaled_ticks_total") + count;
    ASSERT_TRUE(Eventually([&] { return rig_.Metric("autoscaled_ticks_total") >= until; }));
  }
  double Of(const std::string& gauge, const FakePrometheus& endpoint) {
    return rig_.Metric("autoscaled_prometheus_" + gauge + "{endpoint=\"" + endpoint.Url() + "\"}");
  }
  double Failovers() { return rig_.Metric("autoscaled_prometheus_failovers_total"); }
  double Changes() {
    return rig_.Metric("autoscaled_decisions_in_total") +
           rig_.Metric("autoscaled_decisions_out_total");
  }
  // Whether one line of the log tells of the change with both addresses and the phrases.
  bool LogTells(const FakePrometheus& from, const FakePrometheus& to,
                const std::vector<std::string>& phrases) {
    std::istringstream lines(rig_.daemon().Errors());
    for (std::string line; std::getline(lines, line);) {
      const auto json = nlohmann::json::parse(line, nullptr, false);
      if (json.is_object() &&
          json.value("message", "") == "another Prometheus endpoint answers from now on" &&
          json.value("from", "") == from.Url() && json.value("to", "") == to.Url() &&
          Says(json.value("error", ""), phrases)) {
        return true;
      }
    }
    return false;
  }

  DaemonRig rig_;
  FakePrometheus& a_ = rig_.prometheus();
  FakePrometheus b_;
};

// What is wrong with the query, and what is no fault of the endpoint, is not taken elsewhere.
bool IsOfTheEndpoint(const FaultRow& row) {
  for (const char* name : {"bad-query", "a-matrix", "a-scalar", "one-key-twice"}) {
    if (row.name == name) return false;
  }
  return row.state == "error";
}

// The time-out of a row is another number here.
std::vector<std::string> WithoutTimes(std::vector<std::string> phrases) {
  for (std::string& phrase : phrases) phrase = phrase.substr(0, phrase.find(" after "));
  return phrases;
}

TEST_F(FailoverTest, WhicheverWayOneFailsTheOtherAnswers) {
  StartWith(3, 3);
  const double changes = Changes();
  FakePrometheus* used = &a_;
  FakePrometheus* spare = &b_;
  for (const FaultRow& row : FaultRows()) {
    if (!IsOfTheEndpoint(row)) continue;
    SCOPED_TRACE("fault: " + row.name);
    // On a machine that stalls, an answer that came too late has changed it already.
    if (Of("in_use", *used) != 1) std::swap(used, spare);
    const double before = Failovers();
    used->Break("load", [&row](double now) { return row.answer("web", now); });
    ASSERT_TRUE(Eventually([&] { return Of("in_use", *spare) == 1 && Of("up", *spare) == 1; }))
        << rig_.Get("/metrics").body;
    EXPECT_EQ(Of("in_use", *used), 0);
    EXPECT_EQ(Of("up", *used), 0);
    EXPECT_GE(Failovers(), before + 1);
    EXPECT_TRUE(LogTells(*used, *spare, WithoutTimes(row.phrases)));
    used->Mend("load");
    std::swap(used, spare);
  }
  EXPECT_EQ(Changes(), changes);
  EXPECT_TRUE(Eventually([&] {
    return rig_.Metric("autoscaled_metric_fresh{service=\"web\",metric=\"load\"}") == 1;
  }));
}

TEST_F(FailoverTest, TwoThatDisagreeAreNeverMixed) {
  StartWith(2, 4);
  const double changes = Changes();
  AwaitMoreTicks(3);
  EXPECT_EQ(Changes(), changes);

  a_.Stop();  // down
  Await(4);
  EXPECT_TRUE(LogTells(a_, b_, {"connection refused"}));
  a_.Start();  // nothing goes back by itself
  AwaitMoreTicks(3);
  EXPECT_TRUE(rig_.Settled("web", 4));
  EXPECT_EQ(Failovers(), 1);

  // The one in use restarts with nothing in it: it answers, so it is believed, and empty holds.
  b_.Break("load", [](double) { return FakePrometheus::Vector(""); });
  AwaitMoreTicks(4);
  EXPECT_TRUE(rig_.Settled("web", 4)) << rig_.Explain("web");
  EXPECT_EQ(Failovers(), 1);
  EXPECT_TRUE(Says(rig_.Explain("web"), {"held at 4 instances", "reports any more"}));
  b_.Mend("load");

  // Both gone: the fault of each is named, and nothing changes.
  a_.Stop();
  b_.Break("load", [](double) { return FakeAnswer{.status = 503, .body = "starting"}; });
  ASSERT_TRUE(Eventually([&] {
    return rig_.Explain("web").find("every endpoint fails") != std::string::npos;
  })) << rig_.Explain("web");
  std::string error = rig_.Service("web")["problem"];
  EXPECT_TRUE(Says(error, {a_.Url(), "connection refused", b_.Url(), "status 503: starting"}));
  AwaitMoreTicks(6);
  EXPECT_TRUE(rig_.Settled("web", 4));
  EXPECT_EQ(Of("up", a_), 0);
  EXPECT_EQ(Of("up", b_), 0);

  a_.Start();
  Await(2);
  EXPECT_EQ(Of("in_use", a_), 1);
}

}  // namespace
}  // namespace autoscale
