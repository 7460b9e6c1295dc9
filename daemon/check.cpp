#include "daemon/check.h"

#include "engine/policy/host.h"
#include "gateways/gateway.h"
#include "providers/provider.h"

namespace autoscale {
namespace {

LoadOptions AllAdapters() {
  LoadOptions options;
  for (const ProviderType& type : ProviderTypes()) options.providers[type.name] = type.parse;
  for (const GatewayType& type : GatewayTypes()) options.gateways[type.name] = type.parse;
  return options;
}

}  // namespace

LoadResult LoadAndCheck(const std::string& path, bool dry_run) {
  LoadResult result = LoadConfiguration(path, AllAdapters());
  if (!result.ok()) return result;
  PolicyHost host(result.configuration.daemon.policy_limits);
  for (ServiceSpec& service : result.configuration.services) {
    const auto doubt =
        host.Check(*service.policy, service.declared, service.params, service.rules.bounds);
    if (!doubt.ok() || !doubt->empty()) {
      result.diagnostics.push_back(
          {.severity = doubt.ok() ? Diagnostic::Severity::kWarning : Diagnostic::Severity::kError,
           .file = service.file,
           .line = service.line,
           .message = "service '" + service.name + "': policy " +
                      (doubt.ok() ? *doubt + "; the service would hold" : doubt.error().message)});
    }
    if ((dry_run || result.configuration.daemon.dry_run) && !service.dry_run) {
      service.dry_run = true;
      service.content_hash = ~service.content_hash;
    }
  }
  return result;
}

}  // namespace autoscale
