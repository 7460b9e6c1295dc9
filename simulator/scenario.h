// Scenario: a test of a policy as text: what its metrics show over time, and what is expected of
// the service. docs/policy-tests.md is its reference.
//
//   policy: cpu_target.lua            the header: YAML, as simulator/setup.h says
//   metrics: {cpu: ratio}
//   max: 10
//   ---
//   at 0s cpu is 0.5
//   from 5m to 10m cpu is 0.5 -> 0.9
//   at 12m expect desired is at least 4
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/reading.h"
#include "simulator/setup.h"
#include "simulator/simulation.h"

namespace autoscale {

// What a metric shows from a time on. Without an end it lasts until something later does; with one
// it stands over what lasts.
struct LoadSpan {
  size_t metric = 0;  // of the service's
  Millis from{0};
  std::optional<Millis> to;  // exclusive
  Reading reading;
  std::optional<double> ramp_to;  // at `to`; the reading's value is that at `from`
};

struct Condition {
  enum class Subject {
    kDesired,
    kReady,
    kPending,
    kWanted,   // what the policy proposed
    kChanges,  // of desired, since the expectation's begin
    kMove,     // text: "rises", "falls" or "stays"
    kProposal,
    kCause,
    kReason,
    kStage,  // text: its name; holds when it changed something
  };
  enum class Relation { kEqual, kAtLeast, kAtMost, kAbove, kBelow, kBetween };
  Subject subject = Subject::kDesired;
  Relation relation = Relation::kEqual;
  bool negated = false;
  double number = 0;
  double upper = 0;  // of kBetween
  std::string text;
};

struct ExpectLine {
  enum class When { kAt, kAlways, kNever, kSometime };
  int line = 0;
  std::string text;  // as written
  When when = When::kAt;
  Millis from{0};
  Millis to{0};                       // inclusive
  bool open = false;                  // `to` is the scenario's end
  std::vector<Condition> conditions;  // all of them
};

struct Scenario {
  std::string file;
  Setup setup;
  std::vector<LoadSpan> loads;  // as written: the later one counts
  std::vector<ExpectLine> expectations;
  Millis length{0};  // the latest time that is named
};

// More would rather be a mistake than a test.
inline constexpr size_t kMaxScenarioBytes = 256u << 10;
inline constexpr size_t kMaxScenarioLines = 2'000;  // of loads and expectations
inline constexpr int64_t kMaxScenarioTicks = 100'000;

// Reads the whole text, or reports every fault at its line. A header that names no policy means the
// file of the same name, and where there is none `default_policy`. Blocks on reading the policy.
std::optional<Scenario> ReadScenario(const std::string& file, std::string_view text,
                                     std::vector<Diagnostic>* diagnostics,
                                     const std::string& default_policy = {});
// Of a text without a header, for the setup that is there already.
bool ReadTimeline(std::string_view text, int first_line, Scenario& scenario,
                  std::vector<Diagnostic>* diagnostics);

// What the metrics show at `elapsed` since the start.
std::map<std::string, Sample> SamplesAt(const Scenario& scenario, Millis elapsed,
                                        const Capacity& capacity);

// Whether the tick is as the condition says. `changes`: since the expectation's begin.
bool Holds(const Condition& condition, const SimulatedTick& tick, int64_t changes);

}  // namespace autoscale
