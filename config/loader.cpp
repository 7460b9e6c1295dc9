#include "config/loader.h"

#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "config/daemon_reader.h"
#include "config/policy_files.h"
#include "config/service_reader.h"
#include "config/yaml_file.h"

namespace autoscale {
namespace {

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

  // The earlier owner, or null when the service is the first.
  static const Owner* Claim(Owners& owners, std::string key, const ServiceSpec& service) {
    const auto [owner, first] = owners.try_emplace(
        std::move(key), Owner{service.name, service.file + ":" + std::to_string(service.line)});
    return first ? nullptr : &owner->second;
  }

  void Report(const ServiceSpec& service, std::string message) {
    diagnostics_->push_back(
        {Diagnostic::Severity::kError, service.file, service.line, std::move(message)});
  }

  std::vector<Diagnostic>* diagnostics_;
  Owners names_, targets_, upstreams_;
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
    // One file's tree at a time: it is some thirty times as large as its text.
    std::optional<Section> root = ReadYamlFile(file, &result.diagnostics);
    if (!root) continue;
    for (ServiceSpec& service : reader.Read(*std::move(root))) {
      conflicts.Add(service);
      services.push_back(std::move(service));
    }
  }
}

void Sort(LoadResult& result) {
  std::stable_sort(result.configuration.services.begin(), result.configuration.services.end(),
                   [](const ServiceSpec& a, const ServiceSpec& b) { return a.name < b.name; });
  std::stable_sort(result.diagnostics.begin(), result.diagnostics.end(),
                   [](const Diagnostic& a, const Diagnostic& b) {
                     return std::tie(a.file, a.line) < std::tie(b.file, b.line);
                   });
}

LoadResult Load(const std::string& daemon_path, const std::string& service_path,
                const LoadOptions& options) {
  LoadResult result;
  std::optional<DaemonFile> daemon;
  std::vector<std::string> files;
  if (!service_path.empty()) files.push_back(service_path);
  if (!daemon_path.empty()) {
    std::optional<Section> root = ReadYamlFile(daemon_path, &result.diagnostics);
    if (!root) return result;
    const bool run = service_path.empty();
    daemon =
        ReadDaemonFile(*root, options, run ? DaemonFileUse::kRun : DaemonFileUse::kDefinitions);
    if (run) files = ListServiceFiles(daemon->spec.services_dir, *root);
  }
  PolicyFiles policies(daemon ? daemon->spec.policy_limits.source_bytes
                              : PolicyLimits{}.source_bytes);
  ServiceReader reader(options, daemon ? &*daemon : nullptr, policies);
  ReadServices(files, reader, result);
  if (daemon) result.configuration.daemon = std::move(daemon->spec);
  Sort(result);
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
