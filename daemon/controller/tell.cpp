// What the log is told of metrics: an outage when it begins, changes and ends, never every tick.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "daemon/controller/controller.h"
#include "daemon/controller/group.h"
#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

constexpr size_t kFaultsTold = 50;  // ways to fail at once; what is beyond goes with the last

// "its newest data is 61 s old": what the state alone does not say.
std::string DetailOf(const Sample& sample) {
  std::array<char, 96> text{};
  switch (sample.state) {
    case SampleState::kStale:
      if (!sample.age_s || std::isinf(*sample.age_s)) return "none of its series reports any more";
      std::snprintf(text.data(), text.size(), "its newest data is %.0f s old",
                    static_cast<double>(*sample.age_s));
      return text.data();
    case SampleState::kPartial:
      std::snprintf(text.data(), text.size(), "it speaks for %.0f %% of what is expected",
                    static_cast<double>(sample.coverage.value_or(0)) * 100);
      return text.data();
    case SampleState::kEmpty:
      return sample.error ? *sample.error : "its query found no series";
    case SampleState::kNaN:
      return "its query answered no finite number";
    default:
      return sample.error ? *sample.error : "";
  }
}

}  // namespace

void Controller::NoteFault(Group& group, const std::string& metric, const std::string& error) {
  const auto known = std::find_if(group.faults.begin(), group.faults.end(),
                                  [&](const Group::Fault& fault) { return fault.error == error; });
  if (known != group.faults.end()) {
    ++known->queries;
  } else if (group.faults.size() == kFaultsTold) {
    ++group.faults.back().queries;
  } else {
    group.faults.push_back({.metric = metric, .error = error, .queries = 1});
  }
}

// A fault that has no line yet, for there were many of late, gets it later if it lasts.
void Controller::TellOutage(Group& group, TimePoint now) {
  using Faults = std::vector<Group::Fault>;
  const auto has = [](const Faults& faults, const std::string& metric, const std::string* error) {
    return std::any_of(faults.begin(), faults.end(), [&](const Group::Fault& fault) {
      return fault.metric == metric && (error == nullptr || fault.error == *error);
    });
  };
  if (group.faults.empty() && group.told.empty()) return;
  Faults told;
  for (const Group::Fault& fault : group.faults) {
    if (!has(group.told, fault.metric, &fault.error)) {
      if (!group.lines[fault.metric].Take(now)) continue;
      LogWarning("queries fail; what depends on them holds",
                 {{"metric", fault.metric},
                  {"failed", fault.queries},
                  {"of", static_cast<int64_t>(group.plan.size())},
                  {"error", fault.error}});
    }
    told.push_back(fault);
  }
  for (const Group::Fault& old : group.told) {
    if (has(told, old.metric, nullptr)) continue;
    if (has(group.faults, old.metric, nullptr) || !group.lines[old.metric].Take(now)) {
      told.push_back(old);
    } else {
      LogInfo("queries are answered again", {{"metric", old.metric}});
    }
  }
  group.told = std::move(told);
  group.faults.clear();
}

// A query that fails is told once for all services; what it answers is each service's own.
void Controller::TellSamples(Service& service, TimePoint now) {
  service.told.resize(service.samples.size());
  for (size_t i = 0; i < service.samples.size(); ++i) {
    const Sample& sample = service.samples[i];
    ToldSample& told = service.told[i];
    if (sample.state == SampleState::kError || sample.state == told.state) continue;
    // What is made of a metric is as good as that; this has been told.
    const int base = service.spec->metrics[i].base;
    if (base >= 0 && service.samples[static_cast<size_t>(base)].state == sample.state) continue;
    if (!told.lines.Take(now)) continue;
    told.state = sample.state;
    const std::string& metric = service.spec->metrics[i].spec->name;
    if (sample.state == SampleState::kFresh) {
      LogInfo("a metric is usable again", {{"service", service.spec->name}, {"metric", metric}});
    } else {
      LogWarning("a metric is not usable", {{"service", service.spec->name},
                                            {"metric", metric},
                                            {"state", ToString(sample.state)},
                                            {"detail", DetailOf(sample)}});
    }
  }
}

}  // namespace autoscale
