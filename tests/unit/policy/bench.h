// A service to run policies against in tests: 4 instances, min 2, max 20, metrics that each test
// sets.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/policy/host.h"

namespace autoscale {

inline PolicySource MakePolicy(std::string text, std::string path = "policies/test.lua") {
  const uint64_t hash = std::hash<std::string>()(text);
  return {.path = std::move(path), .text = std::move(text), .hash = hash};
}

struct TestService {
  std::string name = "shop";
  Capacity capacity{.desired = 4, .ready = 4};
  Bounds bounds{.min = 2, .max = 20};
  TimePoint now = FromUnixSeconds(1000);
  std::vector<DeclaredMetric> metrics{{"cpu", Unit::kRatio}, {"rps", Unit::kPerSecond}};
  std::vector<Sample> samples{Fresh(0.5), Fresh(100)};
  Params params{{"target", 0.6}, {"mode", std::string("fast")}, {"strict", true}};
  std::string state;

  static Sample Fresh(double value) {
    Sample sample;
    sample.value = value;
    sample.state = SampleState::kFresh;
    return sample;
  }

  TestService& Cpu(double value) {
    samples[0] = Fresh(value);
    return *this;
  }
  TestService& Cpu(SampleState sample_state) {
    samples[0] = Sample{.state = sample_state};
    return *this;
  }
  TestService& Has(int desired, int ready) {
    capacity = {.desired = desired, .ready = ready};
    return *this;
  }

  [[nodiscard]] Snapshot View() const {
    return {.service = name,
            .now = now,
            .capacity = capacity,
            .bounds = bounds,
            .metrics = metrics,
            .samples = samples,
            .params = &params,
            .state = state};
  }

  // Evaluates and keeps the new state, as the daemon does.
  Proposal Run(PolicyHost& host, const std::string& text) {
    Evaluation evaluation = host.Evaluate(MakePolicy(text), View());
    if (evaluation.state) state = *evaluation.state;
    return evaluation.proposal;
  }
};

}  // namespace autoscale
