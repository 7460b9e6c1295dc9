#include "config/rules_reader.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr int64_t kMaxInstances = 10'000;
constexpr DurationRange kStabilization{.min = Millis(0), .max = std::chrono::hours(1)};
constexpr DurationRange kCooldown{.min = Millis(0), .max = std::chrono::hours(24)};
constexpr DurationRange kPeriod{.min = std::chrono::seconds(1), .max = std::chrono::minutes(30)};
constexpr IntRange kAmount{.min = 1, .max = 100'000};  // instances, or percent
constexpr IntRange kReversals{.min = 1, .max = 1000};
constexpr DurationRange kReversalPeriod{.min = std::chrono::minutes(1),
                                        .max = std::chrono::hours(24)};
constexpr int kMaxStepDown = 50;  // percent, unless the service says otherwise

const std::vector<std::string> kSelects = {"max", "min", "disabled"};

RateLimit ReadLimit(Section section) {
  RateLimit limit;
  const bool percent = section.Has("percent");
  if (percent == section.Has("instances")) {
    section.Fault("", "a limit is either {instances: N, period: 1m} or {percent: N, period: 1m}");
  }
  const auto instances = section.Int("instances", 1, kAmount);
  const auto share = section.Int("percent", 1, kAmount);
  limit.kind = percent ? RateLimit::Kind::kPercent : RateLimit::Kind::kInstances;
  limit.value = static_cast<int>(percent ? share : instances);
  if (!section.Has("period")) {
    section.Fault("", "the limit's 'period' is missing, such as period: 1m");
  }
  limit.period = section.Duration("period", kPeriod.min, kPeriod);
  section.Finish();
  return limit;
}

void ReadDirection(Section& scaling, std::string_view key, DirectionRules& rules) {
  std::optional<Section> section = scaling.Child(key);
  if (!section) return;
  rules.stabilization = section->Duration("stabilization", rules.stabilization, kStabilization);
  rules.cooldown = section->Duration("cooldown", rules.cooldown, kCooldown);
  rules.select = static_cast<RateSelect>(
      section->Choice("select", static_cast<size_t>(rules.select), kSelects));
  rules.max_step_percent =
      static_cast<int>(section->Int("max_step_percent", rules.max_step_percent, kAmount));
  for (Section& limit : section->Children("limits")) {
    rules.limits.push_back(ReadLimit(std::move(limit)));
  }
  section->Finish();
}

void ReadReversals(Section& scaling, ReversalRules& rules) {
  std::optional<Section> section = scaling.Child("reversals");
  if (!section) return;
  rules.most = static_cast<int>(section->RequiredInt("most", kReversals));
  rules.period = section->Duration("period", rules.period, kReversalPeriod);
  section->Finish();
}

// The metric must be one of the service's own, and the level one that it can reach.
void ReadErrorGuard(Section& scaling, std::span<const DeclaredMetric> declared,
                    std::optional<ErrorGuard>& guard) {
  std::optional<Section> section = scaling.Child("error_guard");
  if (!section) return;
  guard = {.metric = section->RequiredString("metric"), .above = section->Double("above", 0)};
  if (!section->Has("above")) {
    section->Fault("", "the error guard's 'above' is missing, such as above: 0.05");
  }
  section->Finish();
  if (guard->metric.empty()) return;
  std::vector<std::string> names;
  for (const DeclaredMetric& metric : declared) names.push_back(metric.name);
  const auto found = std::find(names.begin(), names.end(), guard->metric);
  if (found == names.end()) {
    const std::string hint = DidYouMean(guard->metric, names);
    return section->Fault("metric", "metric '" + guard->metric + "' of the error guard is not " +
                                        "declared by the service" +
                                        (hint.empty() ? "; name it under 'metrics'" : hint));
  }
  const Unit unit = declared[static_cast<size_t>(found - names.begin())].unit;
  if (guard->above >= 0 && guard->above < GreatestLevel(unit)) return;
  const double percent = guard->above / 100;
  const bool slip = unit == Unit::kRatio && percent > 0 && percent < GreatestLevel(unit);
  section->Fault("above", FormatNumber(guard->above) + " does not fit metric '" + guard->metric +
                              "', whose unit is " + std::string(ToString(unit)) +
                              (slip ? "; did you mean " + FormatNumber(percent) + "?" : ""));
}

Bounds ReadBounds(Section& service) {
  if (!service.Has("max")) {
    service.Fault("", "'max' is missing; say how many instances there may be at most");
  }
  // The fallbacks are at odds with nothing: only two good numbers are compared.
  const auto min = service.Int("min", 1, {.min = 0, .max = kMaxInstances});
  const auto max = service.Int("max", kMaxInstances, {.min = 1, .max = kMaxInstances});
  if (min > max) {
    service.Fault("min", "'min' (" + std::to_string(min) + ") is above 'max' (" +
                             std::to_string(max) + "); lower the one or raise the other");
  }
  return {.min = static_cast<int>(min), .max = static_cast<int>(max)};
}

}  // namespace

ScalingRules ReadScalingRules(Section& service, std::span<const DeclaredMetric> declared) {
  ScalingRules rules;
  rules.bounds = ReadBounds(service);
  rules.down.max_step_percent = kMaxStepDown;
  std::optional<Section> scaling = service.Child("scaling");
  if (!scaling) return rules;
  ReadDirection(*scaling, "up", rules.up);
  ReadDirection(*scaling, "down", rules.down);
  ReadReversals(*scaling, rules.reversals);
  ReadErrorGuard(*scaling, declared, rules.error_guard);
  rules.projection = scaling->Bool("projection", rules.projection);
  scaling->Finish();
  return rules;
}

}  // namespace autoscale
