// Metrics made of others: what they are on each tick, and what becomes of them when their past or
// their model fails.
#include <cmath>
#include <limits>
#include <numbers>

#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

using std::chrono::minutes;

constexpr Millis kStep = minutes(5);
constexpr int kDay = 288;

// 2 at midnight, 8 at noon.
double Daily(int64_t slot) {
  return 5 - 3 * std::cos(2 * std::numbers::pi * static_cast<double>(slot % kDay) / kDay);
}

class DerivedTest : public ControllerTest {
 protected:
  DerivedTest() {
    metrics_.past = [](const RangeQuery& query) {
      RangeAnswer answer;
      auto& row = answer.rows.emplace_back();
      for (int i = 0; i < query.count; ++i) {
        row.values.push_back(static_cast<float>(Daily(query.first + i)));
      }
      return answer;
    };
  }

  // The service Web(), with one metric more, made of the load, that its policy goes by.
  ServiceSpec WithDerived(DerivedSpec derived) {
    ServiceSpec spec = Web("return scale_to(metric('made').value, 'made')");
    auto made = std::make_shared<MetricSpec>();
    made->name = "made";
    made->unit = Unit::kCount;
    made->may_be_negative = derived.kind == DerivedSpec::Kind::kAnomaly;
    derived.base = "load";
    made->derived = std::make_shared<DerivedSpec>(derived);
    spec.metrics.insert(spec.metrics.begin(), {.spec = made, .key = "", .base = 1});
    spec.declared.insert(spec.declared.begin(), {"made", Unit::kCount});
    return spec;
  }
  ServiceSpec Forecast(Millis horizon = std::chrono::hours(3)) {
    DerivedSpec derived;
    derived.horizon = horizon;
    return WithDerived(derived);
  }

  int64_t Slot() { return clock_.Now().time_since_epoch() / kStep; }
  // The load as it usually is now, scaled.
  void LoadIs(double times) { metrics_.Says("load", times * Daily(Slot())); }
  // To this hour of the day, in UTC.
  void GoToHour(int hour) {
    const auto day = std::chrono::floor<std::chrono::days>(clock_.Now()) + std::chrono::days(1);
    clock_.Advance(day + std::chrono::hours(hour) - clock_.Now());
  }
  const Sample& Made() { return samples().front(); }
  std::vector<Sample>& samples() {
    auto record = Ask([](Controller& c) { return c.Explain("web"); });
    samples_.clear();
    for (const NamedSample& named : record->samples) samples_.push_back(named.sample);
    return samples_;
  }
  std::vector<Sample> samples_;
};

TEST_F(DerivedTest, AForecastScalesOutBeforeTheLoadComes) {
  GoToHour(7);
  LoadIs(1);
  Start({Forecast()});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(Made().state, SampleState::kFresh);
  EXPECT_FALSE(Made().substituted);
  EXPECT_NEAR(Made().value, Daily(Slot() + 36), 0.2);
  EXPECT_EQ(Now().desired, std::ceil(Made().value));
  EXPECT_GT(Now().desired, std::ceil(Daily(Slot())));
  EXPECT_EQ(counters_.forecasts_fitted, 1u);
}

TEST_F(DerivedTest, AForecastIsNeverLessThanWhatIs) {
  GoToHour(15);  // from here it falls
  LoadIs(1);
  Start({Forecast(minutes(30))});
  for (int i = 0; i < 3; ++i) Tick();
  const double load = samples()[1].value;
  EXPECT_EQ(Made().value, load);
  EXPECT_FALSE(Made().substituted);
}

TEST_F(DerivedTest, ThePastIsAskedForOnceAndThenWhatIsNew) {
  GoToHour(7);
  LoadIs(1);
  Start({Forecast()});
  for (int i = 0; i < 5; ++i) Tick();
  int64_t asked = 0;
  for (const RangeQuery& query : metrics_.asked_ranges) {
    EXPECT_EQ(query.value, "load");
    EXPECT_EQ(query.step, kStep);
    asked += query.count;
  }
  EXPECT_EQ(asked, 14 * kDay);
  const size_t before = metrics_.asked_ranges.size();
  clock_.Advance(minutes(66));  // the refresh, and its jitter
  for (int i = 0; i < 3; ++i) Tick();
  ASSERT_EQ(metrics_.asked_ranges.size(), before + 1);
  EXPECT_LT(metrics_.asked_ranges.back().count, 30);  // what is new, and a little more
  EXPECT_EQ(counters_.forecasts_fitted, 2u);
}

TEST_F(DerivedTest, AfterAFailureThePastIsAskedForInSmallerPieces) {
  GoToHour(7);
  LoadIs(1);
  const auto whole = metrics_.past;
  metrics_.past = [&](const RangeQuery& query) -> Result<RangeAnswer> {
    if (query.count > 1500) return Error{ErrorKind::kUnavailable, "timed out after 5s"};
    return whole(query);
  };
  Start({Forecast()});
  for (int i = 0; i < 60; ++i) Tick();
  EXPECT_FALSE(Made().substituted);
  int64_t next = metrics_.asked_ranges.back().first + metrics_.asked_ranges.back().count;
  for (auto asked = metrics_.asked_ranges.rbegin(); asked->count <= 1500; ++asked) {
    EXPECT_EQ(asked->first + asked->count, next);  // one after the other
    next = asked->first;
  }
}

TEST_F(DerivedTest, AfterAnOutageThePastIsNotAskedForInCrumbs) {
  GoToHour(7);
  LoadIs(1);
  const auto whole = metrics_.past;
  bool away = true;
  metrics_.past = [&](const RangeQuery& query) -> Result<RangeAnswer> {
    if (away) return Error{ErrorKind::kUnavailable, "connection refused"};
    return whole(query);
  };
  Start({Forecast()});
  for (int i = 0; i < 60; ++i) Tick();
  away = false;
  const size_t failed = metrics_.asked_ranges.size();
  clock_.Advance(minutes(10));
  for (int i = 0; i < 30; ++i) Tick();
  EXPECT_FALSE(Made().substituted);
  EXPECT_LE(metrics_.asked_ranges.size() - failed, 8u);
}

TEST_F(DerivedTest, APastThatFailsLaterIsToldAndLearningGoesOn) {
  GoToHour(7);
  LoadIs(1);
  Start({Forecast()});
  for (int i = 0; i < 3; ++i) Tick();
  ASSERT_FALSE(Made().substituted);
  metrics_.past = [](const RangeQuery&) -> Result<RangeAnswer> {
    return Error{ErrorKind::kUnavailable, "prometheus: on fire"};
  };
  const uint64_t fitted = counters_.forecasts_fitted;
  clock_.Advance(minutes(66));
  LoadIs(1);
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_GT(counters_.forecasts_fitted, fitted);
  EXPECT_FALSE(Made().substituted);
  const auto views = Ask([](Controller& c) { return c.ReadServices(std::nullopt); });
  EXPECT_EQ(views->front().problem,
            "metric 'made': it is learned from this daemon's own ticks alone: its past cannot be "
            "had: prometheus: on fire");
}

TEST_F(DerivedTest, WhatAnEmptyAnswerMeansHoldsForThePast) {
  GoToHour(7);
  metrics_.Says("load", 5);
  const int64_t first = Slot() - 10 * kDay;
  // 100 by day; nothing at night, and nothing before the first day.
  metrics_.past = [first](const RangeQuery& query) {
    RangeAnswer answer;
    auto& row = answer.rows.emplace_back();
    for (int i = 0; i < query.count; ++i) {
      const int64_t slot = query.first + i;
      const bool day = slot % kDay >= kDay / 4 && slot % kDay < kDay / 4 * 3;
      row.values.push_back(slot >= first && day ? 100.0F : std::nanf(""));
    }
    return answer;
  };
  DerivedSpec derived;
  derived.horizon = std::chrono::hours(3);
  derived.method = ForecastMethod::kSeasonal;
  ServiceSpec spec = WithDerived(derived);
  auto base = std::make_shared<MetricSpec>(*spec.metrics[1].spec);
  base->missing.when_empty = 0;
  spec.metrics[1].spec = base;
  GoToHour(19);
  Start({spec});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_FALSE(Made().substituted);
  EXPECT_EQ(Made().value, 5) << "not the evening's 100 carried through the night";
}

TEST_F(DerivedTest, ATickDoesNotWaitForThePast) {
  metrics_.past = nullptr;  // range queries hang
  metrics_.Says("load", 3);
  Start({Forecast()});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(metrics_.held_ranges.size(), 1u);
  EXPECT_EQ(Now().desired, 3);
  EXPECT_EQ(Made().state, SampleState::kFresh);
  EXPECT_TRUE(Made().substituted);
  EXPECT_EQ(*Made().error, "its past has not come yet");
}

TEST_F(DerivedTest, WithoutAPastThePresentStandsInAndPeopleAreTold) {
  metrics_.past = [](const RangeQuery&) -> Result<RangeAnswer> {
    return Error{ErrorKind::kUnavailable, "prometheus: on fire"};
  };
  metrics_.Says("load", 3);
  Start({Forecast()});
  for (int i = 0; i < 60; ++i) Tick();
  EXPECT_EQ(Now().desired, 3);
  EXPECT_TRUE(Made().substituted);
  EXPECT_EQ(*Made().error, "its past cannot be had: prometheus: on fire");
  EXPECT_LT(metrics_.asked_ranges.size(), 6u);  // less and less often
  const auto views = Ask([](Controller& c) { return c.ReadServices(std::nullopt); });
  EXPECT_EQ(views->front().problem,
            "metric 'made' is not learned yet: its past cannot be had: prometheus: on fire");
  const auto gauges = [&] {
    std::vector<ServiceGauges> all;
    (void)Ask([&](Controller& c) -> Result<int> {
      all = c.Gauges();
      return 0;
    });
    return all;
  }();
  EXPECT_TRUE(gauges.front().metrics.front().substituted);
}

TEST_F(DerivedTest, TooLittleHistoryIsToldWithHowMuchIsNeeded) {
  metrics_.past = [this](const RangeQuery& query) {
    RangeAnswer answer;
    auto& row = answer.rows.emplace_back();
    for (int i = 0; i < query.count; ++i) {
      const bool there = query.first + i > Slot() - 24;
      row.values.push_back(there ? 3.0F : std::numeric_limits<float>::quiet_NaN());
    }
    return answer;
  };
  metrics_.Says("load", 3);
  Start({Forecast()});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_TRUE(Made().substituted);
  EXPECT_EQ(*Made().error, "too little history: 2.0 h of values, 2 seasons of 24.0 h are needed");
}

TEST_F(DerivedTest, AMetricThatIsNotUsableHasNoForecast) {
  GoToHour(7);
  LoadIs(1);
  Start({Forecast()});
  for (int i = 0; i < 3; ++i) Tick();
  const int before = Now().desired;
  metrics_.answers.erase("load");
  Tick();
  EXPECT_EQ(Made().state, SampleState::kError);
  EXPECT_EQ(*Made().error, "its metric 'load' is not usable (error): connection refused");
  EXPECT_EQ(Now().desired, before);
  metrics_.SaysNothing("load");
  Tick();
  EXPECT_EQ(Made().state, SampleState::kEmpty);
}

TEST_F(DerivedTest, WhatIsKnownSurvivesAReload) {
  GoToHour(7);
  LoadIs(1);
  Start({Forecast()});
  for (int i = 0; i < 3; ++i) Tick();
  const size_t asked = metrics_.asked_ranges.size();
  ServiceSpec changed = Forecast();
  changed.rules.bounds.max = 9;
  changed.content_hash = 1;
  loaded_.configuration.services = {changed};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
  Tick();
  EXPECT_FALSE(Made().substituted);
  EXPECT_EQ(metrics_.asked_ranges.size(), asked);
  // Another horizon is another forecast.
  changed = Forecast(minutes(10));
  changed.content_hash = 2;
  loaded_.configuration.services = {changed};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
  for (int i = 0; i < 2; ++i) Tick();
  EXPECT_GT(metrics_.asked_ranges.size(), asked);
  EXPECT_FALSE(Made().substituted);
}

TEST_F(DerivedTest, AnAnswerToAServiceThatIsGoneIsDropped) {
  metrics_.past = nullptr;
  metrics_.Says("load", 3);
  Start({Forecast()});
  Tick();
  ASSERT_EQ(metrics_.held_ranges.size(), 1u);
  ServiceSpec changed = Web();
  changed.content_hash = 1;
  loaded_.configuration.services = {changed};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
  metrics_.held_ranges.front()(RangeAnswer{});
  Tick();
  EXPECT_EQ(Now().desired, 3);
}

TEST_F(DerivedTest, AnOddValueIsTold) {
  GoToHour(7);
  LoadIs(1);
  DerivedSpec derived;
  derived.kind = DerivedSpec::Kind::kAnomaly;
  Start({WithDerived(derived)});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(Made().state, SampleState::kFresh);
  EXPECT_LT(std::abs(Made().value), 2);
  LoadIs(3);
  Tick();
  EXPECT_GT(Made().value, 5);
  LoadIs(0.1);
  Tick();
  EXPECT_LT(Made().value, -5);
}

TEST_F(DerivedTest, WithoutAPastNothingIsOdd) {
  metrics_.past = nullptr;
  metrics_.Says("load", 3);
  DerivedSpec derived;
  derived.kind = DerivedSpec::Kind::kAnomaly;
  Start({WithDerived(derived)});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(Made().state, SampleState::kEmpty);
  EXPECT_EQ(*Made().error, "its past has not come yet");
}

// --- Models outside ---

class ModelTest : public DerivedTest {
 protected:
  ServiceSpec Predicted(const std::string& fallback = "load") {
    DerivedSpec derived;
    derived.kind = DerivedSpec::Kind::kPredict;
    derived.url = "http://model/predict";
    ServiceSpec spec = WithDerived(derived);
    auto own = std::make_shared<MetricSpec>(*spec.metrics.front().spec);
    auto kept = std::make_shared<DerivedSpec>(*own->derived);
    kept->base = fallback;
    own->derived = kept;
    own->max_age = std::chrono::minutes(5);
    spec.metrics.front() = {.spec = own, .key = "", .base = fallback.empty() ? -1 : 1};
    return spec;
  }
};

TEST_F(ModelTest, ItsAnswerCountsFromTheNextTick) {
  metrics_.Says("load", 3);
  model_.Says(R"({"services": {"web": 6, "other": 9}})");
  Start({Predicted()});
  Tick();
  EXPECT_TRUE(Made().substituted);
  EXPECT_EQ(Made().value, 3);
  Tick();
  EXPECT_EQ(Made().value, 6);
  EXPECT_FALSE(Made().substituted);
  EXPECT_EQ(Now().desired, 6);
  ASSERT_EQ(model_.asked.size(), 1u);
  EXPECT_EQ(model_.asked[0].url, "http://model/predict");
  EXPECT_EQ(model_.asked[0].timeout, std::chrono::seconds(2));
  const std::string& body = model_.asked[0].body;
  EXPECT_TRUE(body.starts_with(
      R"({"now":1700000001,"horizon":600,"metric":"made","services":[{"service":"web",)"))
      << body;
  EXPECT_TRUE(body.ends_with(R"("metrics":{"load":{"value":3,"state":"fresh"}}}]})")) << body;
}

TEST_F(ModelTest, IsAskedForAllServicesAtOnceAndEveryMinute) {
  metrics_.Says("load", 3);
  model_.Says(R"({"services": {"web": 6, "web2": 7}})");
  ServiceSpec second = Predicted();
  second.name = "web2";
  second.gateways.clear();
  Start({Predicted(), second});
  for (int i = 0; i < 59; ++i) Tick();
  ASSERT_EQ(model_.asked.size(), 1u);
  EXPECT_NE(model_.asked[0].body.find(R"({"service":"web2",)"), std::string::npos);
  for (int i = 0; i < 5; ++i) Tick();
  EXPECT_EQ(model_.asked.size(), 2u);
  EXPECT_EQ(counters_.model_requests, 2u);
}

TEST_F(ModelTest, NobodyWaitsForOneThatHangs) {
  metrics_.Says("load", 3);
  Start({Predicted()});
  for (int i = 0; i < 130; ++i) Tick();
  EXPECT_EQ(Now().desired, 3);
  EXPECT_TRUE(Made().substituted);
  EXPECT_EQ(*Made().error, "the model has not answered yet");
  EXPECT_EQ(model_.asked.size(), 1u);  // not again while it has not given up
}

TEST_F(ModelTest, AnOldAnswerIsFollowedByTheFallback) {
  metrics_.Says("load", 3);
  model_.Says(R"({"services": {"web": 6}})");
  Start({Predicted()});
  for (int i = 0; i < 2; ++i) {
    Tick();
    MakeReady();
  }
  model_.answer = Error{ErrorKind::kUnavailable, "timed out after 2s"};
  for (int i = 0; i < 298; ++i) Tick();
  EXPECT_EQ(Made().value, 6);
  EXPECT_NEAR(*Made().age_s, 299, 2);
  for (int i = 0; i < 5; ++i) Tick();
  EXPECT_EQ(Made().value, 3);
  EXPECT_TRUE(Made().substituted);
  EXPECT_EQ(*Made().error, "the model: timed out after 2s");
  const auto views = Ask([](Controller& c) { return c.ReadServices(std::nullopt); });
  EXPECT_EQ(views->front().problem, "metric 'made': the model: timed out after 2s");
  model_.Says(R"({"services": {"web": 5}})");
  for (int i = 0; i < 61; ++i) Tick();
  EXPECT_EQ(Made().value, 5);
}

TEST_F(ModelTest, WithoutAFallbackItIsAnError) {
  metrics_.Says("load", 3);
  model_.Says("<html>", 502);
  Start({Predicted("")});
  for (int i = 0; i < 2; ++i) Tick();
  EXPECT_EQ(Made().state, SampleState::kError);
  EXPECT_EQ(*Made().error, "the model: answered with status 502");
  EXPECT_EQ(Now().desired, 1);  // the least; held there
}

TEST_F(ModelTest, NonsenseIsNotBelieved) {
  const std::vector<std::pair<std::string, SampleState>> cases = {
      {R"({"services": {"web": -4}})", SampleState::kImplausible},
      {R"({"services": {"web": 1e30}})", SampleState::kImplausible},
      {R"({"services": {"web": "7"}})", SampleState::kNaN},
      {R"({"services": {"web": [1]}})", SampleState::kNaN},
      {R"({"services": {"web": null}})", SampleState::kFresh},  // the fallback
      {R"({"services": [7]})", SampleState::kFresh},
      {R"({"services": {"web": 7)", SampleState::kFresh},
      {R"([])", SampleState::kFresh},
      {"", SampleState::kFresh},
  };
  metrics_.Says("load", 3);
  Start({Predicted()});
  for (const auto& [body, state] : cases) {
    model_.Says(R"({"services": {"web": null}})");
    clock_.Advance(std::chrono::minutes(6));  // what it said before is too old
    Tick();
    model_.Says(body);
    for (int i = 0; i < 62; ++i) Tick();
    EXPECT_EQ(Made().state, state) << body;
    EXPECT_EQ(Made().substituted, state == SampleState::kFresh) << body;
  }
}

}  // namespace
}  // namespace autoscale
