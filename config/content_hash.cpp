#include "config/content_hash.h"

#include <yaml-cpp/yaml.h>

#include <functional>
#include <string_view>

namespace autoscale {
namespace {

class Hash {
 public:
  void Add(uint64_t value) { value_ = (value_ ^ value) * 1099511628211ULL; }  // FNV-1a's prime
  void Add(std::string_view text) { Add(std::hash<std::string_view>{}(text)); }
  void Add(const std::optional<double>& value) {
    Add(value ? std::hash<double>{}(*value) : uint64_t{1});
  }

  // An anchor may hold itself, and many times: nothing that is valid here is nested deeper.
  void Add(const YAML::Node& node, int depth = 32) {
    if (depth == 0 || nodes_left_-- <= 0) return;
    Add(static_cast<uint64_t>(node.Type()));
    if (node.IsScalar()) {
      Add(std::string_view(node.Tag()));
      Add(std::string_view(node.Scalar()));
    } else if (node.IsSequence()) {
      for (const YAML::Node& item : node) Add(item, depth - 1);
    } else if (node.IsMap()) {
      for (const auto& entry : node) {
        Add(entry.first, depth - 1);
        Add(entry.second, depth - 1);
      }
    }
  }

  // What the service's own section may leave to a definition elsewhere.
  void Add(const MetricSpec& metric) {
    Add(static_cast<uint64_t>(metric.unit));
    Add(std::string_view(metric.query));
    Add(std::string_view(metric.series));
    for (const std::string& label : metric.key_labels) Add(std::string_view(label));
    Add(static_cast<uint64_t>(metric.expect.kind));
    Add(static_cast<uint64_t>(metric.expect.count));
    Add(static_cast<uint64_t>(metric.max_age.count()));
    Add(metric.missing.when_empty);
    Add(metric.missing.when_nan);
    Add(std::string_view(metric.instance_label));
    Add(static_cast<uint64_t>(metric.aggregate));
    Add(static_cast<uint64_t>(metric.may_be_negative ? 1 : 0));
    Add(static_cast<uint64_t>(metric.spread ? 1 : 0));
    if (metric.derived != nullptr) Add(*metric.derived);
  }

  void Add(const DerivedSpec& derived) {
    Add(static_cast<uint64_t>(derived.kind));
    Add(std::string_view(derived.base));
    for (const Millis duration : {derived.season, derived.history, derived.step, derived.refresh,
                                  derived.horizon, derived.timeout, derived.every}) {
      Add(static_cast<uint64_t>(duration.count()));
    }
    Add(static_cast<uint64_t>(derived.method ? 1 + static_cast<int>(*derived.method) : 0));
    Add(std::string_view(derived.url));
    Add(std::string_view(derived.credentials.username));
    Add(std::string_view(derived.credentials.ca_file));
    for (const auto& secret : {derived.credentials.bearer_token, derived.credentials.password}) {
      if (secret) Add(std::string_view(secret->name));
    }
  }

  [[nodiscard]] uint64_t value() const { return value_; }

 private:
  int nodes_left_ = 100'000;
  uint64_t value_ = 14695981039346656037ULL;  // FNV-1a's offset
};

}  // namespace

uint64_t ContentHash(const YAML::Node& section, const ServiceSpec& service) {
  Hash hash;
  hash.Add(section);
  hash.Add(std::string_view(service.file));  // relative paths hang on it
  hash.Add(static_cast<uint64_t>(service.interval.count()));
  if (service.policy) hash.Add(service.policy->hash);
  for (const auto& zone : service.zones) hash.Add(std::string_view(zone->version));
  if (service.shadow) hash.Add(service.shadow->policy->hash);
  for (const MetricUse& use : service.metrics) {
    hash.Add(std::string_view(use.key));
    hash.Add(*use.spec);
  }
  return hash.value();
}

}  // namespace autoscale
