// Derived metrics: what is read of them, and each fault at its line.
#include <set>

#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Texts = std::vector<std::string>;

// Line 6 on: the metrics of a case.
constexpr char kService[] =
    "service: web\n"
    "policy: ../p.lua\n"
    "max: 4\n"
    "provider: {type: fake}\n"
    "metrics:\n";
constexpr char kArrivals[] =
    "  arrivals: {query: a, unit: per_second, series: a, max_age: 30s, negative: true, "
    "spread: true}\n";

class Derived : public ::testing::Test {
 protected:
  Derived() {
    files_.Write("p.lua", "return hold()\n");
    Daemon("");
  }
  void Daemon(const std::string& text) {
    files_.Write("d.yaml", "prometheus: {url: \"http://127.0.0.1:9090\"}\n" + text);
  }
  ServiceSpec Service(const std::string& metrics) {
    files_.Write("services.d/s.yaml", kService + metrics);
    LoadResult result = LoadConfiguration(files_.Path("d.yaml"), FakeAdapters());
    EXPECT_EQ(files_.Texts(result.diagnostics), Texts{});
    EXPECT_EQ(result.configuration.services.size(), 1u);
    return std::move(result.configuration.services.front());
  }
  // The faults of a metric on line 7, after the arrivals.
  Texts Faults(const std::string& metric) {
    files_.Write("services.d/s.yaml", std::string(kService) + kArrivals + "  " + metric + "\n");
    Texts texts =
        files_.Texts(LoadConfiguration(files_.Path("d.yaml"), FakeAdapters()).diagnostics);
    std::sort(texts.begin(), texts.end());
    return texts;
  }
  Files files_;
};

TEST_F(Derived, AForecastIsReadAndInherits) {
  const ServiceSpec service = Service(
      std::string("  soon: {forecast: arrivals, horizon: 20m, season: 7d, history: 21d, step: 10m, "
                  "method: profile, refresh: 2h}\n") +
      kArrivals);
  ASSERT_EQ(service.metrics.size(), 2u);
  const MetricUse& use = service.metrics[0];
  EXPECT_EQ(use.base, 1);
  EXPECT_EQ(service.metrics[1].base, -1);
  EXPECT_EQ(use.spec->unit, Unit::kPerSecond);
  EXPECT_EQ(service.declared[0].unit, Unit::kPerSecond);
  EXPECT_TRUE(use.spec->may_be_negative);
  EXPECT_TRUE(use.spec->spread);
  EXPECT_TRUE(service.declared[0].spread);
  const DerivedSpec& derived = *use.spec->derived;
  EXPECT_EQ(derived.kind, DerivedSpec::Kind::kForecast);
  EXPECT_EQ(derived.horizon, minutes(20));
  EXPECT_EQ(derived.season, hours(168));
  EXPECT_EQ(derived.history, hours(504));
  EXPECT_EQ(derived.step, minutes(10));
  EXPECT_EQ(derived.method, ForecastMethod::kProfile);
  EXPECT_EQ(derived.refresh, hours(2));
}

TEST_F(Derived, DefaultsStandWhereNothingIsSaid) {
  const ServiceSpec service = Service(std::string(kArrivals) +
                                      "  soon: {forecast: arrivals, method: auto}\n"
                                      "  odd: {anomaly: arrivals, season: 14d}\n");
  const DerivedSpec& soon = *service.metrics[1].spec->derived;
  EXPECT_EQ(soon.horizon, minutes(10));
  EXPECT_EQ(soon.season, hours(24));
  EXPECT_EQ(soon.history, hours(24 * 14));
  EXPECT_EQ(soon.step, minutes(5));
  EXPECT_EQ(soon.refresh, hours(1));
  EXPECT_EQ(soon.method, std::nullopt);
  EXPECT_EQ(service.metrics[2].spec->derived->history, hours(24 * 28));  // two seasons
}

TEST_F(Derived, AnAnomalyIsACountThatMayBeNegative) {
  const ServiceSpec service =
      Service("  errors: {query: e, unit: ratio, series: e}\n  odd: {anomaly: errors}\n");
  EXPECT_EQ(service.metrics[1].spec->unit, Unit::kCount);
  EXPECT_TRUE(service.metrics[1].spec->may_be_negative);
  EXPECT_EQ(service.metrics[1].base, 0);
}

TEST_F(Derived, AModelOutsideIsRead) {
  files_.Write("token", "s3cret\n");
  const ServiceSpec service = Service(
      std::string(kArrivals) +
      "  modelled:\n    unit: per_second\n    predict: {url: \"http://127.0.0.1:8000/predict\", "
      "timeout: 3s, every: 30s, max_age: 4m, fallback: arrivals, horizon: 15m, bearer_token: "
      "{file: ../token}}\n"
      "  alone: {predict: {url: \"https://models:8443\", username: u, password: {env: P}}, unit: "
      "count}\n");
  const MetricUse& use = service.metrics[1];
  EXPECT_EQ(use.base, 0);
  EXPECT_EQ(use.spec->unit, Unit::kPerSecond);
  EXPECT_EQ(use.spec->max_age, minutes(4));
  const DerivedSpec& derived = *use.spec->derived;
  EXPECT_EQ(derived.url, "http://127.0.0.1:8000/predict");
  EXPECT_EQ(derived.timeout, seconds(3));
  EXPECT_EQ(derived.every, seconds(30));
  EXPECT_EQ(derived.horizon, minutes(15));
  EXPECT_EQ(derived.credentials.bearer_token->name, files_.Path("token"));
  EXPECT_EQ(service.metrics[2].base, -1);
  EXPECT_EQ(service.metrics[2].spec->max_age, minutes(5));
  EXPECT_EQ(service.metrics[2].spec->derived->credentials.username, "u");
}

TEST_F(Derived, SharedOnesAreSharedAndInheritFromWhoeverUsesThem) {
  Daemon(
      "metrics:\n"
      "  soon: {forecast: arrivals}\n"
      "  arrivals: {query: a, unit: count, series: a, match: {service: \"{{service}}\"}}\n");
  files_.Write("services.d/a.yaml",
               "service: a\npolicy: ../p.lua\nmax: 4\nprovider: {type: fake}\n"
               "metrics: {arrivals: shared, soon: shared}\n");
  files_.Write("services.d/b.yaml",
               "service: b\npolicy: ../p.lua\nmax: 4\nprovider: {type: fake}\n"
               "metrics: {arrivals: shared, soon: shared}\n");
  files_.Write("services.d/c.yaml",
               "service: c\npolicy: ../p.lua\nmax: 4\nprovider: {type: fake}\n"
               "metrics: {soon: shared, arrivals: {query: b, unit: ratio, series: b}}\n");
  LoadResult result = LoadConfiguration(files_.Path("d.yaml"), FakeAdapters());
  ASSERT_EQ(files_.Texts(result.diagnostics), Texts{});
  const auto& services = result.configuration.services;
  EXPECT_EQ(services[0].metrics[1].spec, services[1].metrics[1].spec);
  EXPECT_EQ(services[0].metrics[1].spec->unit, Unit::kCount);
  EXPECT_EQ(services[2].metrics[0].spec->unit, Unit::kRatio);
  EXPECT_EQ(services[2].metrics[0].base, 1);
}

TEST_F(Derived, TheContentHashChangesWithThem) {
  const auto hash = [&](const std::string& soon) {
    Daemon("metrics:\n  soon: " + soon + "\n");
    return Service(std::string(kArrivals) + "  soon: shared\n").content_hash;
  };
  const std::set<uint64_t> hashes = {
      hash("{forecast: arrivals}"),
      hash("{forecast: arrivals, horizon: 20m}"),
      hash("{forecast: arrivals, method: naive}"),
      hash("{anomaly: arrivals}"),
      hash("{predict: {url: \"http://a\"}, unit: per_second}"),
      hash("{predict: {url: \"http://b\"}, unit: per_second}"),
      hash("{predict: {url: \"http://b\", bearer_token: {env: T}}, unit: per_second}"),
  };
  EXPECT_EQ(hashes.size(), 7u);
}

TEST_F(Derived, FaultsAreReportedAtTheirLines) {
  const std::string at = "services.d/s.yaml:7: ";
  const std::vector<std::pair<std::string, Texts>> cases = {
      {"m: {forecast: arivals}",
       {at + "metric 'm' is made of 'arivals', which this service does not declare; did you mean "
             "'arrivals'?"}},
      {"m: {anomaly: latency}",
       {at + "metric 'm' is made of 'latency', which this service does not declare; declare it "
             "here too"}},
      {"m: {forecast: m}",
       {at + "metric 'm' is made of 'm', which is derived itself; name a metric that Prometheus is "
             "asked for"}},
      {"m: {forecast: arrivals, query: q}",
       {at +
        "'query' has no place beside 'forecast': it is a matter of the metric that this one is "
        "made of"}},
      {"m: {forecast: arrivals, unit: count}",
       {at + "'unit' has no place beside 'forecast': a forecast has the unit of its metric"}},
      {"m: {anomaly: arrivals, horizon: 5m}",
       {at + "unknown key 'horizon'; known here: anomaly, season, history, step, refresh"}},
      {"m: {forecast: arrivals, anomaly: arrivals}",
       {at + "a metric says 'forecast' or 'anomaly', not both"}},
      {"m: {forecast: arrivals, season: 7m}",
       {at + "'season' (7m) must be a multiple of 'step' (5m)"}},
      {"m: {forecast: arrivals, season: 10m}",
       {at + "'season' (10m) must hold at least 4 steps of 5m"}},
      {"m: {forecast: arrivals, history: 1d}",
       {at + "'history' (1d) must hold at least two seasons of 1d: one to learn from, one to test "
             "on"}},
      {"m: {forecast: arrivals, step: 1m}",
       {at + "'history' (14d) holds more than 10000 steps of 1m; shorten it or lengthen the step"}},
      {"m: {forecast: arrivals, horizon: 2h, season: 1h}",
       {at + "'horizon' (2h) reaches beyond 'season' (1h)"}},
      {"m: {forecast: arrivals, method: arima}",
       {at + "'metrics.m.method' must be auto, naive, seasonal or profile, not 'arima'"}},
      {"m: {predict: {url: \"http://h\", fallback: arrivals}, unit: seconds}",
       {at + "metric 'm' is in seconds and its fallback 'arrivals' in per_second; name one of the "
             "same unit"}},
      {"m: {predict: {url: \"http://h\"}}",
       {at + "'unit' is missing: ratio, percent, seconds, per_second or count"}},
      {"m: {predict: {url: \"ftp://h\"}, unit: count}",
       {at +
        "'predict.url' must be http://HOST:PORT or https://HOST:PORT, with a path or without"}},
      {"m: {predict: {url: \"http://h\", every: 10m}, unit: count}",
       {at + "'max_age' (5m) is shorter than 'every' (10m): an answer would be too old before the "
             "next one comes"}},
      {"m: {predict: {url: \"http://h\", username: u}, unit: count}",
       {at + "'predict.username' and 'predict.password' go together; give both or neither"}},
      {"m: {predict: {url: \"http://h\"}, unit: count, series: s}",
       {at + "'series' has no place beside 'predict': the model outside is what is asked"}},
  };
  for (const auto& [metric, faults] : cases) EXPECT_EQ(Faults(metric), faults) << metric;
}

TEST_F(Derived, AValueForEachInstanceHasNoForecast) {
  EXPECT_EQ(
      Faults("cpu: {query: c, unit: ratio, series: c, per_instance: {label: i}}\n"
             "  soon: {forecast: cpu}"),
      (Texts{"services.d/s.yaml:8: metric 'soon' is made of 'cpu', which has a value for each "
             "instance; aggregate them in its query"}));
}

}  // namespace
}  // namespace autoscale
