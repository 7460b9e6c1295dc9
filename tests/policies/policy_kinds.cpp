#include "tests/policies/policy_kinds.h"

namespace autoscale {
namespace {

// Sets a parameter that has a default, mostly not.
void Maybe(Random& random, Params& params, const char* name, double value) {
  if (random.Chance(40)) params[name] = value;
}

void Tolerances(Random& random, Params& params) {
  Maybe(random, params, "tolerance_up", random.Real(0, 0.9));
  Maybe(random, params, "tolerance_down", random.Real(0, 0.9));
}

void CpuTarget(Random& random, Situation& out) {
  out.roles = {{.name = "cpu", .usual = 0.6, .by_instance = true}};
  Maybe(random, out.service.params, "target", random.Real(0.05, 1.5));
  Tolerances(random, out.service.params);
}

void LatencySlo(Random& random, Situation& out) {
  out.roles = {{.name = "latency", .unit = Unit::kSeconds, .usual = 0.3},
               {.name = "cpu", .usual = 0.6}};
  Params& params = out.service.params;
  params["slo"] = random.Real(0.05, 1);
  Maybe(random, params, "samples", random.Int(1, 4));
  Maybe(random, params, "up_percent", random.Int(1, 200));
  Maybe(random, params, "fast", random.Real(0, 1));
  Maybe(random, params, "idle", random.Int(0, 300));
  Maybe(random, params, "cpu_most", random.Real(0.05, 1.5));
}

void RequestsPerInstance(Random& random, Situation& out) {
  out.roles = {{.name = "arrivals", .unit = Unit::kPerSecond, .usual = 500}};
  out.service.params["target_rps"] = random.Real(1, 100);
  Maybe(random, out.service.params, "tolerance", random.Real(0, 0.9));
}

void QueueDepth(Random& random, Situation& out) {
  out.roles = {{.name = "queue", .unit = Unit::kCount, .usual = 200}};
  Params& params = out.service.params;
  params["per_instance"] = random.Real(0.5, 50);
  Maybe(random, params, "tolerance", random.Real(0, 0.9));
  Maybe(random, params, "activation", random.Int(0, 50));
  Maybe(random, params, "cooldown", random.Int(0, 300));
}

void LlmInference(Random& random, Situation& out) {
  out.roles = {{.name = "running", .unit = Unit::kCount, .usual = 150},
               {.name = "waiting", .unit = Unit::kCount, .usual = 50},
               {.name = "first_token", .unit = Unit::kSeconds, .usual = 2}};
  Params& params = out.service.params;
  Maybe(random, params, "per_instance", random.Int(1, 40));
  Maybe(random, params, "slo", random.Real(0.1, 5));
  Maybe(random, params, "start_seconds", random.Int(1, 600));
  Maybe(random, params, "idle", random.Int(0, 300));
}

void ErrorGuarded(Random& random, Situation& out) {
  out.roles = {{.name = "cpu", .usual = 0.6, .by_instance = true},
               {.name = "errors", .usual = 0.03, .is_load = false}};
  Params& params = out.service.params;
  Maybe(random, params, "target", random.Real(0.05, 1.5));
  Maybe(random, params, "errors_most", random.Real(0, 0.2));
  Maybe(random, params, "calm", random.Int(0, 300));
}

void Predictive(Random& random, Situation& out) {
  out.roles = {{.name = "arrivals", .unit = Unit::kPerSecond, .usual = 500},
               {.name = "forecast", .unit = Unit::kPerSecond, .usual = 600, .needed = false}};
  Params& params = out.service.params;
  params["target_rps"] = random.Real(1, 100);
  Maybe(random, params, "tolerance", random.Real(0, 0.9));
  Maybe(random, params, "trust", random.Real(1, 100));
}

void Thresholds(Random& random, Situation& out) {
  out.roles = {{.name = "cpu", .unit = Unit::kPercent, .usual = 60}};
  Params& params = out.service.params;
  if (random.Chance(40)) {
    params["below"] = random.Real(0, 60);
    params["above"] = random.Real(61, 150);
  }
  Maybe(random, params, "up", random.Int(1, 5));
  Maybe(random, params, "down", random.Int(1, 5));
  Maybe(random, params, "samples", random.Int(1, 4));
}

// Adds one or more of three metrics; answers their names as hpa and keda are told them.
std::string SomeMetrics(Random& random, Situation& out) {
  const MetricRole all[] = {
      {.name = "cpu", .usual = 0.6, .by_instance = true},
      {.name = "queue", .unit = Unit::kCount, .usual = 200},
      {.name = "rps", .unit = Unit::kPerSecond, .usual = 60, .by_instance = true}};
  std::string names;
  const int64_t chosen = random.Whole(1, 7);
  for (int i = 0; i < 3; ++i) {
    if ((chosen >> i & 1) == 0) continue;
    out.roles.push_back(all[i]);
    names += (names.empty() ? "" : " ") + all[i].name;
  }
  return names;
}

void Hpa(Random& random, Situation& out) {
  Params& params = out.service.params;
  params["metrics"] = SomeMetrics(random, out);
  for (const MetricRole& role : out.roles) {
    params[role.name + "_target"] =
        role.unit == Unit::kRatio ? random.Real(0.05, 1.5) : role.usual * random.Real(0.1, 2);
    if (random.Chance(40)) {
      params[role.name + "_type"] = std::string(random.Chance(30)   ? "pods"
                                                : random.Chance(50) ? "value"
                                                                    : "average");
    }
  }
  Maybe(random, params, "tolerance", random.Real(0, 0.5));
  Tolerances(random, params);
}

void Keda(Random& random, Situation& out) {
  Params& params = out.service.params;
  params["triggers"] = SomeMetrics(random, out);
  for (const MetricRole& role : out.roles) {
    params[role.name + "_threshold"] =
        role.unit == Unit::kRatio ? random.Real(0.05, 1.5) : role.usual * random.Real(0.1, 2);
    if (random.Chance(40)) {
      params[role.name + "_type"] =
          std::string(role.unit == Unit::kRatio && random.Chance(50) ? "utilization" : "value");
    }
    Maybe(random, params, (role.name + "_activation").c_str(), random.Real(0, role.usual));
  }
  Maybe(random, params, "cooldown", random.Int(0, 300));
  if (random.Chance(30)) {  // "static" and "current_if_lower" shrink: they are asked to
    params["fallback_replicas"] = static_cast<double>(random.Int(0, 20));
    params["fallback_failures"] = static_cast<double>(random.Int(0, 3));
    params["fallback_behavior"] = std::string(random.Chance(50) ? "current" : "current_if_higher");
  }
}

void BusinessHours(Random& random, Situation& out) {
  out.roles = {{.name = "cpu", .usual = 0.6, .by_instance = true}};
  Params& params = out.service.params;
  params["capacity"] = static_cast<double>(random.Int(1, 20));
  Maybe(random, params, "target", random.Real(0.05, 1.5));
  Maybe(random, params, "ahead", random.Int(0, 86400));
}

void AwsStep(Random& random, Situation& out) {
  out.roles = {{.name = "load", .unit = Unit::kPercent, .usual = 50}};
  if (random.Chance(30)) out.service.params["kind"] = std::string("change");
  Maybe(random, out.service.params, "at_least", random.Int(1, 4));
}

void AwsTarget(Random& random, Situation& out) {
  out.roles = {{.name = "load", .unit = Unit::kPercent, .usual = 60}};
  out.service.params["target"] = random.Real(5, 140);
  Maybe(random, out.service.params, "warmup", random.Int(0, 600));
}

void Kpa(Random& random, Situation& out) {
  out.roles = {{.name = "stable", .unit = Unit::kCount, .usual = 200},
               {.name = "burst", .unit = Unit::kCount, .usual = 300}};
  Params& params = out.service.params;
  params["target"] = random.Real(1, 50);
  Maybe(random, params, "panic_threshold", random.Real(1, 4));
  Maybe(random, params, "max_scale_up_rate", random.Real(1, 20));
  Maybe(random, params, "max_scale_down_rate", random.Real(1, 20));
}

void Nomad(Random& random, Situation& out) {
  out.roles = {{.name = "load", .unit = Unit::kCount, .usual = 20}};
  Params& params = out.service.params;
  params["strategy"] = std::string("target-value");
  params["target"] = random.Real(1, 50);
  Maybe(random, params, "threshold", random.Real(0, 0.5));
  Maybe(random, params, "max_scale_up", random.Int(1, 20));
  Maybe(random, params, "max_scale_down", random.Int(1, 20));
}

void Combined(Random& random, Situation& out) {
  out.roles = {{.name = "busy", .usual = 0.6, .by_instance = true},
               {.name = "queue", .unit = Unit::kCount, .usual = 200},
               {.name = "wanted", .unit = Unit::kCount, .usual = 10}};
  out.service.params["how"] = std::string(random.Chance(50)   ? "all"
                                          : random.Chance(50) ? "min"
                                                              : "max");
}

constexpr PolicyKind kKinds[] = {
    {"cpu_target", "", CpuTarget},
    {"latency_slo", "", LatencySlo},
    {"requests_per_instance", "", RequestsPerInstance},
    {"queue_depth", "", QueueDepth},
    {"llm_inference", "", LlmInference},
    {"error_guarded", "", ErrorGuarded},
    {"predictive", "", Predictive},
    {"thresholds", "", Thresholds},
    {"hpa", "", Hpa},
    {"keda", "", Keda},
    {"business_hours", "", BusinessHours},
    {"aws_step", "tests/policies/aws_step.lua", AwsStep},
    {"aws_target", "tests/policies/aws_target.lua", AwsTarget},
    {"kpa", "tests/policies/kpa.lua", Kpa},
    {"nomad", "tests/policies/nomad.lua", Nomad},
    {"combined", "tests/policies/combined.lua", Combined},
};

}  // namespace

std::span<const PolicyKind> PolicyKinds() { return kKinds; }

}  // namespace autoscale
