#include "cli/command.h"
#include "cli/eval_input.h"
#include "cli/json.h"
#include "cli/policy_files.h"
#include "config/loader.h"
#include "engine/policy/host.h"
#include "engine/record/record.h"
#include "simulator/step.h"

namespace autoscale::cli {
namespace {

using nlohmann::ordered_json;

ordered_json ToJson(const DeclaredMetric& metric, const Sample& sample) {
  ordered_json json = {{"value", nullptr},
                       {"unit", ToString(metric.unit)},
                       {"state", ToString(sample.state)},
                       {"substituted", sample.substituted},
                       {"age", nullptr},
                       {"coverage", nullptr}};
  if (sample.state == SampleState::kFresh) json["value"] = sample.value;
  // Through a short text: 0.9f is 0.9 to a reader, not 0.899999976.
  if (sample.age_s) json["age"] = std::stod(FormatNumber(*sample.age_s));
  if (sample.coverage) json["coverage"] = std::stod(FormatNumber(*sample.coverage));
  if (!sample.instances.empty()) {
    ordered_json& instances = json["instances"] = ordered_json::object();
    for (const InstanceSample& instance : sample.instances) {
      instances[instance.instance] = {{"value", instance.value}, {"ready", instance.ready}};
    }
  }
  return json;
}

// Runs the daemon's own path of one tick to the decision, without acting.
Result<ordered_json> Evaluate(const ServiceSpec& service, const PolicyLimits& limits,
                              StepInput input) {
  PolicyHost host(limits);
  // Whatever else is found is a doubt: the evaluation itself shows it, as a hold.
  if (const auto doubt = host.Check(*service.policy, SnapshotOf(service)); !doubt) {
    return doubt.error();
  }
  const TimePoint now = input.now;
  const StepOutcome step = Step(host, service, std::move(input));

  ordered_json out;
  out["service"] = service.name;
  out["now"] = ToUnixSeconds(now);
  out["proposal"] = autoscale::ToJson(step.proposal);
  out["decision"] = autoscale::ToJson(step.decision);
  out["stages"] = StagesToJson(step.decision);
  ordered_json& metrics = out["metrics"] = ordered_json::object();
  for (size_t i = 0; i < step.samples.size(); ++i) {
    metrics[service.declared[i].name] = ToJson(service.declared[i], step.samples[i]);
  }
  if (!step.state.empty()) out["state"] = step.state;
  return out;
}

}  // namespace

int RunPolicyEval(const Context& context, const PolicyEvalOptions& options) {
  const LoadResult loaded =
      LoadServiceFile(options.service_file, options.daemon_file, {.accept_any_adapter = true});
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    context.err << ToString(diagnostic) << "\n";
  }
  if (!loaded.ok()) return Fail(context, kExitUsage, "the service's configuration has errors.");
  const auto service =
      ChooseService(loaded.configuration.services, options.name, options.service_file);
  if (!service) return Fail(context, kExitUsage, service.error().message);
  const auto text = ReadInput(options.input_file);
  if (!text) return Fail(context, kExitUsage, text.error().message);
  auto input = ParseEvalInput(*text, (*service)->declared);
  if (!input) {
    return Fail(context, kExitUsage,
                "the input " + options.input_file + " is wrong:\n" + input.error().message);
  }
  const auto answer =
      Evaluate(**service, loaded.configuration.daemon.policy_limits, std::move(input).value());
  if (!answer) {
    return Fail(context, kExitUsage,
                "the daemon would refuse this policy: " + answer.error().message);
  }
  context.out << Dump(*answer);
  return kExitOk;
}

}  // namespace autoscale::cli
