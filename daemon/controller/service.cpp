#include "daemon/controller/service.h"

#include <algorithm>
#include <functional>

namespace autoscale {

bool KeptHolds::Take(uint64_t outcome, TimePoint now) {
  std::erase_if(kept_, [&](const auto& one) { return now - one.second >= kAgain; });
  if (kept_.size() >= kMost) return false;
  if (std::any_of(kept_.begin(), kept_.end(),
                  [&](const auto& one) { return one.first == outcome; })) {
    return false;
  }
  kept_.emplace_back(outcome, now);
  return true;
}

bool ToldSeldom::Take(TimePoint now) {
  if (now - since_ >= kWhile) {
    since_ = now;
    lines_ = 0;
  }
  return ++lines_ <= kMost;
}

ServiceRow RowOf(const Service& service) {
  return {.name = service.spec->name,
          .desired = service.desired,
          .generation = service.generation,
          .paused = service.paused,
          .pause_reason = service.pause_reason,
          .policy_state = service.policy_state,
          .history = service.history,
          .breaker = service.breaker,
          .breaker_since = service.breaker_since,
          .leaving = {},
          .target = service.target,
          .size = service.size,
          .contested = service.contested};
}

Basis BasisOf(const std::shared_ptr<const ServiceSpec>& spec, const PolicyLimits& limits) {
  // Parts of the specification, which lives as long as they do.
  return {.version = AUTOSCALED_VERSION,
          .policy = spec->policy,
          .params = std::shared_ptr<const Params>(spec, &spec->params),
          .rules = std::shared_ptr<const ScalingRules>(spec, &spec->rules),
          .zones = spec->zones,
          .limits = limits,
          .own_limits = spec->limits};
}

namespace {

bool HasStage(const Decision& decision, std::string_view name) {
  return std::any_of(decision.stages.begin(), decision.stages.end(),
                     [name](const StageRecord& stage) { return stage.name == name; });
}

std::shared_ptr<const DecisionInputs> InputsOf(const Service& service, const PolicyLimits& limits) {
  if (!service.decided) return nullptr;
  History history = service.history;
  history.TakeBack(service.before);
  DecisionInputs inputs{.basis_hash = service.basis_hash,
                        .basis = BasisOf(service.spec, limits),
                        .history = history.Encode(),
                        .conditions = WhatBound(service.conditions, service.decision),
                        .outside = service.outside};
  if (service.former_state) {
    inputs.state = *service.former_state;
    inputs.new_state = service.policy_state;
  } else {
    inputs.state = service.policy_state;
  }
  return std::make_shared<const DecisionInputs>(std::move(inputs));
}

}  // namespace

Conditions WhatBound(Conditions conditions, const Decision& decision) {
  if (!HasStage(decision, kBudget)) conditions.budget = {};
  if (!HasStage(decision, kCost)) conditions.cost = {};
  return conditions;
}

DecisionRecord RecordOf(const Service& service, int64_t id, const PolicyLimits& limits) {
  DecisionRecord record{.id = id,
                        .service = service.spec->name,
                        .at = service.last_tick.value_or(TimePoint{}),
                        .dry_run = OnlyAdvises(*service.spec),
                        .paused = service.paused,
                        .capacity = service.capacity,
                        .bounds = service.spec->rules.bounds,
                        .policy = service.spec->policy->path,
                        .proposal = service.proposal,
                        .decision = service.decision,
                        .inputs = InputsOf(service, limits)};
  for (size_t i = 0; i < service.samples.size(); ++i) {
    const MetricSpec& metric = *service.spec->metrics[i].spec;
    record.samples.push_back({metric.name, metric.unit, service.samples[i], metric.spread});
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
  mix(service.breaker.empty() ? 0 : 1);
  mix(service.spec->dry_run ? 1 : 0);
  for (const Sample& sample : service.samples) mix(static_cast<uint64_t>(sample.state));
  for (const StageRecord& stage : service.decision.stages) {
    mix(std::hash<std::string_view>{}(stage.name));
    mix(stage.before == stage.after ? 0 : 1);
  }
  return outcome;
}

}  // namespace autoscale
