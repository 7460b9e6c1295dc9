#include "daemon/controller/leaving.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace autoscale {
namespace {

constexpr char kFormer = '@';  // in no service's name

}  // namespace

std::string EncodeLeaving(const ServiceSpec& spec) {
  nlohmann::json gateways = nlohmann::json::array();
  for (const GatewayUse& use : spec.gateways) {
    gateways.push_back({{"gateway", use.gateway}, {"upstream", use.upstream}});
  }
  return nlohmann::json{{"provider", spec.provider},
                        {"has_capacity", spec.target && spec.target->has_capacity()},
                        {"drain_timeout_ms", spec.drain_timeout.count()},
                        {"gateways", std::move(gateways)}}
      .dump();
}

Result<ServiceSpec> DecodeLeaving(const std::string& name, std::string_view text) {
  const Error malformed{ErrorKind::kInvalid,
                        "what is stored of the removed service '" + name + "' is malformed"};
  const auto json = nlohmann::json::parse(text, nullptr, false);
  ServiceSpec spec;
  spec.name = name;
  spec.rules.bounds = {.min = 0, .max = 0};
  if (!json.is_object() || !json.contains("provider") || !json["provider"].is_string() ||
      !json.contains("drain_timeout_ms") || !json["drain_timeout_ms"].is_number_unsigned() ||
      !json.contains("gateways") || !json["gateways"].is_array()) {
    return malformed;
  }
  spec.provider = json["provider"];
  spec.drain_timeout =
      std::min<Millis>(Millis(json["drain_timeout_ms"].get<uint32_t>()), std::chrono::hours(24));
  for (const auto& use : json["gateways"]) {
    if (!use.is_object() || !use.contains("gateway") || !use["gateway"].is_string() ||
        !use.contains("upstream") || !use["upstream"].is_string()) {
      return malformed;
    }
    spec.gateways.push_back({.gateway = use["gateway"], .upstream = use["upstream"]});
  }
  return spec;
}

bool LeavesItsTarget(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  return json.is_object() && json.contains("has_capacity") && json["has_capacity"] == true;
}

ServiceSpec FormerUpstream(const ServiceSpec& spec, const GatewayUse& dropped) {
  ServiceSpec former;
  former.name = spec.name + kFormer + dropped.gateway + '/' + dropped.upstream;
  former.rules.bounds = {.min = 0, .max = 0};
  former.gateways = {dropped};
  return former;
}

std::string ConfiguredName(const std::string& name) { return name.substr(0, name.find(kFormer)); }

}  // namespace autoscale
