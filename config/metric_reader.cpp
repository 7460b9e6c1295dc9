#include "config/metric_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "config/derived_reader.h"
#include "config/names.h"
#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr std::string_view kPlaceholder = "{{service}}";
constexpr std::string_view kShared = "shared";
constexpr IntRange kSeriesCount{.min = 1, .max = 1'000'000};
constexpr DurationRange kMaxAge{.min = std::chrono::seconds(1), .max = std::chrono::hours(24)};

const std::vector<std::string> kAggregates = {"average", "sum", "max", "min"};

bool HoldsPlaceholder(const std::string& text) {
  return text.find(kPlaceholder) != std::string::npos;
}

// Anything else in double braces would reach Prometheus as it stands.
void CheckPlaceholders(Section& section, std::string_view key, const std::string& text) {
  for (size_t at = text.find("{{"); at != std::string::npos; at = text.find("{{", at + 2)) {
    if (text.compare(at, kPlaceholder.size(), kPlaceholder) == 0) continue;
    section.Fault(key, "'" + std::string(key) + "' holds an unknown placeholder, '" +
                           text.substr(at, kPlaceholder.size()) + "'; only {{service}} is known");
    return;
  }
}

std::string Trimmed(std::string text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.erase(text.find_last_not_of(kSpace) + 1);
  text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

std::string ReadPromQl(Section& section, std::string_view key, bool required) {
  std::string text = Trimmed(required ? section.RequiredString(key) : section.String(key));
  CheckPlaceholders(section, key, text);
  return text;
}

Expectation ReadExpectation(Section& section) {
  const YAML::Node node = section.Raw("expect");
  if (!node.IsDefined()) return {};
  if (node.IsScalar() && node.Scalar() == "instances") return {Expectation::Kind::kInstances, 0};
  const auto count = node.IsScalar() ? ParseInt(node.Scalar()) : std::nullopt;
  if (!count) {
    section.Fault("expect", "'expect' must be instances or a whole number of series");
    return {};
  }
  return {Expectation::Kind::kCount, static_cast<int>(section.Int("expect", 1, kSeriesCount))};
}

// hold, or the number that stands for no data.
std::optional<double> ReadMissing(Section& section, std::string_view key) {
  const YAML::Node node = section.Raw(key);
  if (!node.IsDefined() || (node.IsScalar() && node.Scalar() == "hold")) return std::nullopt;
  if (!node.IsScalar() || node.Tag() != "?" || !ParseDouble(node.Scalar())) {
    section.Fault(key, "'" + std::string(key) + "' must be hold or a number");
    return std::nullopt;
  }
  return ParseDouble(node.Scalar());
}

void ReadPerInstance(Section& section, MetricSpec& spec) {
  std::optional<Section> child = section.Child("per_instance");
  if (!child) return;
  spec.instance_label = child->RequiredString("label");
  if (!spec.instance_label.empty() && !IsLabelName(spec.instance_label)) {
    child->Fault("label", "'" + spec.instance_label + "' is not a Prometheus label name");
  }
  spec.aggregate = static_cast<Aggregate>(child->Choice("aggregate", 0, kAggregates));
  child->Finish();
}

void ReadMatch(Section& section, MetricDefinition& definition, MetricSpec& spec) {
  for (auto& [label, value] : section.StringMap("match")) {
    if (!IsLabelName(label)) {
      section.Fault("match", "'" + label + "' is not a Prometheus label name");
    }
    CheckPlaceholders(section, "match", value);
    spec.key_labels.push_back(label);
    definition.key_values.push_back(std::move(value));
  }
}

// Faults that lie between keys.
void CheckMetric(Section& section, const MetricSpec& spec) {
  if (HoldsPlaceholder(spec.query) && !spec.key_labels.empty()) {
    section.Fault("match",
                  "'match' is for one answer shared by all services, and this query asks "
                  "for one service by {{service}}; remove one of the two");
  }
  if (HoldsPlaceholder(spec.series) && !HoldsPlaceholder(spec.query)) {
    section.Fault("series", "'series' holds {{service}} and 'query' does not; both or neither");
  }
  if (!spec.instance_label.empty() && std::find(spec.key_labels.begin(), spec.key_labels.end(),
                                                spec.instance_label) != spec.key_labels.end()) {
    section.Fault("per_instance", "label '" + spec.instance_label +
                                      "' cannot tell both services and instances apart");
  }
  if (spec.spread && !spec.instance_label.empty() && spec.aggregate == Aggregate::kSum) {
    section.Fault("spread",
                  "'spread' is for what one instance feels; the sum over all stays the same "
                  "whatever their number: choose another 'aggregate', or leave 'spread' out");
  }
  if (spec.series.empty() && spec.expect.kind != Expectation::Kind::kNothing &&
      spec.instance_label.empty()) {
    section.Fault("expect", "'expect' counts the series behind the metric; name them by 'series'");
  }
  if (spec.series.empty() && !section.Has("series")) {
    section.Warn("", "metric '" + spec.name +
                         "' names no 'series': age and coverage unknown: an outage behind a window "
                         "function would not be noticed");
  }
}

MetricDefinition ReadMetric(Section section, const std::string& name) {
  MetricDefinition definition;
  auto spec = std::make_shared<MetricSpec>();
  spec->name = name;
  spec->file = section.file();
  spec->line = section.Line();
  if (!IsMetricName(name)) {
    section.Fault("", "metric name '" + name +
                          "' must hold only letters, digits and '_', at most 63, and not begin "
                          "with a digit");
  }
  if (IsDerived(section)) {
    ReadDerived(section, *spec);
    definition.spec = std::move(spec);
    return definition;
  }
  spec->query = ReadPromQl(section, "query", true);
  spec->series = ReadPromQl(section, "series", false);
  spec->unit = ReadUnit(section);
  ReadMatch(section, definition, *spec);
  spec->expect = ReadExpectation(section);
  spec->max_age = section.Duration("max_age", spec->max_age, kMaxAge);
  spec->missing.when_empty = ReadMissing(section, "when_empty");
  spec->missing.when_nan = ReadMissing(section, "when_nan");
  spec->may_be_negative = section.Bool("negative", spec->may_be_negative);
  spec->spread = section.Bool("spread", spec->spread);
  ReadPerInstance(section, *spec);
  section.Finish();
  CheckMetric(section, *spec);
  definition.spec = std::move(spec);
  return definition;
}

std::string Substituted(std::string text, const std::string& service) {
  for (size_t at = text.find(kPlaceholder); at != std::string::npos;
       at = text.find(kPlaceholder, at + service.size())) {
    text.replace(at, kPlaceholder.size(), service);
  }
  return text;
}

MetricUse Use(const MetricDefinition& definition, const std::string& service) {
  MetricUse use{.spec = definition.spec, .key = {}};
  // What is no name was told; it may be of any length, and each placeholder would repeat it.
  if (!IsServiceName(service)) return use;
  for (size_t i = 0; i < definition.key_values.size(); ++i) {
    if (i > 0) use.key += '\x1f';
    use.key += Substituted(definition.key_values[i], service);
  }
  return use;
}

const MetricDefinition* FindShared(Section& metrics, const std::string& name,
                                   const MetricScope& scope) {
  std::vector<std::string> names;
  for (const MetricTable* table : {scope.file, scope.daemon}) {
    if (table == nullptr) continue;
    const auto found = table->find(name);
    if (found != table->end()) return &found->second;
    for (const auto& [other, definition] : *table) names.push_back(other);
  }
  if (scope.daemon == nullptr) {
    metrics.Fault(name, "metric '" + name +
                            "' is shared, and no daemon file was given that declares it; give one, "
                            "or define the metric here");
  } else {
    metrics.Fault(name, "shared metric '" + name + "' is not declared" + DidYouMean(name, names) +
                            (DidYouMean(name, names).empty()
                                 ? "; declare it under 'metrics' of " + scope.daemon_file
                                 : ""));
  }
  return nullptr;
}

// `cpu: {match: {service: shop-checkout}}`: the shared metric, found under other labels.
MetricDefinition WithMatch(Section& section, MetricDefinition definition) {
  const std::vector<std::string>& labels = definition.spec->key_labels;
  for (auto& [label, value] : section.StringMap("match")) {
    CheckPlaceholders(section, "match", value);
    const auto found = std::find(labels.begin(), labels.end(), label);
    if (found == labels.end()) {
      section.Fault("match", "shared metric '" + definition.spec->name + "' has no label '" +
                                 label + "' to match" +
                                 (labels.empty() ? "" : "; it has " + Join(labels)));
    } else {
      definition.key_values[static_cast<size_t>(found - labels.begin())] = std::move(value);
    }
  }
  section.Finish();
  return definition;
}

std::optional<MetricDefinition> ReadUse(Section& metrics, const std::string& name,
                                        const MetricScope& scope) {
  const YAML::Node node = metrics.Raw(name);
  const bool shared = node.IsScalar() && node.Scalar() == kShared;
  if (!shared && !node.IsMap()) {
    metrics.Fault(name,
                  "metric '" + name + "' must be a definition (a mapping) or the word shared");
    return std::nullopt;
  }
  const bool matched = node.IsMap() && node.size() == 1 && metrics.Child(name)->Has("match");
  if (!shared && !matched) return ReadMetric(*metrics.Child(name), name);
  const MetricDefinition* definition = FindShared(metrics, name, scope);
  if (definition == nullptr) return std::nullopt;
  if (shared) return *definition;
  Section section = *metrics.Child(name);
  return WithMatch(section, *definition);
}

}  // namespace

MetricTable ReadMetricTable(Section& section) {
  MetricTable table;
  std::optional<Section> metrics = section.Child("metrics");
  if (!metrics) return table;
  for (const std::string& name : metrics->Keys()) {
    if (std::optional<Section> metric = metrics->Child(name)) {
      table.emplace(name, ReadMetric(*std::move(metric), name));
    } else {
      table.emplace(name, MetricDefinition{std::make_shared<MetricSpec>(), {}});
    }
  }
  // Most services use both as they stand here: those then share what is inherited.
  for (auto& [name, definition] : table) {
    if (definition.spec->derived == nullptr) continue;
    const auto base = table.find(definition.spec->derived->base);
    if (base == table.end()) continue;
    definition.spec = WithInherited(definition.spec, *base->second.spec);
  }
  return table;
}

std::vector<MetricUse> ReadMetricUses(Section& section, const std::string& service,
                                      const MetricScope& scope) {
  std::vector<MetricUse> uses;
  std::optional<Section> metrics = section.Child("metrics");
  if (!metrics) return uses;
  const std::vector<std::string> names = metrics->Keys();
  uses.reserve(names.size());
  for (const std::string& name : names) {
    if (const auto definition = ReadUse(*metrics, name, scope)) {
      uses.push_back(Use(*definition, service));
    }
  }
  FindBases(*metrics, uses);
  return uses;
}

}  // namespace autoscale
