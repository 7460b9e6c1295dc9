#include "simulator/simulation.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

class SimulationTest : public ::testing::Test {
 protected:
  SimulationTest() {
    service_.name = "web";
    service_.interval = std::chrono::seconds(15);
    service_.rules.bounds = {.min = 1, .max = 10};
    service_.rules.down.stabilization = std::chrono::seconds(0);
    Declare("cpu", Unit::kRatio);
    Policy("return track(metric \"cpu\", 0.5)");
  }

  void Declare(const std::string& name, Unit unit) {
    auto spec = std::make_shared<MetricSpec>();
    spec->name = name;
    spec->unit = unit;
    service_.metrics.push_back({.spec = spec, .key = {}});
    service_.declared.push_back({.name = name, .unit = unit});
  }
  void Policy(const std::string& text) {
    service_.policy = std::make_shared<PolicySource>(
        PolicySource{.path = "web.lua", .text = text, .hash = std::hash<std::string>()(text)});
  }
  Simulation Start(int desired, Millis delay = Millis(0)) {
    return {
        host_, service_, {.start = FromUnixSeconds(1e9), .desired = desired, .start_delay = delay}};
  }
  static Simulation::Load Total(double total) {
    return [total](TimePoint, const Capacity& capacity) {
      return std::map<std::string, Sample>{{"cpu", SpreadSample(total, capacity.ready)}};
    };
  }
  static Simulation::Load Constant(double value) {
    return [value](TimePoint, const Capacity&) {
      return std::map<std::string, Sample>{{"cpu", FreshSample(value)}};
    };
  }

  PolicyHost host_{PolicyLimits{}};
  ServiceSpec service_;
};

TEST_F(SimulationTest, ASpreadLoadFindsItsCapacityAndStays) {
  Simulation simulation = Start(2);
  simulation.Tick(Total(3.0));  // 1.5 each: 2 * 1.5 / 0.5 = 6
  EXPECT_EQ(simulation.last().outcome.decision.desired, 6);
  for (int i = 0; i < 10; ++i) simulation.Tick(Total(3.0));  // 0.5 each
  EXPECT_EQ(simulation.CapacityAt(simulation.next()).ready, 6);
  EXPECT_EQ(simulation.totals().changes, 1);
  EXPECT_EQ(simulation.totals().highest, 6);
  EXPECT_EQ(simulation.totals().lowest, 2);
  EXPECT_DOUBLE_EQ(simulation.totals().instance_seconds, 11 * 6 * 15);
}

TEST_F(SimulationTest, InstancesAreReadyAfterTheStartDelay) {
  Simulation simulation = Start(2, std::chrono::seconds(40));
  simulation.Tick(Constant(0.9));  // ceil(2 * 1.8) = 4
  EXPECT_EQ(simulation.last().outcome.decision.desired, 4);
  simulation.Tick(Constant(0.9));  // + 15 s
  EXPECT_EQ(simulation.last().capacity.ready, 2);
  EXPECT_EQ(simulation.last().capacity.pending(), 2);
  simulation.Tick(Constant(0.9));  // + 30 s
  EXPECT_EQ(simulation.last().capacity.ready, 2);
  simulation.Tick(Constant(0.5));  // + 45 s
  EXPECT_EQ(simulation.last().capacity.ready, 4);
}

TEST_F(SimulationTest, WhatStillStartsLeavesFirst) {
  Policy("return scale_to(param \"n\")");
  service_.params["n"] = 6.0;
  Simulation simulation = Start(2, std::chrono::minutes(10));
  simulation.Tick(Constant(0.5));
  service_.params["n"] = 3.0;
  service_.rules.down.max_step_percent = 0;
  simulation.Tick(Constant(0.5));
  Capacity now = simulation.CapacityAt(simulation.next());
  EXPECT_EQ(now.desired, 3);
  EXPECT_EQ(now.ready, 2);
  service_.params["n"] = 1.0;
  simulation.Tick(Constant(0.5));
  now = simulation.CapacityAt(simulation.next());
  EXPECT_EQ(now.desired, 1);
  EXPECT_EQ(now.ready, 1);
}

TEST_F(SimulationTest, WindowsAndStateLastFromTickToTick) {
  Policy("state.n = (state.n or 0) + 1; return scale_to(10 - state.n, 'n ' .. state.n)");
  service_.rules.down.stabilization = std::chrono::seconds(30);
  Simulation simulation = Start(9);
  for (int i = 0; i < 3; ++i) simulation.Tick(Constant(0.5));
  EXPECT_EQ(simulation.last().outcome.proposal.reason, "n 3");
  EXPECT_EQ(simulation.last().outcome.decision.desired, 8);  // 8 and 7 within 30 s
  simulation.Tick(Constant(0.5));
  EXPECT_EQ(simulation.last().outcome.decision.desired, 7);
}

TEST_F(SimulationTest, MissingDataHoldsAndNobodyReportsForNoInstance) {
  Simulation simulation = Start(4);
  simulation.Tick([](TimePoint, const Capacity&) { return std::map<std::string, Sample>{}; });
  EXPECT_EQ(simulation.last().outcome.proposal.cause, HoldCause::kMetric);
  EXPECT_EQ(simulation.last().outcome.decision.desired, 4);
  EXPECT_EQ(SpreadSample(3, 0).state, SampleState::kEmpty);
}

TEST_F(SimulationTest, FaultsAreCounted) {
  Policy("error('broken')");
  Simulation simulation = Start(4);
  simulation.Tick(Constant(0.5));
  EXPECT_EQ(simulation.totals().faults, 1);
}

}  // namespace
}  // namespace autoscale
