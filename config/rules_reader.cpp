#include "config/rules_reader.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoscale {
namespace {

constexpr int64_t kMaxInstances = 10'000;
constexpr DurationRange kStabilization{.min = Millis(0), .max = std::chrono::hours(1)};
constexpr DurationRange kCooldown{.min = Millis(0), .max = std::chrono::hours(24)};
constexpr DurationRange kPeriod{.min = std::chrono::seconds(1), .max = std::chrono::minutes(30)};
constexpr IntRange kAmount{.min = 1, .max = 100'000};  // instances, or percent

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
  for (Section& limit : section->Children("limits")) {
    rules.limits.push_back(ReadLimit(std::move(limit)));
  }
  section->Finish();
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

ScalingRules ReadScalingRules(Section& service) {
  ScalingRules rules;
  rules.bounds = ReadBounds(service);
  std::optional<Section> scaling = service.Child("scaling");
  if (!scaling) return rules;
  ReadDirection(*scaling, "up", rules.up);
  ReadDirection(*scaling, "down", rules.down);
  scaling->Finish();
  return rules;
}

}  // namespace autoscale
