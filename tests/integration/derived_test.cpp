// Metrics made of others, in the real daemon: a past to learn from, and a model outside that
// misbehaves.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/fakes/http_server.h"
#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

class DerivedTest : public testing::Test {
 protected:
  // The service web, whose policy goes by `made`.
  void Serve(const std::string& made) {
    rig_.ConfigureDaemon("  made: {" + made + "}\n");  // of its `metrics`
    rig_.WriteService("web", "return scale_to(metric(\"made\").value, \"made\")\n", "max: 6\n");
    const std::string file = "services.d/web.yaml";
    std::string text = ReadWhole(rig_.folder() / file);
    const std::string shared = "load: shared";
    text.replace(text.find(shared), shared.size(), "load: shared, made: shared");
    rig_.Write(file, text);
    rig_.prometheus().Set("load", "web", 2);
    rig_.Start();
  }
  void AwaitSettled(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); }))
        << rig_.Ctl({"status", "web"}).out << rig_.Explain("web") << rig_.daemon().Errors();
  }
  void AwaitExplained(const std::vector<std::string>& words) {
    ASSERT_TRUE(Eventually([&] { return Says(rig_.Explain("web"), words); }))
        << rig_.Explain("web") << rig_.daemon().Errors();
  }

  DaemonRig rig_{1};
  FakeHttpServer model_;
};

// Seasons of a day whose course is a load of 2 now and 3.7 half an hour from now on.
TEST_F(DerivedTest, AForecastIsLearnedFromThePastAndScalesOut) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  rig_.prometheus().SetPast("load", [now](double at) {
    const double hours = std::fmod(at - now + 1000 * 86400.0, 86400.0) / 3600;
    return hours > 0.5 && hours < 12 ? 3.7 : 2.0;
  });
  Serve("forecast: load, horizon: 2h, method: profile");
  AwaitSettled(4);
  EXPECT_EQ(rig_.Service("web")["problem"], "");
  EXPECT_TRUE(Says(rig_.daemon().Errors(), {"a forecast is made", "profile"}));
  EXPECT_GE(rig_.Metric("autoscaled_forecasts_fitted_total"), 1);
}

TEST_F(DerivedTest, WithoutAPastThePresentStandsIn) {
  Serve("forecast: load, horizon: 2h");
  AwaitSettled(2);
  AwaitExplained({"made: too little history: 0.", "no data: the value is what"});
  EXPECT_TRUE(Says(rig_.Service("web")["problem"], {"metric 'made' is not learned yet"}));
  EXPECT_EQ(rig_.Metric("autoscaled_metric_substituted{service=\"web\",metric=\"made\"}"), 1);
}

TEST_F(DerivedTest, AModelThatMisbehavesIsReplacedByItsFallback) {
  const std::string path = "/predict";
  model_.Answer(path, R"({"services": {"web": 5}})");
  Serve("unit: count, predict: {url: \"" + model_.Url(path) +
        "\", every: 1s, timeout: 300ms, max_age: 2s, fallback: load}");
  AwaitSettled(5);
  EXPECT_TRUE(Says(model_.requests().front().body, {R"("service":"web")", R"("load":{"value":2)"}));

  using Ending = FakeAnswer::Ending;
  for (const FakeAnswer& answer :
       {FakeAnswer{.ending = Ending::kHang}, FakeAnswer{.body = "<html>"},
        FakeAnswer{.status = 500}, FakeAnswer{.body = "x", .ending = Ending::kEndless},
        FakeAnswer{.body = R"({"services": {"web": 5}})", .ending = Ending::kCut}}) {
    model_.Answer(path, answer);
    AwaitExplained({"fresh*", "made: the model: "});
    AwaitSettled(2);
    model_.Answer(path, R"({"services": {"web": 5}})");
    AwaitSettled(5);
  }
  model_.Answer(path, R"({"services": {"web": -5}})");
  AwaitExplained({"implausible", "the value -5 is below 0"});
  EXPECT_TRUE(rig_.Settled("web", 5));  // held
  model_.Stop();
  AwaitSettled(2);
}

}  // namespace
}  // namespace autoscale
