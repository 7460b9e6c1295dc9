// The shipped policies: what each decides, and that none shrinks a service for want of data.
#include <gtest/gtest.h>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

TEST(CpuTarget, ToleratesMoreOnTheWayIn) {
  PolicyRig rig("policies/cpu_target.lua");
  rig.Metric("cpu", Unit::kRatio).Has(10);
  EXPECT_EQ(rig.Value("cpu", 0.66).Wants(), 10);  // 1.1
  EXPECT_EQ(rig.Value("cpu", 0.68).Wants(), 12);  // 0.68 / 0.6 × 10 = 11.3
  EXPECT_EQ(rig.Value("cpu", 0.48).Wants(), 10);  // 0.8
  EXPECT_EQ(rig.Value("cpu", 0.42).Wants(), 7);
}

TEST(QueueDepth, SharesAndGoesToZeroOnlyWhereItMay) {
  PolicyRig rig("policies/queue_depth.lua");
  rig.Metric("queue", Unit::kCount).Param("per_instance", 20.0).Has(2);
  EXPECT_EQ(rig.Value("queue", 95).Wants(), 5);  // 4.75
  rig.Has(5).Value("queue", 0);
  EXPECT_EQ(rig.Wants(), 1);
  EXPECT_EQ(rig.Lasts(300).Wants(), 0);
  EXPECT_EQ(rig.Min(1).Has(5).Wants(), 0);  // the bounds keep one
  EXPECT_EQ(rig.last().decision.desired, 1);
}

PolicyRig Latency() {
  PolicyRig rig("policies/latency_slo.lua");
  rig.Metric("latency", Unit::kSeconds).Metric("cpu", Unit::kRatio).Param("slo", 0.25);
  rig.Has(8).Value("cpu", 0.5);
  return rig;
}

TEST(LatencySlo, OutInSteps) {
  PolicyRig rig = Latency();
  EXPECT_EQ(rig.Value("latency", 0.4).Wants(), 8);
  EXPECT_EQ(rig.After(15).Wants(), 10);             // 25 % of 8
  EXPECT_EQ(rig.Has(10, 8).After(15).Wants(), 10);  // still starting
  EXPECT_EQ(rig.Has(10).After(15).Wants(), 13);     // 25 % of 10: 3
}

TEST(LatencySlo, InOneByOneWhereTheRestIsNotTooBusy) {
  PolicyRig rig = Latency();
  EXPECT_EQ(rig.Value("latency", 0.1).Wants(), 8);
  EXPECT_EQ(rig.Lasts(600).Wants(), 7);  // 0.5 × 8 / 7 = 0.57
  EXPECT_EQ(rig.Has(7).After(15).Wants(), 7);
  EXPECT_EQ(rig.Lasts(600).Value("cpu", 0.65).Wants(), 7);  // 0.65 × 7 / 6 = 0.76
  EXPECT_EQ(rig.Value("cpu", 0.59).Wants(), 6);             // 0.69
}

// What was not seen for an hour was not fast for an hour.
TEST(LatencySlo, AnOutageIsNoTimeInWhichItWasFast) {
  PolicyRig rig = Latency();
  rig.Param("idle", 3600.0).Value("latency", 0.1);
  EXPECT_EQ(rig.Lasts(60).Wants(), 8);
  rig.Is("latency", SampleState::kError).Lasts(6300).Run();
  rig.Value("latency", 0.1);
  EXPECT_EQ(rig.After(15).Wants(), 8);
  EXPECT_EQ(rig.Lasts(3585).Wants(), 8);
  EXPECT_EQ(rig.After(15).Wants(), 7);
}

TEST(Thresholds, UpAboveDownBelow) {
  PolicyRig rig("policies/thresholds.lua");
  rig.Metric("cpu", Unit::kPercent).Has(4);
  EXPECT_EQ(rig.Value("cpu", 75).Wants(), 4);
  EXPECT_EQ(rig.Value("cpu", 76).Wants(), 5);
  EXPECT_EQ(rig.Value("cpu", 30).Wants(), 4);
  EXPECT_EQ(rig.Value("cpu", 29).Wants(), 3);
  EXPECT_EQ(rig.Has(5, 4).Value("cpu", 90).Wants(), 5);
}

TEST(Thresholds, ForSeveralSamples) {
  PolicyRig rig("policies/thresholds.lua");
  rig.Metric("cpu", Unit::kPercent).Param("samples", 3.0).Has(4).Value("cpu", 90);
  EXPECT_EQ(rig.Wants(), 4);
  EXPECT_EQ(rig.Wants(), 4);
  EXPECT_EQ(rig.Wants(), 5);
}

TEST(Thresholds, ALevelThatDoesNotFitIsRefused) {
  PolicyRig rig("policies/thresholds.lua");
  rig.Metric("cpu", Unit::kRatio).Has(4).Value("cpu", 0.9);
  const std::string wanted = "above 75 does not fit metric 'cpu', whose unit is ratio (0.75?)";
  EXPECT_NE(rig.Why().find(wanted), std::string::npos);
  const ServiceSpec& service = rig.service();
  const auto loaded = PolicyHost(PolicyLimits{}).Check(*service.policy, SnapshotOf(service));
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find(wanted), std::string::npos) << loaded.error().message;
}

PolicyRig Guarded() {
  PolicyRig rig("policies/error_guarded.lua");
  rig.Metric("cpu", Unit::kRatio).Metric("errors", Unit::kRatio).Has(10);
  rig.Value("cpu", 0.3).Value("errors", 0);
  return rig;
}

TEST(ErrorGuarded, HoldsWhileRequestsFail) {
  PolicyRig rig = Guarded();
  EXPECT_EQ(rig.Value("errors", 0.06).Value("cpu", 0.1).Wants(), 10);
  EXPECT_EQ(rig.Value("cpu", 0.9).Wants(), 10);
  EXPECT_EQ(rig.Value("errors", 0.01).Wants(), 15);
  EXPECT_EQ(rig.After(15).Value("cpu", 0.3).Wants(), 10);  // not calm for long enough
  EXPECT_EQ(rig.Lasts(285).Wants(), 5);
}

PolicyRig Predictive() {
  PolicyRig rig("policies/predictive.lua");
  rig.Metric("arrivals", Unit::kPerSecond).Metric("forecast", Unit::kPerSecond);
  rig.Param("target_rps", 100.0).Has(5).Value("arrivals", 500).Value("forecast", 500);
  return rig;
}

TEST(Predictive, TheLargerOfBothWins) {
  EXPECT_EQ(Predictive().Wants(), 5);
  EXPECT_EQ(Predictive().Value("forecast", 800).Wants(), 8);
  EXPECT_EQ(Predictive().Value("arrivals", 900).Wants(), 9);
  EXPECT_EQ(Predictive().Value("forecast", 9000).Wants(), 15);  // trusted up to 3 × 500
}

TEST(Predictive, AForecastNeverScalesInAlone) {
  EXPECT_EQ(Predictive().Value("forecast", 100).Wants(), 5);
  EXPECT_EQ(Predictive().Value("forecast", 100).Is("arrivals", SampleState::kError).Wants(), 5);
  EXPECT_EQ(Predictive().Value("forecast", 300).Value("arrivals", 200).Wants(), 3);
  EXPECT_EQ(Predictive().Value("forecast", 500).Value("arrivals", 200).Wants(), 5);
}

TEST(Predictive, IsNeverNeeded) {
  EXPECT_EQ(Predictive().Is("forecast", SampleState::kEmpty).Value("arrivals", 200).Wants(), 2);
  EXPECT_EQ(Predictive().Is("forecast", SampleState::kError).Value("arrivals", 900).Wants(), 9);
  PolicyRig rig = Predictive();
  rig.Run();
  EXPECT_EQ(rig.Value("forecast", 800).Is("arrivals", SampleState::kError).Wants(), 8);
}

// 150 a second arrive, the forecast falls from 400: what it asks for is obeyed on the way down too.
TEST(Predictive, AFallingForecastNeverAddsAgain) {
  PolicyRig rig("policies/predictive.lua");
  rig.Metric("arrivals", Unit::kPerSecond).Metric("forecast", Unit::kPerSecond);
  rig.Param("target_rps", 50.0).Has(8).Value("arrivals", 150);
  int before = 8;
  for (int forecast = 400; forecast >= 150; forecast -= 5) {
    const int desired = rig.After(15).Value("forecast", forecast).Acts();
    EXPECT_LE(desired, before) << forecast;
    EXPECT_GE(desired * 50 * 1.1, forecast) << forecast;
    before = desired;
  }
  EXPECT_EQ(before, 3);
}

TEST(Predictive, TrustDoesNotGrowWhileArrivalsAreUnknown) {
  PolicyRig rig = Predictive();
  EXPECT_EQ(rig.Acts(), 5);
  rig.Value("forecast", 1e6).Is("arrivals", SampleState::kError);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rig.After(15).Acts(), 15) << i;  // 3 × 500
  PolicyRig other = Predictive();  // nothing ever arrived: nothing bounds the forecast
  EXPECT_EQ(other.Value("forecast", 800).Is("arrivals", SampleState::kError).Wants(), 5);
}

PolicyRig Llm() {
  PolicyRig rig("policies/llm_inference.lua");
  rig.Metric("running", Unit::kCount).Metric("waiting", Unit::kCount);
  rig.Metric("first_token", Unit::kSeconds);
  rig.Has(4).Value("running", 60).Value("waiting", 0).Value("first_token", 0.5);
  return rig;
}

TEST(LlmInference, TakesLoadWhereItWillBeAfterAStart) {
  PolicyRig rig = Llm();
  EXPECT_EQ(rig.Wants(), 4);  // 60 / 16 = 3.75
  EXPECT_EQ(rig.Value("waiting", 20).Wants(), 5);
  rig = Llm();
  rig.Wants();
  // 60 to 64 in 15 s: 4 / 15 a second × 240 s = 64 more in a start; 128 / 16 = 8.
  EXPECT_EQ(rig.After(15).Value("running", 64).Wants(), 8);
}

TEST(LlmInference, OneMoreWhenTheFirstTokenIsLate) {
  PolicyRig rig = Llm();
  EXPECT_EQ(rig.Value("first_token", 3).Wants(), 4);
  EXPECT_EQ(rig.After(15).Wants(), 5);
  EXPECT_EQ(rig.Has(5, 4).After(15).Wants(), 5);  // four minutes to wait
}

TEST(LlmInference, InOneByOneAfterHalfAnHour) {
  PolicyRig rig = Llm();
  rig.Value("running", 10);
  EXPECT_EQ(rig.Wants(), 4);
  for (int i = 0; i < 119; ++i) EXPECT_EQ(rig.After(15).Wants(), 4);
  EXPECT_EQ(rig.After(15).Wants(), 3);
  EXPECT_EQ(rig.After(15).Wants(), 3);  // as long as it is held back
  EXPECT_EQ(rig.Has(3).After(15).Wants(), 3);
}

TEST(LlmInference, LeavesZeroWhereWhatWaitsIsKnown) {
  PolicyRig rig = Llm();
  rig.Is("running", SampleState::kEmpty).Is("first_token", SampleState::kEmpty).Has(0);
  EXPECT_EQ(rig.Wants(), 0);
  EXPECT_EQ(rig.After(15).Value("waiting", 1).Wants(), 1);
  EXPECT_EQ(rig.Has(1, 0).After(600).Value("waiting", 40).Wants(), 3);  // the first is starting
  // None that serves is no reason to remove those that start.
  rig.Has(3, 0).Value("waiting", 0);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(rig.After(15).Wants(), 3) << i;
}

struct ShippedCase {
  const char* file;
  std::vector<std::pair<const char*, Unit>> metrics;
  Params params;
};
const ShippedCase kShipped[] = {
    {"cpu_target", {{"cpu", Unit::kRatio}}, {}},
    {"latency_slo", {{"latency", Unit::kSeconds}, {"cpu", Unit::kRatio}}, {{"slo", 0.2}}},
    {"requests_per_instance", {{"arrivals", Unit::kPerSecond}}, {{"target_rps", 10.0}}},
    {"queue_depth", {{"queue", Unit::kCount}}, {{"per_instance", 10.0}}},
    {"llm_inference",
     {{"running", Unit::kCount}, {"waiting", Unit::kCount}, {"first_token", Unit::kSeconds}},
     {}},
    {"error_guarded", {{"cpu", Unit::kRatio}, {"errors", Unit::kRatio}}, {}},
    {"predictive",
     {{"arrivals", Unit::kPerSecond}, {"forecast", Unit::kPerSecond}},
     {{"target_rps", 10.0}}},
    {"thresholds", {{"cpu", Unit::kPercent}}, {}},
    {"hpa", {{"cpu", Unit::kRatio}}, {{"metrics", std::string("cpu")}, {"cpu_target", 0.6}}},
    {"keda",
     {{"queue", Unit::kCount}},
     {{"triggers", std::string("queue")}, {"queue_threshold", 10.0}}},
};

PolicyRig RigOf(const ShippedCase& shipped) {
  PolicyRig rig(std::string("policies/") + shipped.file + ".lua");
  rig.service().params = shipped.params;
  for (const auto& [name, unit] : shipped.metrics) rig.Metric(name, unit).Value(name, 0.001);
  return rig;
}

// Each with its metrics well, then one after the other (or all) in each state of trouble, having
// asked for a scale-in before.
TEST(Shipped, MissingDataNeverShrinks) {
  for (const ShippedCase& shipped : kShipped) {
    for (size_t failing = 0; failing <= shipped.metrics.size(); ++failing) {
      for (const SampleState state :
           {SampleState::kStale, SampleState::kEmpty, SampleState::kNaN, SampleState::kError,
            SampleState::kPartial, SampleState::kImplausible}) {
        if (std::string(shipped.file) == "predictive" && failing == 1) continue;  // not needed
        PolicyRig rig = RigOf(shipped);
        rig.Has(10).Run();
        EXPECT_NE(rig.last().proposal.cause, HoldCause::kFault) << rig.last().proposal.reason;
        for (size_t i = 0; i < shipped.metrics.size(); ++i) {
          if (i == failing || failing == shipped.metrics.size()) {
            rig.Is(shipped.metrics[i].first, state);
          }
        }
        for (int i = 0; i < 5; ++i) {
          EXPECT_GE(rig.After(1000).Wants(), 10)
              << shipped.file << " " << failing << ": " << rig.last().proposal.reason;
        }
      }
    }
  }
}

// One metric rising from nothing to far too much, the others as they are, each in a new service.
TEST(Shipped, MoreLoadNeverWantsFewer) {
  for (const ShippedCase& shipped : kShipped) {
    if (std::string(shipped.file) == "error_guarded") continue;  // more errors hold
    for (const auto& [name, unit] : shipped.metrics) {
      const double most = unit == Unit::kRatio ? 1.5 : unit == Unit::kPercent ? 150 : 500;
      for (const auto& [desired, ready] : {std::pair{10, 10}, {10, 7}, {3, 5}, {1, 1}, {1, 0}}) {
        int before = 0;
        for (int step = 0; step <= 20; ++step) {
          PolicyRig rig = RigOf(shipped);
          const int wanted = rig.Has(desired, ready).Value(name, most * step / 20).Wants();
          EXPECT_GE(wanted, before) << shipped.file << ": " << name << " " << most * step / 20
                                    << ": " << rig.last().proposal.reason;
          before = wanted;
        }
      }
    }
  }
}

// Metrics by instance, some without data, some not ready: the state and the answer are the same
// each time, and a part of the data never wants more of a scale-in than all of it.
TEST(Shipped, LessDataNeverCutsMore) {
  for (const char* file : {"cpu_target", "error_guarded", "hpa"}) {
    for (int reporting = 1; reporting <= 10; reporting += 3) {
      for (int level = 1; level < 30; level += 3) {
        const auto wants = [&](int n) {
          PolicyRig rig(std::string("policies/") + file + ".lua");
          rig.Metric("cpu", Unit::kRatio).Metric("errors", Unit::kRatio).Value("errors", 0);
          rig.Param("metrics", std::string("cpu")).Param("cpu_target", 0.6).Param("calm", 0.0);
          rig.Has(10).Each("cpu", std::vector<double>(static_cast<size_t>(n), level / 50.0));
          return rig.Wants();
        };
        EXPECT_GE(wants(reporting), wants(10)) << file << " " << reporting << " " << level;
      }
    }
  }
}

}  // namespace
}  // namespace autoscale
