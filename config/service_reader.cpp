#include "config/service_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "config/content_hash.h"
#include "config/limits_reader.h"
#include "config/names.h"
#include "config/rules_reader.h"
#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr size_t kMaxZones = 16;  // of one service
constexpr DurationRange kDrainRange{.min = Millis(0), .max = std::chrono::hours(24)};
constexpr DoubleRange kPriceRange{.min = 0, .max = 1e6};
constexpr DurationRange kStartRange{.min = std::chrono::seconds(1), .max = std::chrono::hours(24)};

// YAML 1.1 took these for booleans, and as text each of them is true in Lua.
bool LooksBoolean(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  static constexpr std::string_view kWords[] = {"yes", "no", "on", "off", "true", "false"};
  return std::find(std::begin(kWords), std::end(kWords), text) != std::end(kWords);
}

std::optional<ParamValue> ReadParam(Section& params, const std::string& name) {
  const YAML::Node node = params.Raw(name);
  if (!node.IsScalar()) {
    params.Fault(name, "parameter '" + name + "' must be a number, true, false or text");
    return std::nullopt;
  }
  const std::string& text = node.Scalar();
  if (node.Tag() != "?") return text;
  if (const auto number = ParseDouble(text)) return *number;
  if (const auto boolean = ParseBool(text)) return *boolean;
  if (LooksBoolean(text)) {
    params.Fault(name, "parameter '" + name + "': write true or false, or \"" + text +
                           "\" in quotes for text, not " + text);
  }
  return text;
}

Params ReadParams(Section& section) {
  Params params;
  std::optional<Section> child = section.Child("params");
  if (!child) return params;
  for (const std::string& name : child->Keys()) {
    if (auto value = ReadParam(*child, name)) params.emplace(name, *std::move(value));
  }
  return params;
}

}  // namespace

ServiceReader::ServiceReader(const LoadOptions& options, const DaemonFile* daemon,
                             PolicyFiles& policies)
    : options_(options), daemon_(daemon), policies_(policies) {
  for (const auto& [type, parse] : options.providers) provider_types_.push_back(type);
  if (daemon == nullptr) return;
  for (const PluginSpec& plugin : daemon->spec.plugins) {
    if (!options.providers.contains(plugin.name)) provider_types_.push_back(plugin.name);
  }
  for (const GatewaySpec& gateway : daemon->spec.gateways) gateway_names_.push_back(gateway.name);
}

std::vector<ServiceSpec> ServiceReader::Read(Section root) {
  std::vector<ServiceSpec> services;
  if (root.Has("service") && root.Has("services")) {
    root.Fault("services", "a file has either 'service' or 'services', not both");
  } else if (root.Has("service")) {
    services.push_back(ReadService(std::move(root), nullptr));
  } else if (root.Has("services")) {
    const MetricTable metrics = ReadMetricTable(root);
    for (Section& section : root.Children("services")) {
      services.push_back(ReadService(std::move(section), &metrics));
    }
    root.Finish();
  } else {
    root.Fault("", "no service here; begin with 'service: NAME', or with 'services:' and a list");
  }
  return services;
}

ServiceSpec ServiceReader::ReadService(Section section, const MetricTable* file_metrics) {
  ServiceSpec service;
  service.file = section.file();
  service.line = section.Line("service");
  ReadName(section, service);
  service.policy = ReadPolicy(section);
  service.params = ReadParams(section);
  ReadOwnLimits(section, service);
  ReadZones(section, service);
  ReadShadow(section, service);
  service.interval = section.Duration(
      "interval", daemon_ == nullptr ? service.interval : daemon_->interval, kIntervalRange);
  service.metrics = ReadMetricUses(section, service.name,
                                   {.file = file_metrics,
                                    .daemon = daemon_ == nullptr ? nullptr : &daemon_->metrics,
                                    .daemon_file = daemon_ == nullptr ? "" : daemon_->spec.file});
  service.declared.reserve(service.metrics.size());
  for (const MetricUse& use : service.metrics) {
    const MetricSpec& metric = *use.spec;
    service.declared.push_back({.name = metric.name, .unit = metric.unit, .spread = metric.spread});
  }
  service.rules = ReadScalingRules(section, service.declared);
  service.cost_per_hour = section.Double("cost_per_hour", service.cost_per_hour, kPriceRange);
  ReadProvider(section, service);
  service.owner =
      static_cast<CapacityOwner>(section.Choice("capacity", 0, {"managed", "shared", "external"}));
  if (section.Has("capacity") && service.target && !service.target->has_capacity()) {
    section.Fault("capacity",
                  "'capacity' says whose word counts where others can scale the target, "
                  "too; instances of provider " +
                      service.provider + " are started by this daemon alone: leave it out");
  }
  ReadGateways(section, service);
  service.drain_timeout = section.Duration("drain_timeout", service.drain_timeout, kDrainRange);
  service.start_timeout = section.Duration("start_timeout", service.start_timeout, kStartRange);
  service.dry_run = section.Bool("dry_run", service.dry_run);
  section.Finish();
  service.content_hash = ContentHash(section.node(), service);
  return service;
}

void ServiceReader::ReadName(Section& section, ServiceSpec& service) {
  service.name = section.RequiredString("service");
  if (service.name.empty() || IsServiceName(service.name)) return;
  section.Fault("service", "service name '" + service.name +
                               "' must hold only a-z, 0-9, '-', '_' and '.', at most 63, and begin "
                               "with a letter or digit");
}

std::shared_ptr<const PolicySource> ServiceReader::ReadPolicy(Section& section) {
  const std::string path = section.Path("policy");
  if (!section.Has("policy")) {
    section.Fault("", "'policy' is missing; name a Lua file: policy: ../policies/checkout.lua");
  }
  if (path.empty()) return nullptr;
  const std::string written = section.String("policy");
  auto source = IsShippedName(written) ? policies_.Shipped(written) : policies_.Read(path);
  if (source.ok()) return *std::move(source);
  section.Fault("policy", source.error().message);
  return nullptr;
}

void ServiceReader::ReadShadow(Section& section, ServiceSpec& service) {
  std::optional<Section> child = section.Child("shadow");
  if (!child) return;
  const auto policy = ReadPolicy(*child);
  ShadowSpec shadow{.policy = nullptr, .params = ReadParams(*child)};
  child->Finish();
  if (!policy) return;
  // Known by another hash: it is quarantined for itself alone.
  constexpr uint64_t kShadow = 0x9e3779b97f4a7c15u;
  std::shared_ptr<const PolicySource>& copy = shadows_[policy->path];
  if (!copy) {
    PolicySource source = *policy;
    source.hash ^= kShadow;
    copy = std::make_shared<const PolicySource>(std::move(source));
  }
  shadow.policy = copy;
  service.shadow = std::make_shared<const ShadowSpec>(std::move(shadow));
}

void ServiceReader::ReadZones(Section& section, ServiceSpec& service) {
  const YAML::Node given = section.Raw("timezone");
  if (!given.IsDefined()) return;
  std::vector<std::string> names;
  if (given.IsSequence()) {
    names = section.Strings("timezone");
  } else if (std::string name = section.RequiredString("timezone"); !name.empty()) {
    names.push_back(std::move(name));
  }
  if (names.size() > kMaxZones) {
    section.Fault("timezone", "'timezone' lists more than " + std::to_string(kMaxZones) + " zones");
    return;
  }
  for (const std::string& name : names) {
    if (auto zone = zones_.Read(name); zone.ok()) {
      service.zones.push_back(*std::move(zone));
    } else {
      section.Fault("timezone", zone.error().message);
    }
  }
}

void ServiceReader::ReadProvider(Section& section, ServiceSpec& service) {
  std::optional<Section> provider = section.Child("provider");
  if (!provider) {
    if (!section.Has("provider") && !options_.accept_any_adapter) {
      section.Fault("",
                    "'provider' is missing; say what starts and stops the instances: "
                    "provider: {type: process, ...}");
    }
    return;
  }
  service.provider = provider->RequiredString("type");
  const auto parser = options_.providers.find(service.provider);
  if (parser != options_.providers.end()) {
    service.target = parser->second(*provider, service.name);
    provider->Finish();
  } else if (std::find(provider_types_.begin(), provider_types_.end(), service.provider) !=
             provider_types_.end()) {
    service.target = options_.plugin_target(*provider, service.name);
    provider->Finish();
  } else if (!options_.accept_any_adapter && !service.provider.empty()) {
    provider->Fault("type", "unknown provider type '" + service.provider +
                                "'; known: " + Join(provider_types_));
  }
}

void ServiceReader::ReadGateways(Section& section, ServiceSpec& service) {
  for (Section& use : section.Children("gateways")) {
    GatewayUse gateway;
    gateway.gateway = use.RequiredString("gateway");
    gateway.upstream = use.String("upstream", service.name);
    use.Finish();
    if (use.Has("upstream") && !IsUpstreamName(gateway.upstream)) {
      use.Fault("upstream", "upstream name '" + gateway.upstream +
                                "' must hold only letters, digits, '-', '_' and '.', at most 128");
    }
    if (daemon_ != nullptr && !gateway.gateway.empty() &&
        std::find(gateway_names_.begin(), gateway_names_.end(), gateway.gateway) ==
            gateway_names_.end()) {
      const std::string hint = DidYouMean(gateway.gateway, gateway_names_);
      use.Fault(
          "gateway",
          "gateway '" + gateway.gateway + "' is not declared" +
              (hint.empty() ? "; declare it under 'gateways' of " + daemon_->spec.file : hint));
    }
    service.gateways.push_back(std::move(gateway));
  }
}

}  // namespace autoscale
