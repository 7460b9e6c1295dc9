#include "config/loader.h"

#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "config/daemon_reader.h"
#include "config/limits_reader.h"
#include "config/policy_files.h"
#include "config/scalar.h"
#include "config/service_reader.h"
#include "config/yaml_file.h"
#include "engine/model/text.h"

namespace autoscale {
namespace {

constexpr size_t kLongestMessage = 1000;  // bytes; texts of the file are shown in it

// What only shows when all services are known: two of them in each other's way. Faults are
// reported at the later one, by file name and line.
class Conflicts {
 public:
  explicit Conflicts(std::vector<Diagnostic>* diagnostics) : diagnostics_(diagnostics) {}

  void Add(const ServiceSpec& service) {
    if (service.name.empty()) return;
    const auto place = service.file + ":" + std::to_string(service.line);
    if (const auto* first = Claim(names_, service.name, service)) {
      return Report(service, "service '" + service.name + "' is already defined at " +
                                 first->place + "; rename or remove one");
    }
    const std::string identity = service.target == nullptr ? "" : service.target->identity();
    if (!identity.empty()) {
      if (const auto* first = Claim(targets_, service.provider + '\n' + identity, service)) {
        Report(service, "service '" + service.name + "' has the same target as '" + first->name +
                            "' at " + first->place + " (" + service.provider + " " + identity +
                            "); the two would fight over it");
      }
    }
    if (service.target != nullptr) {
      ClaimPorts(service, service.target->ports());
      WarnOfFewPorts(service, service.target->ports());
    }
    for (const GatewayUse& use : service.gateways) {
      const auto* first = Claim(upstreams_, use.gateway + '\n' + use.upstream, service);
      if (first == nullptr) continue;
      const std::string upstream =
          "upstream '" + use.upstream + "' of gateway '" + use.gateway + "'";
      Report(service, first->name == service.name
                          ? upstream + " is listed twice; remove one"
                          : upstream + " is already published by '" + first->name + "' at " +
                                first->place + "; the two would overwrite each other's list");
    }
  }

 private:
  struct Owner {
    std::string name;
    std::string place;
  };
  using Owners = std::unordered_map<std::string, Owner>;
  struct ClaimedPorts {
    int last;
    Owner owner;
  };

  // The earlier owner, or null when the service is the first.
  static const Owner* Claim(Owners& owners, std::string key, const ServiceSpec& service) {
    const auto [owner, first] = owners.try_emplace(
        std::move(key), Owner{service.name, service.file + ":" + std::to_string(service.line)});
    return first ? nullptr : &owner->second;
  }

  // An overlap is told once, with the range that begins nearest below; equal ranges were told.
  void ClaimPorts(const ServiceSpec& service, const PortRange& ports) {
    if (ports.last < ports.first) return;
    auto& ranges = ports_[ports.host];
    auto other = ranges.upper_bound(ports.last);
    if (other != ranges.begin() && (--other)->second.last >= ports.first) {
      if (other->first == ports.first && other->second.last == ports.last) return;
      return Report(service, "ports " + Range(ports.first, ports.last) + " of service '" +
                                 service.name + "' overlap " +
                                 Range(other->first, other->second.last) + " of '" +
                                 other->second.owner.name + "' at " + other->second.owner.place +
                                 "; choose another range");
    }
    ranges[ports.first] = {ports.last,
                           {service.name, service.file + ":" + std::to_string(service.line)}};
  }

  // Else it shows at the height of the load, as starts that fail.
  void WarnOfFewPorts(const ServiceSpec& service, const PortRange& ports) {
    const int count = ports.last - ports.first + 1;
    if (count <= 0 || count >= service.rules.bounds.max) return;
    diagnostics_->push_back({Diagnostic::Severity::kWarning, service.file, service.line,
                             "service '" + service.name + "': 'max' is " +
                                 std::to_string(service.rules.bounds.max) + ", and ports " +
                                 Range(ports.first, ports.last) + " are enough for " +
                                 std::to_string(count) + "; give it more ports, or lower 'max'"});
  }

  static std::string Range(int first, int last) {
    return std::to_string(first) + "-" + std::to_string(last);
  }

  void Report(const ServiceSpec& service, std::string message) {
    diagnostics_->push_back(
        {Diagnostic::Severity::kError, service.file, service.line, std::move(message)});
  }

  std::vector<Diagnostic>* diagnostics_;
  Owners names_, targets_, upstreams_;
  std::map<std::string, std::map<int, ClaimedPorts>> ports_;  // by host and first port; disjoint
};

// The folder's *.yaml files by name; a fault when it cannot be listed.
std::vector<std::string> ListServiceFiles(const std::string& folder, Section& root) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::filesystem::path path = it->path();
    if (path.filename().string().starts_with('.')) continue;
    if (path.extension() == ".yaml") {
      files.push_back(path.string());
    } else if (path.extension() == ".yml") {
      root.Warn("services_dir", path.string() + " is not read: only *.yaml files are; rename it");
    }
  }
  if (error) {
    root.Fault("services_dir", "cannot list the services in " + folder + ": " + error.message() +
                                   "; create the folder or correct 'services_dir'");
  }
  std::sort(files.begin(), files.end());
  return files;
}

void ReadServices(const std::vector<std::string>& files, ServiceReader& reader,
                  LoadResult& result) {
  std::vector<ServiceSpec>& services = result.configuration.services;
  Conflicts conflicts(&result.diagnostics);
  for (const std::string& file : files) {
    // One file's tree at a time: it is some eighty times as large as its text.
    std::optional<Section> root = ReadYamlFile(file, &result.diagnostics);
    if (!root) continue;
    for (ServiceSpec& service : reader.Read(*std::move(root))) {
      conflicts.Add(service);
      services.push_back(std::move(service));
    }
  }
}

// What `min` promises must be affordable: nothing else may stand in its way.
void RefuseCostlyMins(Section& root, const double limit, const std::vector<ServiceSpec>& services) {
  double least = 0;
  for (const ServiceSpec& service : services) {
    if (!service.dry_run) least += service.cost_per_hour * service.rules.bounds.min;
  }
  if (limit <= 0 || least <= limit) return;
  std::optional<Section> protection = root.Child("protection");
  (protection ? *protection : root)
      .Fault("cost_per_hour", "'protection.cost_per_hour' of " + FormatNumber(limit) +
                                  " does not pay for 'min' of all services, which is " +
                                  FormatNumber(least) +
                                  " an hour; raise it, or lower 'min' or 'cost_per_hour' of some");
}

// In the order in which a person reads them, and each message on one line.
void Arrange(LoadResult& result) {
  std::stable_sort(result.configuration.services.begin(), result.configuration.services.end(),
                   [](const ServiceSpec& a, const ServiceSpec& b) { return a.name < b.name; });
  std::stable_sort(result.diagnostics.begin(), result.diagnostics.end(),
                   [](const Diagnostic& a, const Diagnostic& b) {
                     return std::tie(a.file, a.line) < std::tie(b.file, b.line);
                   });
  for (Diagnostic& diagnostic : result.diagnostics) {
    diagnostic.message = OneLine(diagnostic.message, kLongestMessage);
  }
}

LoadResult Load(const std::string& daemon_path, const std::string& service_path,
                const LoadOptions& options) {
  LoadResult result;
  std::optional<DaemonFile> daemon;
  std::optional<Section> daemon_root;
  std::vector<std::string> files;
  if (!service_path.empty()) files.push_back(service_path);
  if (!daemon_path.empty()) {
    std::optional<Section> root = ReadYamlFile(daemon_path, &result.diagnostics);
    if (!root) {
      Arrange(result);
      return result;
    }
    daemon_root.emplace(*root);
    const bool run = service_path.empty();
    daemon =
        ReadDaemonFile(*root, options, run ? DaemonFileUse::kRun : DaemonFileUse::kDefinitions);
    if (run) files = ListServiceFiles(daemon->spec.services_dir, *root);
  }
  PolicyFiles policies(daemon ? daemon->spec.policy_limits.source_bytes
                              : PolicyLimits{}.source_bytes);
  ServiceReader reader(options, daemon ? &*daemon : nullptr, policies);
  ReadServices(files, reader, result);
  RefuseLongWalls(daemon_root ? &*daemon_root : nullptr,
                  daemon ? daemon->spec.policy_limits.wall : PolicyLimits{}.wall,
                  result.configuration.services, result.diagnostics);
  if (daemon) {
    RefuseCostlyMins(*daemon_root, daemon->spec.protection.cost_per_hour,
                     result.configuration.services);
    result.configuration.daemon = std::move(daemon->spec);
  }
  daemon_root.reset();
  Arrange(result);
  // The trees' many small blocks go back to the system; the daemon lives on for months.
  malloc_trim(0);
  return result;
}

}  // namespace

bool LoadResult::ok() const {
  return std::none_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& diagnostic) {
    return diagnostic.severity == Diagnostic::Severity::kError;
  });
}

LoadResult LoadConfiguration(const std::string& path, const LoadOptions& options) {
  return Load(path, "", options);
}

LoadResult LoadServiceFile(const std::string& path, const std::string& daemon_file,
                           const LoadOptions& options) {
  return Load(daemon_file, path, options);
}

}  // namespace autoscale
