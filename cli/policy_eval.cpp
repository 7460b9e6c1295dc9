#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>

#include "cli/command.h"
#include "cli/eval_input.h"
#include "cli/json.h"
#include "config/loader.h"
#include "engine/decision/decide.h"
#include "engine/model/sample_rules.h"
#include "engine/policy/host.h"
#include "engine/record/record.h"

namespace autoscale::cli {
namespace {

using nlohmann::ordered_json;

Result<std::string> ReadInput(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file.is_open() || file.bad()) {
    return Error{ErrorKind::kInvalid,
                 "cannot read the input " + path + ": " + std::generic_category().message(errno)};
  }
  return text;
}

// The one service that is meant.
Result<const ServiceSpec*> Choose(const std::vector<ServiceSpec>& services,
                                  const PolicyEvalOptions& options) {
  std::string names;
  for (const ServiceSpec& service : services) {
    if (service.name == options.name) return &service;
    names += (names.empty() ? "" : ", ") + service.name;
  }
  if (options.name.empty() && services.size() == 1) return &services[0];
  if (services.empty()) {
    return Error{ErrorKind::kInvalid, options.service_file + " defines no service"};
  }
  return Error{ErrorKind::kInvalid,
               (options.name.empty() ? options.service_file + " defines several services"
                                     : "no service '" + options.name + "'") +
                   "; choose with --name: " + names};
}

// The input's samples as the daemon would judge them, in the order of the declared metrics.
std::vector<Sample> JudgeAll(const ServiceSpec& service, EvalInput& input) {
  std::vector<Sample> samples;
  for (const MetricUse& use : service.metrics) {
    const MetricSpec& spec = *use.spec;
    samples.push_back(Judge(std::move(input.metrics[spec.name]), spec.missing.when_empty,
                            spec.missing.when_nan, spec.max_age));
  }
  return samples;
}

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

// Runs the daemon's own path of one tick, from judged samples to the decision, without acting.
Result<ordered_json> Evaluate(const ServiceSpec& service, const PolicyLimits& limits,
                              EvalInput input) {
  PolicyHost host(limits);
  // Whatever else is found is a doubt: the evaluation itself shows it, as a hold.
  if (const auto doubt =
          host.Check(*service.policy, service.declared, service.params, service.rules.bounds);
      !doubt) {
    return doubt.error();
  }
  const std::vector<Sample> samples = JudgeAll(service, input);
  const Snapshot snapshot{.service = service.name,
                          .now = input.now,
                          .capacity = input.capacity,
                          .bounds = service.rules.bounds,
                          .metrics = service.declared,
                          .samples = samples,
                          .params = &service.params,
                          .state = input.state};
  const Evaluation evaluation = host.Evaluate(*service.policy, snapshot);
  input.history.AddProposal(input.now, evaluation.proposal.capacity);
  const Decision decision =
      Decide(service.rules, evaluation.proposal, input.capacity, input.now, input.history);

  ordered_json out;
  out["service"] = service.name;
  out["now"] = ToUnixSeconds(input.now);
  out["proposal"] = autoscale::ToJson(evaluation.proposal);
  out["decision"] = autoscale::ToJson(decision);
  out["stages"] = StagesToJson(decision);
  ordered_json& metrics = out["metrics"] = ordered_json::object();
  for (size_t i = 0; i < samples.size(); ++i) {
    metrics[service.declared[i].name] = ToJson(service.declared[i], samples[i]);
  }
  const std::string& state = evaluation.state ? *evaluation.state : input.state;
  if (!state.empty()) out["state"] = state;
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
  const auto service = Choose(loaded.configuration.services, options);
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
