// A scenario's lines of loads and expectations, and the finders in a policy's text. What is
// accepted is run for a few ticks.
//
// Input: what the rest is ('0' lines below the header, '1' Lua source), then the text.
#include "simulator/scenario.h"

#include <cmath>

#include "engine/policy/uses.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

constexpr int kTicks = 20;

Scenario Begun() {
  Scenario scenario{.file = "fuzz.scenario"};
  for (const char* name : {"cpu", "rps"}) {
    auto spec = std::make_shared<MetricSpec>();
    spec->name = name;
    scenario.setup.service.metrics.push_back({.spec = spec, .key = {}});
    scenario.setup.service.declared.push_back({.name = name, .unit = Unit::kPerSecond});
  }
  return scenario;
}

void CheckTimeline(std::string_view text) {
  Scenario scenario = Begun();
  std::vector<Diagnostic> diagnostics;
  if (!ReadTimeline(text, 1, scenario, &diagnostics)) {
    Expect(!diagnostics.empty(), "no fault without a message");
    for (const Diagnostic& one : diagnostics) ExpectMessage(one.message);
    return;
  }
  Expect(scenario.length / scenario.setup.service.interval <= kMaxScenarioTicks, "bounded time");
  Expect(scenario.loads.size() + scenario.expectations.size() <= kMaxScenarioLines,
         "bounded lines");
  SimulatedTick tick{.capacity = {.desired = 3, .ready = 2}};
  for (int i = 0; i < kTicks; ++i) {
    const Millis elapsed = scenario.length * i / kTicks;
    for (const auto& [name, sample] : SamplesAt(scenario, elapsed, tick.capacity)) {
      Expect(std::isfinite(sample.value), "a value is a number", name);
    }
  }
  for (const ExpectLine& line : scenario.expectations) {
    Expect(!line.conditions.empty() && line.from <= line.to, "an expectation is of something",
           line.text);
    for (const Condition& condition : line.conditions) (void)Holds(condition, tick, 1);
  }
}

void CheckUses(std::string_view text) {
  const PolicyUses uses = FindUses(text);
  for (const auto* found : {&uses.metrics, &uses.params, &uses.globals}) {
    Expect(found->size() <= text.size(), "no more uses than text");
    for (const NamedUse& use : *found) Expect(use.line >= 1, "a use has its line", use.name);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = autoscale::fuzz::ToText(data, size);
  const bool source = text.starts_with('1');
  text.remove_prefix(text.empty() ? 0 : 1);
  if (source) {
    autoscale::fuzz::CheckUses(text);
  } else {
    autoscale::fuzz::CheckTimeline(text);
  }
  return 0;
}
