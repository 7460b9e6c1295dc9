#include "daemon/controller/service.h"

#include <functional>

namespace autoscale {

ServiceRow RowOf(const Service& service) {
  return {.name = service.spec->name,
          .desired = service.desired,
          .generation = service.generation,
          .paused = service.paused,
          .pause_reason = service.pause_reason,
          .policy_state = service.policy_state,
          .history = service.history};
}

DecisionRecord RecordOf(const Service& service, int64_t id) {
  DecisionRecord record{.id = id,
                        .service = service.spec->name,
                        .at = service.last_tick.value_or(TimePoint{}),
                        .dry_run = service.spec->dry_run,
                        .paused = service.paused,
                        .capacity = service.capacity,
                        .bounds = service.spec->rules.bounds,
                        .policy = service.spec->policy->path,
                        .proposal = service.proposal,
                        .decision = service.decision};
  for (size_t i = 0; i < service.samples.size(); ++i) {
    const MetricSpec& metric = *service.spec->metrics[i].spec;
    record.samples.push_back({metric.name, metric.unit, service.samples[i]});
  }
  return record;
}

uint64_t OutcomeOf(const Service& service) {
  uint64_t outcome = 14695981039346656037ULL;  // FNV-1a's offset
  const auto mix = [&outcome](uint64_t value) { outcome = (outcome ^ value) * 1099511628211ULL; };
  mix(static_cast<uint64_t>(service.decision.before));
  mix(static_cast<uint64_t>(service.decision.desired));
  mix(static_cast<uint64_t>(service.proposal.kind));
  mix(static_cast<uint64_t>(service.proposal.cause));
  mix(service.paused ? 1 : 0);
  mix(service.spec->dry_run ? 1 : 0);
  for (const Sample& sample : service.samples) mix(static_cast<uint64_t>(sample.state));
  for (const StageRecord& stage : service.decision.stages) {
    mix(std::hash<std::string_view>{}(stage.name));
    mix(stage.before == stage.after ? 0 : 1);
  }
  return outcome;
}

}  // namespace autoscale
