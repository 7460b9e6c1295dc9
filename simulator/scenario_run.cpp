// Runs a scenario and holds each of its expectations against the ticks.
#include <algorithm>
#include <optional>
#include <utility>

#include "config/yaml_file.h"
#include "simulator/describe.h"
#include "simulator/scenario.h"
#include "simulator/test_report.h"

namespace autoscale {
namespace {

std::string Since(const Scenario& scenario, const SimulatedTick& tick) {
  return FormatDuration(tick.at - scenario.setup.start.start);
}

// One expectation while the scenario runs. It counts from its first tick, which for a moment is
// the last one at or before it.
class Watch {
 public:
  Watch(const Scenario& scenario, const ExpectLine& expectation)
      : scenario_(scenario), expectation_(expectation) {}

  void See(const SimulatedTick& tick) {
    using When = ExpectLine::When;
    const Millis elapsed = tick.at - scenario_.setup.start.start;
    const Millis interval = scenario_.setup.service.interval;
    const bool at = expectation_.when == When::kAt;
    const Decision& decision = tick.outcome.decision;
    // A moment counts the changes since the start.
    const bool counts = at || elapsed >= expectation_.from;
    if (counts && decision.before != decision.desired) ++changes_;
    if (done_ || elapsed > expectation_.to) return;
    if (at ? elapsed + interval <= expectation_.from : elapsed < expectation_.from) return;
    seen_ = true;
    const bool holds = std::all_of(expectation_.conditions.begin(), expectation_.conditions.end(),
                                   [&](const Condition& c) { return Holds(c, tick, changes_); });
    const bool wanted = expectation_.when != When::kNever;
    const bool once = at || expectation_.when == When::kSometime;
    if (once && holds) {
      done_ = true;
      failed_.reset();
    } else if (holds != wanted) {
      failed_ = tick;  // the last one that was in vain, or the first that broke it
      done_ = !once || at;
    }
  }

  [[nodiscard]] std::string Failure() const {
    if (!seen_) return "no tick lies within this time";
    if (!failed_) return {};
    const std::string when = Since(scenario_, *failed_);
    std::string text = expectation_.when == ExpectLine::When::kSometime
                           ? "it never came; the last tick, at " + when + ", was"
                           : "what came at " + when + ":";
    const auto counted = [](const Condition& c) {
      return c.subject == Condition::Subject::kChanges;
    };
    if (std::any_of(expectation_.conditions.begin(), expectation_.conditions.end(), counted)) {
      text += "\n  changes:  " + std::to_string(changes_);
    }
    return text + "\n" + Describe(*failed_, scenario_.setup.service, "  ");
  }

 private:
  const Scenario& scenario_;
  const ExpectLine& expectation_;
  int64_t changes_ = 0;
  bool seen_ = false, done_ = false;
  std::optional<SimulatedTick> failed_;
};

bool ExpectsFaults(const Scenario& scenario) {
  for (const ExpectLine& expectation : scenario.expectations) {
    for (const Condition& condition : expectation.conditions) {
      if (condition.subject == Condition::Subject::kCause && condition.text == "fault" &&
          !condition.negated && expectation.when != ExpectLine::When::kNever) {
        return true;
      }
    }
  }
  return false;
}

TestReport Broken(const std::string& path, std::string why) {
  return {{.name = "can be run", .file = path, .failure = std::move(why)}};
}

TestReport Run(const Scenario& scenario) {
  const Setup& setup = scenario.setup;
  PolicyHost host(setup.limits);
  const ServiceSpec& service = setup.service;
  if (const auto checked = host.Check(*service.policy, SnapshotOf(service)); !checked) {
    return Broken(scenario.file, "the daemon would refuse this policy: " + checked.error().message);
  }
  std::vector<Watch> watches;
  for (const ExpectLine& expectation : scenario.expectations) {
    watches.emplace_back(scenario, expectation);
  }
  Simulation simulation(host, service, setup.start);
  std::optional<SimulatedTick> fault;
  while (simulation.next() - setup.start.start <= scenario.length) {
    const SimulatedTick& tick = simulation.Tick([&](TimePoint now, const Capacity& capacity) {
      return SamplesAt(scenario, now - setup.start.start, capacity);
    });
    for (Watch& watch : watches) watch.See(tick);
    if (!fault && tick.outcome.proposal.cause == HoldCause::kFault) fault = tick;
  }
  TestReport report;
  for (size_t i = 0; i < watches.size(); ++i) {
    const ExpectLine& expectation = scenario.expectations[i];
    report.push_back({.name = expectation.text,
                      .file = scenario.file,
                      .line = expectation.line,
                      .failure = watches[i].Failure()});
  }
  if (fault && !ExpectsFaults(scenario)) {
    report.push_back({.name = "the policy does not fault",
                      .file = scenario.file,
                      .failure = "what came at " + Since(scenario, *fault) + ":\n" +
                                 Describe(*fault, service, "  ")});
  }
  return report;
}

}  // namespace

TestReport RunScenarioFile(const std::string& path) {
  const auto text = ReadFile(path, kMaxScenarioBytes);
  if (!text) return Broken(path, "cannot read the file: " + text.error().message);
  std::vector<Diagnostic> diagnostics;
  const auto scenario = ReadScenario(path, *text, &diagnostics);
  if (scenario && scenario->expectations.empty()) {
    return Broken(path,
                  "the scenario expects nothing; add a line such as: at 5m expect desired is 4");
  }
  if (scenario) return Run(*scenario);
  std::string faults;
  for (const Diagnostic& diagnostic : diagnostics) {
    if (diagnostic.severity != Diagnostic::Severity::kError) continue;
    faults += (faults.empty() ? "" : "\n") + ToString(diagnostic);
  }
  return Broken(path, faults);
}

}  // namespace autoscale
