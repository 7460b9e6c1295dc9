#include "daemon/check.h"

#include <utility>
#include <vector>

#include "daemon/worker/trials.h"
#include "daemon/worker/worker.h"
#include "gateways/gateway.h"
#include "providers/plugin/plugin_host.h"
#include "providers/provider.h"
#include "providers/readiness/readiness.h"

namespace autoscale {
namespace {

LoadOptions AllAdapters() {
  LoadOptions options;
  for (const ProviderType& type : ProviderTypes()) options.providers[type.name] = type.parse;
  options.plugin = ParsePlugin;
  options.plugin_target = WithReadiness(ParsePluginTarget);
  for (const GatewayType& type : GatewayTypes()) options.gateways[type.name] = type.parse;
  return options;
}

// The policies to try, and the service of each; a shadow stands behind the policy that it is tried
// beside.
struct Asked {
  std::vector<EvaluationRequest> requests;
  std::vector<const ServiceSpec*> services;
};

Asked AskFor(const std::vector<ServiceSpec>& services) {
  Asked asked;
  for (const ServiceSpec& service : services) {
    asked.requests.push_back({.policy = service.policy, .snapshot = SnapshotOf(service)});
    asked.services.push_back(&service);
    if (!service.shadow) continue;
    asked.requests.push_back({.policy = service.shadow->policy, .snapshot = SnapshotOf(service)});
    asked.requests.back().snapshot.params = &service.shadow->params;
    asked.services.push_back(&service);
  }
  return asked;
}

bool IsShadow(const Asked& asked, size_t at) {
  return at > 0 && asked.services[at] == asked.services[at - 1];
}

Diagnostic Tell(const ServiceSpec& service, const TrialVerdict& verdict, bool shadow) {
  using Severity = Diagnostic::Severity;
  const bool error = verdict.kind == TrialVerdict::Kind::kError;
  Diagnostic told{.severity = error && !shadow ? Severity::kError : Severity::kWarning,
                  .file = service.file,
                  .line = service.line,
                  .message = "service '" + service.name + "': "};
  if (shadow) {  // whatever is wrong with it: the service itself is none the worse
    told.message += "shadow policy " + verdict.text + "; what is tried holds, the service does not";
  } else {
    told.message += "policy " + verdict.text + (error ? "" : "; the service would hold");
  }
  return told;
}

// An error, and of all of them at once: a policy that was not tried may have a level that does not
// fit its metric's unit, and shrink its fleet. What is in force stays in force, and is better.
Diagnostic TellUntried(const std::string& path, size_t count, const ServiceSpec& first,
                       const std::string& last_loss) {
  std::string message = std::to_string(count) + (count == 1 ? " policy was" : " policies were") +
                        " not tried (the first is that of service '" + first.name +
                        "'): the process that tries them was lost too often";
  if (!last_loss.empty()) message += ", the last time to " + last_loss;
  return {.file = path, .message = std::move(message)};
}

void TryPolicies(const std::string& path, std::stop_token stop, LoadResult& result) {
  const Asked asked = AskFor(result.configuration.services);
  PolicyTrials trials(DefaultWorkerPath(), result.configuration.daemon.policy_limits,
                      std::move(stop));
  auto verdicts = trials.Try(asked.requests);
  if (!verdicts) {
    // No worker: nothing may act that was never tried.
    result.diagnostics.push_back(
        {.file = path, .message = "the policies cannot be tried: " + verdicts.error().message});
    return;
  }
  size_t untried = 0;
  const ServiceSpec* first = nullptr;
  for (size_t i = 0; i < verdicts->size(); ++i) {
    const TrialVerdict& verdict = (*verdicts)[i];
    if (verdict.kind == TrialVerdict::Kind::kUntried) {
      if (++untried == 1) first = asked.services[i];
    } else if (verdict.kind != TrialVerdict::Kind::kFine) {
      result.diagnostics.push_back(Tell(*asked.services[i], verdict, IsShadow(asked, i)));
    }
  }
  if (untried > 0) {
    result.diagnostics.push_back(TellUntried(path, untried, *first, trials.last_loss()));
  }
}

}  // namespace

LoadResult LoadAndCheck(const std::string& path, bool dry_run, std::stop_token stop) {
  LoadResult result = LoadConfiguration(path, AllAdapters());
  if (!result.ok()) return result;
  TryPolicies(path, std::move(stop), result);
  for (ServiceSpec& service : result.configuration.services) {
    if ((dry_run || result.configuration.daemon.dry_run) && !service.dry_run) {
      service.dry_run = true;
      service.content_hash = ~service.content_hash;
    }
  }
  return result;
}

}  // namespace autoscale
