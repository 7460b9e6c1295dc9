// Specs: the configuration, validated, as plain values.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/section.h"
#include "engine/decision/rules.h"
#include "engine/model/metric.h"
#include "engine/policy/host.h"

namespace autoscale {

// A provider's or gateway's own part of the configuration, parsed by that adapter alone. Only the
// adapter named by the type looks inside.
struct ProviderTarget {
  virtual ~ProviderTarget() = default;
  // Two services whose targets have the same identity would fight over it; that is refused.
  // Empty: targets of this kind are never the same.
  [[nodiscard]] virtual std::string identity() const { return {}; }
};
struct GatewayOptions {
  virtual ~GatewayOptions() = default;
};

// When an answer without data is data: an error ratio without traffic is 0.
struct MissingRules {
  std::optional<double> when_empty;
  std::optional<double> when_nan;
};

// What `coverage` is measured against.
struct Expectation {
  enum class Kind { kNothing, kInstances, kCount };
  Kind kind = Kind::kNothing;
  int count = 0;  // for kCount: so many series make a full answer
};

enum class Aggregate { kAverage, kSum, kMax, kMin };

// A metric as declared once; shared by all services that use it.
struct MetricSpec {
  std::string name;
  Unit unit = Unit::kRatio;
  std::string query;  // PromQL; may hold {{service}}, then one query a service
  std::string
      series;  // selector of the series behind it, asked for timestamp and count; may be empty
  std::vector<std::string>
      key_labels;  // labels that name the service in a shared answer; empty: one series
  Expectation expect;
  Millis max_age{std::chrono::minutes(1)};
  MissingRules missing;
  std::string
      instance_label;  // per-instance metrics: the label that holds the instance's id or address
  Aggregate aggregate = Aggregate::kAverage;  // of a per-instance metric, for `.value`
  std::string file;
  int line = 0;
};

// A metric as one service uses it.
struct MetricUse {
  std::shared_ptr<const MetricSpec> spec;
  std::string key;  // values of key_labels in their order, joined by '\x1f'
};

struct GatewayUse {
  std::string gateway;   // a name under `gateways:` of the daemon's file
  std::string upstream;  // the list's name there; default: the service's name
};

struct ServiceSpec {
  std::string name;
  std::string file;
  int line = 0;
  Millis interval{std::chrono::seconds(15)};  // 250 ms to 1 h
  ScalingRules rules;
  std::shared_ptr<const PolicySource> policy;
  Params params;
  std::vector<MetricUse> metrics;
  std::vector<DeclaredMetric> declared;          // parallel to `metrics`, for the policy
  std::string provider;                          // the provider's type: "process"
  std::shared_ptr<const ProviderTarget> target;  // null where no parser for the type was given
  std::vector<GatewayUse> gateways;
  Millis drain_timeout{
      std::chrono::seconds(30)};  // in-flight requests are waited for at most so long
  Millis start_timeout{std::chrono::minutes(5)};  // an instance not ready by then is replaced
  bool dry_run = false;
  uint64_t content_hash = 0;  // equal for two loads that would make the same of this service
};

struct GatewaySpec {
  std::string name;
  std::string type;  // "nginx"
  std::shared_ptr<const GatewayOptions> options;
};

struct PrometheusSpec {
  std::string url;  // http(s)://host:port[/prefix]
  Millis timeout{std::chrono::seconds(5)};
  std::optional<SecretRef> bearer_token;
  std::string username;  // with password: basic authentication
  std::optional<SecretRef> password;
  std::string ca_file;
  int max_connections = 4;
  size_t max_answer_bytes = 64u << 20;
};

struct ControlSpec {
  std::string socket;    // unix socket path
  unsigned mode = 0600;  // of the socket
  std::string group;     // its group; empty: the daemon's
};

struct LogSpec {
  std::string level = "info";  // debug, info, warn, error
  std::string file;            // empty: standard error
};

struct DaemonSpec {
  std::string file;
  std::string state_dir;
  std::string services_dir;
  std::string listen_address = "127.0.0.1";  // IPv4 address of /metrics, /healthz, /readyz
  int listen_port = 9464;                    // 0: any free port
  ControlSpec control;
  PrometheusSpec prometheus;
  LogSpec log;
  PolicyLimits policy_limits;
  std::vector<GatewaySpec> gateways;
  bool dry_run = false;
};

// One load's outcome. With any error among the diagnostics nothing may be used.
struct Configuration {
  DaemonSpec daemon;
  std::vector<ServiceSpec> services;  // by name
};

}  // namespace autoscale
