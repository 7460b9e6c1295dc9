#include "simulator/setup.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "config/loader.h"
#include "config/policy_files.h"
#include "config/service_reader.h"
#include "config/yaml_file.h"

namespace autoscale {
namespace {

constexpr int kMaxInstances = 10'000;  // as in a service's file
constexpr DurationRange kStartDelay{.min = Millis(0), .max = std::chrono::hours(24)};
// A Monday, so that nothing starts at a weekend by chance.
constexpr TimePoint kDefaultStart{std::chrono::sys_days{std::chrono::year{2026} / 1 / 5}};

bool HasError(const std::vector<Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& diagnostic) {
    return diagnostic.severity == Diagnostic::Severity::kError;
  });
}

// `cpu: ratio` for a mapping with that unit, and no query where nothing is asked.
void CompleteMetric(YAML::Node metrics, const std::string& name) {
  YAML::Node metric = metrics[name];
  if (metric.IsScalar() && metric.Scalar() != "shared") {
    YAML::Node mapping(YAML::NodeType::Map);
    mapping["unit"] = metric.Scalar();
    metrics[name] = mapping;
    metric.reset(mapping);
  }
  if (!metric.IsMap()) return;
  for (const char* key : {"query", "series"}) {
    if (!metric[key]) metric[key] = "simulated";
  }
}

// What a simulation does not need to be told.
void Complete(YAML::Node root, const std::string& default_policy) {
  if (!root["service"]) root["service"] = "simulated";
  if (!root["policy"] && !default_policy.empty()) root["policy"] = default_policy;
  YAML::Node metrics = root["metrics"];
  if (!metrics || !metrics.IsMap()) return;
  std::vector<std::string> names;
  for (const auto& metric : metrics) {
    if (metric.first.IsScalar()) names.push_back(metric.first.Scalar());
  }
  for (const std::string& name : names) CompleteMetric(metrics, name);
}

// The service that the section names by its file.
bool LoadService(Section& root, Setup& setup, std::vector<Diagnostic>* diagnostics) {
  const std::string path = root.Path("service_file");
  const std::string name = root.String("name");
  const LoadResult loaded =
      LoadServiceFile(path, root.Path("daemon_file"), {.accept_any_adapter = true});
  diagnostics->insert(diagnostics->end(), loaded.diagnostics.begin(), loaded.diagnostics.end());
  if (!loaded.ok()) return false;
  setup.limits = loaded.configuration.daemon.policy_limits;
  const auto& services = loaded.configuration.services;
  for (const ServiceSpec& service : services) {
    if (!(name.empty() ? services.size() == 1 : service.name == name)) continue;
    setup.service = service;
    return true;
  }
  root.Fault(name.empty() ? "service_file" : "name",
             name.empty() ? path + " does not define exactly one service; choose one with 'name'"
                          : path + " defines no service '" + name + "'");
  return false;
}

SimulationStart ReadStart(Section& root, int min, int max) {
  SimulationStart start{.start = kDefaultStart};
  if (root.Has("start")) {
    const auto time = ParseTime(root.String("start"));
    if (!time) root.Fault("start", "'start': " + time.error().message);
    if (time) start.start = *time;
  }
  start.start_delay = root.Duration("start_delay", start.start_delay, kStartDelay);
  const int usual = std::clamp(std::max(min, 1), 0, std::max(max, 1));
  start.desired = static_cast<int>(root.Int("desired", usual, {.min = 0, .max = kMaxInstances}));
  return start;
}

}  // namespace

std::optional<Setup> ReadSetup(const std::string& file, std::string text,
                               const std::string& default_policy,
                               std::vector<Diagnostic>* diagnostics,
                               std::span<const char* const> also_known) {
  const std::optional<Section> read = ReadYamlText(file, std::move(text), diagnostics);
  if (!read) return std::nullopt;
  const YAML::Node& node = read->node();
  const bool by_file = node["service_file"].IsDefined();
  if (!by_file) Complete(node, default_policy);
  Section root(file, node, "", diagnostics);
  for (const char* key : also_known) root.Raw(key);
  Setup setup;
  setup.start = ReadStart(root, 1, 1);  // marks the keys, which a service's reader does not know
  if (by_file) {
    if (!LoadService(root, setup, diagnostics)) return std::nullopt;
    root.Finish();
  } else {
    const LoadOptions options{.accept_any_adapter = true};
    PolicyFiles policies(setup.limits.source_bytes);
    std::vector<ServiceSpec> services = ServiceReader(options, nullptr, policies).Read(root);
    if (services.size() != 1) {
      root.Fault("", "this must be one service");
      return std::nullopt;
    }
    setup.service = std::move(services[0]);
  }
  if (HasError(*diagnostics) || setup.service.policy == nullptr) return std::nullopt;
  const Bounds& bounds = setup.service.rules.bounds;
  if (!root.Has("desired")) setup.start.desired = std::max(bounds.min, std::min(1, bounds.max));
  return setup;
}

Result<TimePoint> ParseTime(std::string_view text) {
  const Error malformed{ErrorKind::kInvalid,
                        "a time is written such as 2026-03-29T00:00:00Z or 2026-03-29T02:00+02:00"};
  const auto fits = [&text](std::string_view form) {
    if (text.size() < form.size()) return false;
    for (size_t i = 0; i < form.size(); ++i) {
      if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i]) return false;
    }
    return true;
  };
  // Only where `fits` found digits.
  const auto number = [&text](size_t at, size_t count) {
    int value = 0;
    for (const char c : text.substr(at, count)) value = value * 10 + (c - '0');
    return value;
  };
  if (!fits("0000-00-00T00:00")) return malformed;
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  text.remove_prefix(16);
  const int second = fits(":00") ? number(1, 2) : 0;
  if (fits(":00")) text.remove_prefix(3);
  int offset = 0;  // minutes
  if (fits("+00:00") || fits("-00:00")) {
    offset = (number(1, 2) * 60 + number(4, 2)) * (text[0] == '-' ? -1 : 1);
    text.remove_prefix(6);
  } else if (fits("Z")) {
    text.remove_prefix(1);
  } else {
    return malformed;
  }
  if (!text.empty() || !date.ok() || date.year() < std::chrono::year(1970) || hour > 23 ||
      minute > 59 || second > 59 || std::abs(offset) > 14 * 60) {
    return malformed;
  }
  return TimePoint(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute - offset) + std::chrono::seconds(second);
}

}  // namespace autoscale
