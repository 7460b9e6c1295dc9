#include "daemon/check.h"

#include "engine/policy/host.h"
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

// Whatever is wrong with it: the service itself is none the worse.
void CheckShadow(PolicyHost& host, const ServiceSpec& service, LoadResult& result) {
  const ShadowSpec& shadow = *service.shadow;
  Snapshot snapshot = SnapshotOf(service);
  snapshot.params = &shadow.params;
  const auto doubt = host.Check(*shadow.policy, snapshot);
  if (doubt.ok() && doubt->empty()) return;
  result.diagnostics.push_back({.severity = Diagnostic::Severity::kWarning,
                                .file = service.file,
                                .line = service.line,
                                .message = "service '" + service.name + "': shadow policy " +
                                           (doubt.ok() ? *doubt : doubt.error().message) +
                                           "; what is tried holds, the service does not"});
}

}  // namespace

LoadResult LoadAndCheck(const std::string& path, bool dry_run) {
  LoadResult result = LoadConfiguration(path, AllAdapters());
  if (!result.ok()) return result;
  PolicyHost host(result.configuration.daemon.policy_limits);
  for (ServiceSpec& service : result.configuration.services) {
    const auto doubt = host.Check(*service.policy, SnapshotOf(service));
    if (!doubt.ok() || !doubt->empty()) {
      result.diagnostics.push_back(
          {.severity = doubt.ok() ? Diagnostic::Severity::kWarning : Diagnostic::Severity::kError,
           .file = service.file,
           .line = service.line,
           .message = "service '" + service.name + "': policy " +
                      (doubt.ok() ? *doubt + "; the service would hold" : doubt.error().message)});
    }
    if (service.shadow) CheckShadow(host, service, result);
    if ((dry_run || result.configuration.daemon.dry_run) && !service.dry_run) {
      service.dry_run = true;
      service.content_hash = ~service.content_hash;
    }
  }
  return result;
}

}  // namespace autoscale
