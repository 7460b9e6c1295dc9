#include "config/daemon_reader.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <utility>

#include "config/endpoint.h"
#include "config/limits_reader.h"
#include "config/names.h"
#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr DurationRange kTimeout{.min = Millis(1), .max = std::chrono::minutes(5)};
constexpr IntRange kAnswer{.min = 64 << 10, .max = int64_t{4} << 30};
constexpr IntRange kChangesPerMinute{.min = 1, .max = 1'000'000};
constexpr IntRange kFailures{.min = 2, .max = 1000};
constexpr DoubleRange kCostRange{.min = 0, .max = 1e9};
constexpr IntRange kConnections{.min = 1, .max = 256};
constexpr size_t kMaxUrls = 5;  // a time-out is shared among them; an HA pair is two

const std::vector<std::string> kLevels = {"debug", "info", "warn", "error"};

void ReadListen(Section& root, DaemonSpec& spec) {
  const std::string listen = root.String("listen", "127.0.0.1:9464");
  const size_t colon = std::min(listen.rfind(':'), listen.size());
  const std::string address = listen.substr(0, colon);
  const auto port =
      ParseInt(colon < listen.size() ? std::string_view(listen).substr(colon + 1) : "");
  in_addr parsed{};
  if (inet_pton(AF_INET, address.c_str(), &parsed) != 1 || !port || *port < 0 || *port > 65535) {
    root.Fault("listen",
               "'listen' must be an IPv4 address and a port, such as 127.0.0.1:9464, not '" +
                   listen + "'");
    return;
  }
  spec.listen_address = address;
  spec.listen_port = static_cast<int>(*port);
}

void ReadControl(Section& root, ControlSpec& control) {
  control.socket = "/run/autoscaled/control.sock";
  std::optional<Section> section = root.Child("control");
  if (!section) return;
  control.socket = section->Path("socket", control.socket);
  section->FitsSocket("socket", control.socket);
  const std::string mode = section->String("mode", "0600");
  const auto [end, error] =
      std::from_chars(mode.data(), mode.data() + mode.size(), control.mode, 8);
  if (error != std::errc() || end != mode.data() + mode.size() || control.mode > 0777) {
    section->Fault("mode",
                   "'control.mode' must be an octal mode such as \"0660\", not '" + mode + "'");
  }
  control.group = section->String("group");
  section->Finish();
}

// `url: U` or `urls: [U, V]`; neither is repeated in a message: a password may be in it.
void ReadUrls(Section& section, PrometheusSpec& prometheus, DaemonFileUse use) {
  const bool list = section.Has("urls");
  const char* const key = list ? "urls" : "url";
  if (list && section.Has("url")) {
    section.Fault("urls", "'prometheus' has both 'url' and 'urls'; remove one of them");
  }
  if (list) {
    prometheus.urls = section.Strings("urls");
    if (prometheus.urls.empty() || prometheus.urls.size() > kMaxUrls) {
      section.Fault("urls", "'prometheus.urls' must be a list of 1 to " + std::to_string(kMaxUrls) +
                                " equal endpoints");
    }
    (void)section.String("url");
  } else {
    prometheus.urls = {use == DaemonFileUse::kRun ? section.RequiredString("url")
                                                  : section.String("url")};
    if (prometheus.urls.front().empty()) prometheus.urls.clear();
  }
  for (std::string& url : prometheus.urls) {
    const std::string fault = UrlFault(url);
    if (!fault.empty()) {
      section.Fault(key, "'prometheus." + std::string(key) + "' " + fault);
      return;
    }
    while (url.ends_with('/')) url.pop_back();
  }
  if (std::set(prometheus.urls.begin(), prometheus.urls.end()).size() < prometheus.urls.size()) {
    section.Fault(key, "'prometheus.urls' names one endpoint twice; remove it");
  }
}

void ReadPrometheus(Section& root, PrometheusSpec& prometheus, DaemonFileUse use) {
  std::optional<Section> section = root.Child("prometheus");
  if (!section) {
    if (use == DaemonFileUse::kRun && !root.Has("prometheus")) {
      root.Fault("",
                 "'prometheus.url' is missing; say where Prometheus answers: "
                 "prometheus: {url: \"http://127.0.0.1:9090\"}");
    }
    return;
  }
  ReadUrls(*section, prometheus, use);
  prometheus.timeout = section->Duration("timeout", prometheus.timeout, kTimeout);
  Credentials credentials = ReadCredentials(*section, "prometheus");
  prometheus.bearer_token = std::move(credentials.bearer_token);
  prometheus.username = std::move(credentials.username);
  prometheus.password = std::move(credentials.password);
  prometheus.ca_file = std::move(credentials.ca_file);
  prometheus.max_connections =
      static_cast<int>(section->Int("max_connections", prometheus.max_connections, kConnections));
  prometheus.max_answer_bytes = static_cast<size_t>(
      section->Bytes("max_answer", static_cast<int64_t>(prometheus.max_answer_bytes), kAnswer));
  section->Finish();
}

void ReadLog(Section& root, LogSpec& log) {
  std::optional<Section> section = root.Child("log");
  if (!section) return;
  log.level = kLevels[section->Choice("level", 1, kLevels)];
  log.file = section->Path("file");
  section->Finish();
}

void ReadProtection(Section& root, ProtectionSpec& protection) {
  std::optional<Section> section = root.Child("protection");
  if (!section) return;
  protection.changes_per_minute = static_cast<int>(
      section->Int("changes_per_minute", protection.changes_per_minute, kChangesPerMinute));
  protection.failures = static_cast<int>(section->Int("failures", protection.failures, kFailures));
  protection.cost_per_hour = section->Double("cost_per_hour", protection.cost_per_hour, kCostRange);
  section->Finish();
}

Millis ReadDefaultInterval(Section& root, Millis fallback) {
  std::optional<Section> section = root.Child("defaults");
  if (!section) return fallback;
  fallback = section->Duration("interval", fallback, kIntervalRange);
  section->Finish();
  return fallback;
}

void ReadGateway(Section section, GatewaySpec& gateway, const LoadOptions& options) {
  if (!IsServiceName(gateway.name)) {
    section.Fault("", "gateway name '" + gateway.name +
                          "' must hold only a-z, 0-9, '-', '_' and '.', at most 63, and begin with "
                          "a letter or digit");
  }
  gateway.type = section.RequiredString("type");
  const auto parser = options.gateways.find(gateway.type);
  if (parser != options.gateways.end()) {
    gateway.options = parser->second(section, gateway.name);
    section.Finish();
  } else if (!options.accept_any_adapter && !gateway.type.empty()) {
    std::vector<std::string> types;
    for (const auto& [type, parse] : options.gateways) types.push_back(type);
    section.Fault("type", "unknown gateway type '" + gateway.type + "'; known: " + Join(types));
  }
}

std::vector<GatewaySpec> ReadGateways(Section& root, const LoadOptions& options) {
  std::vector<GatewaySpec> gateways;
  std::optional<Section> section = root.Child("gateways");
  if (!section) return gateways;
  for (const std::string& name : section->Keys()) {
    gateways.push_back({.name = name, .type = {}, .options = nullptr});
    if (std::optional<Section> child = section->Child(name)) {
      ReadGateway(*std::move(child), gateways.back(), options);
    }
  }
  return gateways;
}

std::vector<PluginSpec> ReadPlugins(Section& root, const LoadOptions& options) {
  std::vector<PluginSpec> plugins;
  std::optional<Section> section = root.Child("plugins");
  if (!section || !options.plugin) return plugins;
  for (const std::string& name : section->Keys()) {
    std::optional<Section> child = section->Child(name);
    if (!child) continue;
    if (!IsServiceName(name)) {
      child->Fault("",
                   "plugin name '" + name +
                       "' must hold only a-z, 0-9, '-', '_' and '.', at most 63, and begin with "
                       "a letter or digit");
    }
    if (options.providers.contains(name)) {
      child->Fault("", "plugin '" + name +
                           "' has the name of a provider that is built in; give it "
                           "another name");
    }
    plugins.push_back({.name = name, .options = options.plugin(*child, name)});
    child->Finish();
  }
  return plugins;
}

}  // namespace

DaemonFile ReadDaemonFile(Section root, const LoadOptions& options, DaemonFileUse use) {
  DaemonFile daemon;
  DaemonSpec& spec = daemon.spec;
  spec.file = root.file();
  ReadListen(root, spec);
  spec.state_dir = root.Path("state_dir", "/var/lib/autoscaled");
  spec.services_dir = root.Path("services_dir", "services.d");
  ReadControl(root, spec.control);
  ReadPrometheus(root, spec.prometheus, use);
  ReadLog(root, spec.log);
  ReadPolicyLimits(root, spec.policy_limits);
  ReadProtection(root, spec.protection);
  daemon.interval = ReadDefaultInterval(root, daemon.interval);
  spec.dry_run = root.Bool("dry_run", spec.dry_run);
  daemon.metrics = ReadMetricTable(root);
  spec.gateways = ReadGateways(root, options);
  spec.plugins = ReadPlugins(root, options);
  root.Finish();
  return daemon;
}

}  // namespace autoscale
