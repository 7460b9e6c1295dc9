#include "engine/decision/project.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace autoscale {
namespace {

constexpr int kMostProspects = 4;
constexpr int kMetricsNamed = 3;

std::string Value(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

bool IsSpread(const DeclaredMetric& metric, const Sample& sample) {
  return metric.spread && sample.state == SampleState::kFresh;
}

// As many of the ready ones as there would be, together with the load of all.
std::vector<InstanceSample> Shift(const std::vector<InstanceSample>& instances, int ready, int to) {
  std::vector<InstanceSample> kept;
  double all = 0;
  double rest = 0;
  int counted = 0;
  for (const InstanceSample& instance : instances) {
    if (!instance.ready) continue;
    all += instance.value;
    ++counted;
    if (static_cast<int>(kept.size()) == to) continue;
    rest += instance.value;
    kept.push_back(instance);
  }
  if (counted == 0) return kept;
  const double mean = all / counted * ready / to;
  const double expected = mean * static_cast<double>(kept.size());
  for (InstanceSample& instance : kept) {
    instance.value = rest > 0 ? instance.value * (expected / rest) : mean;
  }
  return kept;
}

std::vector<Sample> Shift(const Snapshot& snapshot, int to) {
  std::vector<Sample> samples(snapshot.samples.begin(), snapshot.samples.end());
  const int ready = snapshot.capacity.ready;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!IsSpread(snapshot.metrics[i], samples[i])) continue;
    samples[i].value = samples[i].value * ready / to;
    samples[i].instances = Shift(samples[i].instances, ready, to);
  }
  return samples;
}

}  // namespace

std::vector<Prospect> FindProspects(const ScalingRules& rules, const Snapshot& snapshot,
                                    const Decision& decision, std::optional<int> start) {
  const int from = start.value_or(decision.before);
  const int to = decision.desired;
  // Outside the bounds nobody asks the policy; at none there is nothing to spread over.
  if (!rules.projection || to >= from || to < 1 || from > rules.bounds.max) return {};
  bool any = false;
  for (size_t i = 0; i < snapshot.samples.size(); ++i) {
    any |= IsSpread(snapshot.metrics[i], snapshot.samples[i]);
  }
  if (!any || snapshot.capacity.ready < 1) return {};
  std::vector<Prospect> prospects;
  const int count = std::min(from - to, kMostProspects);
  for (int i = 0; i < count; ++i) {
    const int capacity = to + static_cast<int>(int64_t{from - to} * i / count);
    prospects.push_back({capacity, Shift(snapshot, capacity)});
  }
  return prospects;
}

Snapshot At(const Prospect& prospect, const Snapshot& snapshot) {
  Snapshot then = snapshot;
  then.capacity = {.desired = prospect.capacity, .ready = prospect.capacity};
  then.samples = prospect.samples;
  return then;
}

Projection Conclude(const Prospect& prospect, const Snapshot& snapshot,
                    const std::optional<Proposal>& answer) {
  // One that fails there, or cannot read a metric, does not say what it would want.
  const bool says =
      answer && answer->cause != HoldCause::kFault && answer->cause != HoldCause::kMetric;
  Projection projection{
      .capacity = prospect.capacity, .proposed = prospect.capacity, .asked = says};
  if (says && answer->kind != ProposalKind::kHold) projection.proposed = answer->capacity;
  int named = 0;
  for (size_t i = 0; i < prospect.samples.size(); ++i) {
    if (!IsSpread(snapshot.metrics[i], prospect.samples[i]) || named++ == kMetricsNamed) continue;
    projection.samples += (projection.samples.empty() ? "" : ", ") + snapshot.metrics[i].name +
                          (named == 1 ? " would be " : " ") + Value(prospect.samples[i].value);
  }
  return projection;
}

std::string FindErrors(const ScalingRules& rules, const Snapshot& snapshot) {
  if (!rules.error_guard) return {};
  const ErrorGuard& guard = *rules.error_guard;
  for (size_t i = 0; i < snapshot.samples.size(); ++i) {
    if (snapshot.metrics[i].name != guard.metric) continue;
    const Sample& sample = snapshot.samples[i];
    if (sample.state != SampleState::kFresh) {
      return guard.metric + " cannot be told (" + std::string(ToString(sample.state)) + ")";
    }
    if (sample.value <= guard.above) return {};
    return guard.metric + " is " + Value(sample.value) + ", above " + Value(guard.above);
  }
  return guard.metric + " is not declared";
}

Decision DecideWithProjections(const ScalingRules& rules, const Proposal& proposal,
                               const Snapshot& snapshot, const History& history,
                               Conditions& conditions, const AskPolicy& ask) {
  if (rules.error_guard) conditions.errors = FindErrors(rules, snapshot);
  conditions.projections.clear();
  // Asked about all that would be taken away, be it granted or not.
  Conditions unbound = conditions;
  unbound.budget = {};
  unbound.cost = {};
  const Decision decision =
      Decide(rules, proposal, snapshot.capacity, snapshot.now, history, unbound);
  for (const Prospect& prospect : FindProspects(rules, snapshot, decision, conditions.from)) {
    conditions.projections.push_back(Conclude(prospect, snapshot, ask(At(prospect, snapshot))));
  }
  return Decide(rules, proposal, snapshot.capacity, snapshot.now, history, conditions);
}

}  // namespace autoscale
