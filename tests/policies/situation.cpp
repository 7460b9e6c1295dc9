#include "tests/policies/situation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "config/policy_files.h"
#include "tests/policies/policy_kinds.h"

namespace autoscale {
namespace {

constexpr size_t kMaxBytes = 256u << 10;

std::shared_ptr<const PolicySource> Read(const PolicyKind& kind) {
  static PolicyFiles files(kMaxBytes);
  auto source = *kind.file == 0 ? files.Shipped(kind.name)
                                : files.Read(std::string(SOURCE_DIR "/") + kind.file);
  EXPECT_TRUE(source.ok()) << source.error().message;
  return *source;
}

DirectionRules RandomDirection(Random& random) {
  DirectionRules rules;
  if (random.Chance(30)) rules.stabilization = Millis(random.Whole(0, 300'000));
  if (random.Chance(20)) rules.cooldown = Millis(random.Whole(0, 120'000));
  rules.select = random.Chance(5)    ? RateSelect::kDisabled
                 : random.Chance(50) ? RateSelect::kMax
                                     : RateSelect::kMin;
  for (int64_t i = random.Whole(-2, 2); i > 0; --i) {
    rules.limits.push_back(
        {.kind = random.Chance(50) ? RateLimit::Kind::kInstances : RateLimit::Kind::kPercent,
         .value = random.Int(1, 100),
         .period = Millis(random.Whole(1000, 300'000))});
  }
  if (random.Chance(30)) rules.max_step_percent = random.Int(1, 100);
  return rules;
}

void RandomRules(Random& random, Situation& out) {
  ScalingRules& rules = out.service.rules;
  rules.bounds.min = random.Int(0, 4);
  rules.bounds.max = rules.bounds.min + (random.Chance(5) ? 9'000 : random.Int(0, 60));
  rules.up = RandomDirection(random);
  rules.down = RandomDirection(random);
  if (random.Chance(20)) rules.reversals.most = random.Int(1, 3);
  if (random.Chance(10)) {
    rules.error_guard =
        ErrorGuard{.metric = out.roles.back().name, .above = out.roles.back().usual};
  }
  rules.projection = random.Chance(80);
}

Conditions RandomConditions(Random& random) {
  Conditions conditions;
  if (random.Chance(20)) {
    const int left = random.Int(0, 20);
    conditions.budget = {.limit = 20, .left = left, .granted = random.Int(0, left)};
  }
  if (random.Chance(20)) {
    conditions.cost = {
        .limit = 10, .left = random.Real(-1, 10), .price = 0.1, .granted = random.Int(-2, 9)};
  }
  if (random.Chance(20)) conditions.protected_instances = random.Int(0, 9);
  return conditions;
}

int RandomReady(Random& random, int desired) {
  if (random.Chance(60)) return desired;
  return random.Chance(80) ? random.Int(0, desired) : desired + random.Int(1, 3);
}

double RandomValue(Random& random, double usual) {
  if (random.Chance(12)) return 0;
  if (random.Chance(75)) return random.Real(0, 2 * usual);
  if (random.Chance(70)) return usual * random.Real(0, 20);
  return usual * std::pow(10, random.Real(-9, 9));
}

void SetMean(Sample& sample) {
  double sum = 0;
  int count = 0;
  for (const InstanceSample& instance : sample.instances) {
    if (!std::isfinite(instance.value)) continue;
    sum += instance.value;
    ++count;
  }
  if (count > 0) sample.value = sum / count;
}

// Of the ready ones and some that are not; some report nothing.
std::vector<InstanceSample> RandomInstances(Random& random, const MetricRole& role, int ready) {
  std::vector<InstanceSample> instances;
  const int all = std::min(ready, 40) + random.Int(0, 2);
  const int silent = random.Chance(50) ? 0 : random.Int(0, 50);
  const double level = RandomValue(random, role.usual);
  for (int i = 0; i < all; ++i) {
    if (random.Chance(silent)) continue;
    instances.push_back({.instance = "i-" + std::to_string(i),
                         .value = random.Chance(3) ? std::numeric_limits<double>::quiet_NaN()
                                                   : level * random.Real(0.5, 1.5),
                         .ready = i < ready});
  }
  return instances;
}

void Run(Random& random, PolicyHost& host, Situation& out) {
  StepInput& input = out.input;
  for (int64_t tick = random.Whole(0, 6); tick > 0; --tick) {
    for (const MetricRole& role : out.roles) {
      input.metrics[role.name] =
          random.Chance(85)
              ? UsableSample(random, role, input.capacity)
              : UnusableSample(random, role, static_cast<SampleState>(random.Whole(1, 6)));
    }
    input.conditions = RandomConditions(random);
    StepOutcome outcome = Step(host, out.service, input);
    input.state = std::move(outcome.state);
    input.history = std::move(outcome.history);
    const int desired = outcome.decision.desired;
    input.capacity = {.desired = desired, .ready = RandomReady(random, desired)};
    input.now += random.Chance(70) ? out.service.interval : Millis(random.Whole(1, 400'000));
  }
}

}  // namespace

int CountPolicies() { return static_cast<int>(PolicyKinds().size()); }

Sample UsableSample(Random& random, const MetricRole& role, const Capacity& capacity) {
  Sample sample{.value = RandomValue(random, role.usual), .state = SampleState::kFresh};
  if (random.Chance(50)) sample.age_s = static_cast<float>(random.Real(0, 60));
  if (random.Chance(50)) sample.coverage = static_cast<float>(random.Real(0.9, 1.2));
  if (role.by_instance && capacity.ready > 0 && random.Chance(50)) {
    sample.instances = RandomInstances(random, role, capacity.ready);
    SetMean(sample);
  }
  return sample;
}

Sample UnusableSample(Random& random, const MetricRole& role, SampleState state) {
  Sample sample{.value = random.Chance(50) ? 0 : RandomValue(random, role.usual), .state = state};
  if (state == SampleState::kStale) {
    sample.age_s = random.Chance(30) ? std::numeric_limits<float>::infinity() : 1000.0F;
  }
  if (state == SampleState::kNaN) sample.value = std::numeric_limits<double>::quiet_NaN();
  if (state == SampleState::kPartial) sample.coverage = static_cast<float>(random.Real(0, 0.89));
  if (random.Chance(30)) sample.error = std::make_shared<const std::string>("timed out after 5s");
  // What they say of them must not count either. Of a partial one it does, against the move.
  if (role.by_instance && state != SampleState::kPartial && random.Chance(50)) {
    sample.instances = RandomInstances(random, role, random.Int(1, 10));
  }
  return sample;
}

Sample Raised(Random& random, const Sample& sample) {
  Sample more = sample;
  const auto raise = [&](double value) {
    if (random.Chance(20)) return value;
    if (random.Chance(70)) return value * random.Real(1, random.Chance(60) ? 1.5 : 4);
    // Beyond all measure, but not implausible.
    return std::max(value, std::min(std::max(value, 1e-3) * std::pow(10, random.Real(0, 4)), 1e15));
  };
  for (InstanceSample& instance : more.instances) instance.value = raise(instance.value);
  if (more.instances.empty()) {
    more.value = raise(more.value);
  } else {
    SetMean(more);
  }
  return more;
}

Situation RandomSituation(Random& random, PolicyHost& host, int policy) {
  const PolicyKind& kind = PolicyKinds()[static_cast<size_t>(policy)];
  Situation out{.policy = kind.name};
  out.service.name = "shop";
  out.service.policy = Read(kind);
  kind.make(random, out);
  for (const MetricRole& role : out.roles) {
    MetricSpec spec;
    spec.name = role.name;
    spec.unit = role.unit;
    spec.spread = random.Chance(30);
    out.service.metrics.push_back({.spec = std::make_shared<const MetricSpec>(spec), .key = ""});
    out.service.declared.push_back({.name = role.name, .unit = role.unit, .spread = spec.spread});
  }
  RandomRules(random, out);
  const Bounds& bounds = out.service.rules.bounds;
  const int desired = random.Chance(92)
                          ? random.Int(bounds.min, std::min(bounds.max, bounds.min + 60))
                          : random.Int(0, bounds.max + 10);
  out.input.capacity = {.desired = desired, .ready = RandomReady(random, desired)};
  out.input.now = FromUnixSeconds(static_cast<double>(random.Whole(1'767'225'600, 1'798'761'600)));
  Run(random, host, out);
  for (const MetricRole& role : out.roles) {
    out.input.metrics[role.name] = UsableSample(random, role, out.input.capacity);
  }
  out.input.conditions = RandomConditions(random);
  return out;
}

std::string Situation::Told() const {
  std::ostringstream text;
  text.precision(17);
  const Capacity& capacity = input.capacity;
  text << policy << ": " << capacity.desired << " desired, " << capacity.ready << " ready, min "
       << service.rules.bounds.min << ", max " << service.rules.bounds.max << ", now "
       << ToUnixSeconds(input.now) << "\n  params";
  for (const auto& [name, value] : service.params) {
    text << ' ' << name << '=';
    std::visit([&](const auto& one) { text << one; }, value);
  }
  for (const auto& [name, sample] : input.metrics) {
    text << "\n  " << name << ' ' << sample.value << ' ' << ToString(sample.state);
    for (const InstanceSample& one : sample.instances) {
      text << ' ' << one.instance << '=' << one.value << (one.ready ? "" : " (not ready)");
    }
  }
  text << "\n  state " << input.state << "\n  history " << input.history.Encode() << '\n';
  return text.str();
}

}  // namespace autoscale
