#include "tests/policies/rig.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <utility>

#include "config/policy_files.h"
#include "config/zones.h"

namespace autoscale {
namespace {

constexpr size_t kMaxBytes = 256u << 10;

std::shared_ptr<const PolicySource> Read(const std::string& path) {
  auto source = PolicyFiles(kMaxBytes).Read(path);
  EXPECT_TRUE(source.ok()) << source.error().message;
  return source.ok() ? *source : nullptr;
}

}  // namespace

PolicyRig::PolicyRig(const std::string& file) { Begin(Read(SOURCE_DIR "/" + file)); }

PolicyRig PolicyRig::Of(const std::string& text) {
  const std::string path =
      ::testing::TempDir() + "/policy_rig_" + std::to_string(getpid()) + ".lua";
  std::ofstream(path, std::ios::binary) << text;
  PolicyRig rig;
  rig.Begin(Read(path));
  std::filesystem::remove(path);
  return rig;
}

void PolicyRig::Begin(std::shared_ptr<const PolicySource> policy) {
  service_.name = "shop";
  service_.rules = {.bounds = {.min = 0, .max = 1000}, .down = {.stabilization = Millis(0)}};
  service_.policy = std::move(policy);
  input_.now = FromUnixSeconds(1'767'600'000);  // Monday, 2026-01-05 08:00 UTC
}

PolicyRig& PolicyRig::Metric(const std::string& name, Unit unit) {
  MetricSpec spec;
  spec.name = name;
  spec.unit = unit;
  service_.metrics.push_back({.spec = std::make_shared<const MetricSpec>(spec), .key = ""});
  service_.declared.push_back({.name = name, .unit = unit});
  return *this;
}

PolicyRig& PolicyRig::Param(const std::string& name, ParamValue value) {
  service_.params[name] = std::move(value);
  return *this;
}

PolicyRig& PolicyRig::Has(int desired, int ready) {
  input_.capacity = {.desired = desired, .ready = ready};
  return *this;
}

PolicyRig& PolicyRig::Min(int min) {
  service_.rules.bounds.min = min;
  return *this;
}

PolicyRig& PolicyRig::Value(const std::string& name, double value) {
  metrics_[name] = Sample{.value = value, .state = SampleState::kFresh};
  return *this;
}

PolicyRig& PolicyRig::Each(const std::string& name, std::vector<double> values, int ready) {
  Sample sample{.state = SampleState::kFresh};
  int covered = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_ready = static_cast<int>(i) < ready;
    covered += is_ready ? 1 : 0;
    sample.value += values[i] / static_cast<double>(values.size());
    sample.instances.push_back(
        {.instance = "i-" + std::to_string(i), .value = values[i], .ready = is_ready});
  }
  if (input_.capacity.ready > 0) {
    sample.coverage = static_cast<float>(covered) / static_cast<float>(input_.capacity.ready);
  }
  metrics_[name] = std::move(sample);
  return *this;
}

PolicyRig& PolicyRig::Is(const std::string& name, SampleState state) {
  metrics_[name] = Sample{.state = state};
  return *this;
}

PolicyRig& PolicyRig::Zone(const std::string& name) {
  auto zone = ZoneFiles().Read(name);
  EXPECT_TRUE(zone.ok()) << zone.error().message;
  if (zone.ok()) service_.zones.push_back(*std::move(zone));
  return *this;
}

PolicyRig& PolicyRig::At(double unix_seconds) {
  input_.now = FromUnixSeconds(unix_seconds);
  return *this;
}

PolicyRig& PolicyRig::After(double seconds) {
  input_.now += Millis(static_cast<int64_t>(std::llround(seconds * 1000)));
  return *this;
}

PolicyRig& PolicyRig::Lasts(double seconds) {
  for (; seconds > 15; seconds -= 15) After(15).Run();
  return After(seconds);
}

const StepOutcome& PolicyRig::Run() {
  input_.metrics = metrics_;
  last_ = Step(*host_, service_, input_);
  input_.state = last_.state;
  input_.history = last_.history;
  return last_;
}

int PolicyRig::Acts() {
  const int desired = Run().decision.desired;
  Has(desired);
  return desired;
}

}  // namespace autoscale
