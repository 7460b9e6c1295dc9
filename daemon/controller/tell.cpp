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

void Controller::TellOutage(Group& group) {
  const auto has = [](const std::vector<Group::Fault>& faults, const auto& matches) {
    return std::any_of(faults.begin(), faults.end(), matches);
  };
  for (const Group::Fault& fault : group.faults) {
    const bool told = has(group.told, [&](const Group::Fault& old) {
      return old.error == fault.error && old.metric == fault.metric;
    });
    if (told) continue;
    LogWarning("queries fail; what depends on them holds",
               {{"metric", fault.metric},
                {"failed", fault.queries},
                {"of", static_cast<int64_t>(group.plan.size())},
                {"error", fault.error}});
  }
  for (const Group::Fault& old : group.told) {
    const bool lasts =
        has(group.faults, [&](const Group::Fault& fault) { return fault.metric == old.metric; });
    if (!lasts) LogInfo("queries are answered again", {{"metric", old.metric}});
  }
  group.told = std::move(group.faults);
  group.faults.clear();
}

// A query that fails is told once for all services; what it answers is each service's own.
void Controller::TellSamples(Service& service) {
  service.told.resize(service.samples.size(), SampleState::kFresh);
  for (size_t i = 0; i < service.samples.size(); ++i) {
    const Sample& sample = service.samples[i];
    if (sample.state == SampleState::kError || sample.state == service.told[i]) continue;
    // What is made of a metric is as good as that; this has been told.
    const int base = service.spec->metrics[i].base;
    if (base >= 0 && service.samples[static_cast<size_t>(base)].state == sample.state) continue;
    service.told[i] = sample.state;
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
