// Specs: the configuration, validated, as plain values.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/endpoint.h"
#include "config/section.h"
#include "engine/decision/rules.h"
#include "engine/forecast/forecast.h"
#include "engine/model/metric.h"
#include "engine/model/sample_rules.h"
#include "engine/policy/host.h"

namespace autoscale {

struct PortRange {
  std::string host;
  int first = 0;
  int last = -1;  // before `first`: there are none
};

// A provider's or gateway's own part of the configuration, parsed by that adapter alone. Only the
// adapter named by the type looks inside.
struct ProviderTarget {
  virtual ~ProviderTarget() = default;
  // Two services whose targets have the same identity would fight over it; that is refused.
  // Empty: targets of this kind are never the same.
  [[nodiscard]] virtual std::string identity() const { return {}; }
  // Where its instances are, for a person; without secrets. Those of another place cannot be
  // reached by it. Empty: they are found by the service's name, or only its provider can tell.
  [[nodiscard]] virtual std::string place() const { return identity(); }
  // The ports that its instances are given; ranges of two services at one host may not overlap.
  [[nodiscard]] virtual PortRange ports() const { return {}; }
  // It has a capacity, which others may set as well: `capacity:` of a service says whose word
  // counts.
  [[nodiscard]] virtual bool has_capacity() const { return false; }
};
struct GatewayOptions {
  virtual ~GatewayOptions() = default;
};
// How a provider's own process is started. Only providers/plugin looks inside.
struct PluginOptions {
  virtual ~PluginOptions() = default;
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

// How a metric is made of another one, or by a model outside, rather than asked of Prometheus.
struct DerivedSpec {
  enum class Kind { kForecast, kAnomaly, kPredict };
  Kind kind = Kind::kForecast;
  std::string base;  // the metric it is made of; kPredict: that stands in for it, may be empty

  // kForecast, kAnomaly: what is learned, at what resolution, and how often anew.
  Millis season{std::chrono::hours(24)};  // a multiple of `step`
  Millis history{std::chrono::hours(24 * 14)};
  Millis step{std::chrono::minutes(5)};
  Millis refresh{std::chrono::hours(1)};
  std::optional<ForecastMethod> method;  // kForecast; absent: the back-test chooses

  Millis horizon{std::chrono::minutes(10)};  // kForecast, kPredict

  // kPredict.
  std::string url;
  Millis timeout{std::chrono::seconds(2)};
  Millis every{std::chrono::minutes(1)};
  Credentials credentials;
};

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
  bool may_be_negative = false;               // a value below 0 is not a fault
  bool spread = false;  // load shared by the instances: at n of them it is value × ready / n
  // Of a derived metric; its query, series, labels and expectation are empty then. Unit, sign and
  // spread of a forecast are those of the base that the service using it declares.
  std::shared_ptr<const DerivedSpec> derived;
  std::string file;
  int line = 0;
};

inline SampleRules RulesOf(const MetricSpec& spec) {
  return {.when_empty = spec.missing.when_empty,
          .when_nan = spec.missing.when_nan,
          .max_age = spec.max_age,
          .may_be_negative = spec.may_be_negative,
          .exact_count = spec.expect.kind == Expectation::Kind::kCount};
}

// A metric as one service uses it.
struct MetricUse {
  std::shared_ptr<const MetricSpec> spec;
  std::string key;  // values of key_labels in their order, joined by '\x1f'
  int base = -1;    // of a derived metric: the position of DerivedSpec::base; -1: it has none
};

struct GatewayUse {
  std::string gateway;   // a name under `gateways:` of the daemon's file
  std::string upstream;  // the list's name there; default: the service's name
  bool operator==(const GatewayUse&) const = default;
};

// A policy tried beside the live one, never acted on, within the service's limits. Its source is
// not the same policy as a live one of the same text: what it does to its process counts for it
// alone.
struct ShadowSpec {
  std::shared_ptr<const PolicySource> policy;
  Params params;
};

// Whose word counts where a target's capacity can be set by others, too.
enum class CapacityOwner {
  kManaged,   // ours: what somebody else sets is set back
  kShared,    // what somebody else sets holds until the policy wants something else
  kExternal,  // theirs: it is observed and published, decisions are recommendations
};

struct ServiceSpec {
  std::string name;
  std::string file;
  int line = 0;
  Millis interval{std::chrono::seconds(15)};  // 250 ms to 1 h
  ScalingRules rules;
  std::shared_ptr<const PolicySource> policy;
  Params params;
  OwnLimits limits;     // of its policy and its shadow, in place of the daemon's
  int limits_line = 0;  // of its file, where they are set
  std::vector<std::shared_ptr<const Zone>> zones;  // the first is the default; empty: UTC
  std::shared_ptr<const ShadowSpec> shadow;        // null: none
  std::vector<MetricUse> metrics;
  std::vector<DeclaredMetric> declared;          // parallel to `metrics`, for the policy
  std::string provider;                          // the provider's type: "process"
  std::shared_ptr<const ProviderTarget> target;  // null where no parser for the type was given
  CapacityOwner owner = CapacityOwner::kManaged;
  std::vector<GatewayUse> gateways;
  Millis drain_timeout{
      std::chrono::seconds(30)};  // in-flight requests are waited for at most so long
  Millis start_timeout{std::chrono::minutes(5)};  // an instance not ready by then is replaced
  double cost_per_hour = 0;  // of one instance, in the currency of protection.cost_per_hour
  bool dry_run = false;
  uint64_t content_hash = 0;  // equal for two loads that would make the same of this service
};

// Its decisions are recommendations: nothing is started or ended because of them.
inline bool OnlyAdvises(const ServiceSpec& spec) {
  return spec.dry_run || spec.owner == CapacityOwner::kExternal;
}

// Whether the two name different targets of one provider, each with a capacity of its own.
inline bool IsOtherTarget(const ServiceSpec& one, const ServiceSpec& other) {
  return one.target && other.target && other.target->has_capacity() &&
         one.target->identity() != other.target->identity();
}

// What all snapshots of a service have in common; valid as long as the specification.
inline Snapshot SnapshotOf(const ServiceSpec& spec) {
  return {.service = spec.name,
          .now = {},
          .capacity = {},
          .bounds = spec.rules.bounds,
          .metrics = spec.declared,
          .samples = {},
          .params = &spec.params,
          .zones = spec.zones,
          .state = {},
          .limits = spec.limits};
}

struct GatewaySpec {
  std::string name;
  std::string type;  // "nginx"
  std::shared_ptr<const GatewayOptions> options;
};

// A provider in a process of its own; services name it as their provider's type.
struct PluginSpec {
  std::string name;
  std::shared_ptr<const PluginOptions> options;
};

struct PrometheusSpec {
  std::vector<std::string> urls;  // http(s)://host:port[/prefix]; equals, tried in turn
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

// What stands between the fleet and a wrong policy, metric or configuration.
struct ProtectionSpec {
  int changes_per_minute = 1000;  // instances that decisions add or remove, over all services
  int failures = 10;              // actions of one service that fail in a row: it stops acting
  double cost_per_hour = 0;       // of all instances, beyond which nothing is added; 0: any
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
  ProtectionSpec protection;
  std::vector<GatewaySpec> gateways;
  std::vector<PluginSpec> plugins;
  bool dry_run = false;
};

// One load's outcome. With any error among the diagnostics nothing may be used.
struct Configuration {
  DaemonSpec daemon;
  std::vector<ServiceSpec> services;  // by name
};

}  // namespace autoscale
