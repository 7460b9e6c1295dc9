#include "config/daemon_reader.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "config/names.h"
#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr IntRange kInstructions{.min = 1000, .max = 1'000'000'000};
constexpr IntRange kMemory{.min = 1 << 20, .max = int64_t{1} << 30};  // LuaJIT alone needs 100 KiB
constexpr DurationRange kWall{.min = Millis(1), .max = std::chrono::seconds(10)};
constexpr IntRange kSmallText{.min = 1 << 10, .max = 16 << 20};
constexpr DurationRange kTimeout{.min = Millis(1), .max = std::chrono::minutes(5)};
constexpr IntRange kAnswer{.min = 64 << 10, .max = int64_t{4} << 30};
constexpr IntRange kConnections{.min = 1, .max = 256};

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
  if (control.socket.size() >= sizeof(sockaddr_un{}.sun_path)) {
    section->Fault("socket", "the socket's path " + control.socket + " is longer than the " +
                                 std::to_string(sizeof(sockaddr_un{}.sun_path) - 1) +
                                 " bytes that the system allows");
  }
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

// Says what is wrong with the URL; empty: nothing.
std::string UrlFault(std::string_view url) {
  std::string form = "must be http://HOST:PORT or https://HOST:PORT, with a path or without";
  const size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  if (scheme == 0) return form;
  const std::string_view rest = url.substr(scheme);
  const std::string_view host = rest.substr(0, rest.find('/'));
  if (host.find('@') != std::string_view::npos) {
    return "must hold no user and password; give 'username' and 'password' instead";
  }
  if (host.empty() || host.front() == ':' ||
      rest.find_first_of(" \t\r\n?#") != std::string_view::npos) {
    return form;
  }
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.back() == ']') return {};
  const auto port = ParseInt(host.substr(colon + 1));
  return port && *port >= 1 && *port <= 65535 ? std::string() : form;
}

void ReadCredentials(Section& section, PrometheusSpec& prometheus) {
  prometheus.bearer_token = section.Secret("bearer_token");
  prometheus.username = section.String("username");
  prometheus.password = section.Secret("password");
  if (section.Has("username") != section.Has("password")) {
    section.Fault(
        section.Has("username") ? "username" : "password",
        "'prometheus.username' and 'prometheus.password' go together; give both or neither");
  }
  if (section.Has("bearer_token") && section.Has("username")) {
    section.Fault("bearer_token",
                  "'prometheus' has both a bearer token and a user name; remove one of them");
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
  prometheus.url =
      use == DaemonFileUse::kRun ? section->RequiredString("url") : section->String("url");
  if (!prometheus.url.empty()) {
    const std::string fault = UrlFault(prometheus.url);
    // Not repeated in the message: a password may be in it.
    if (!fault.empty()) section->Fault("url", "'prometheus.url' " + fault);
  }
  while (prometheus.url.ends_with('/')) prometheus.url.pop_back();
  prometheus.timeout = section->Duration("timeout", prometheus.timeout, kTimeout);
  ReadCredentials(*section, prometheus);
  prometheus.ca_file = section->Path("ca_file");
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

void ReadPolicyLimits(Section& root, PolicyLimits& limits) {
  std::optional<Section> section = root.Child("policy_limits");
  if (!section) return;
  const auto bytes = [&](std::string_view key, size_t fallback, IntRange range) {
    return static_cast<size_t>(section->Bytes(key, static_cast<int64_t>(fallback), range));
  };
  limits.instructions =
      static_cast<int>(section->Int("instructions", limits.instructions, kInstructions));
  limits.memory_bytes = bytes("memory", limits.memory_bytes, kMemory);
  limits.wall = section->Duration("wall", limits.wall, kWall);
  limits.state_bytes = bytes("state", limits.state_bytes, kSmallText);
  limits.source_bytes = bytes("source", limits.source_bytes, kSmallText);
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
  daemon.interval = ReadDefaultInterval(root, daemon.interval);
  spec.dry_run = root.Bool("dry_run", spec.dry_run);
  daemon.metrics = ReadMetricTable(root);
  spec.gateways = ReadGateways(root, options);
  root.Finish();
  return daemon;
}

}  // namespace autoscale
