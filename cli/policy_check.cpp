// policy check: what can be said of policies before they act.
#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include "cli/command.h"
#include "cli/policy_files.h"
#include "config/loader.h"
#include "config/policy_files.h"
#include "config/scalar.h"
#include "engine/policy/host.h"
#include "engine/policy/modules.h"
#include "engine/policy/uses.h"

namespace autoscale::cli {
namespace {

using Severity = Diagnostic::Severity;

class Findings {
 public:
  void Add(Severity severity, const std::string& file, int line, const std::string& message) {
    const Diagnostic diagnostic{severity, file, line, message};
    if (!seen_.insert(ToString(diagnostic)).second) return;  // of a module that several require
    ++(severity == Severity::kError ? errors_ : warnings_);
    all_.push_back(diagnostic);
  }
  // A message that begins with its place.
  void Add(Severity severity, const std::string& message) { Add(severity, "", 0, message); }

  int Print(const Context& context, size_t checked) const {
    for (const Diagnostic& one : all_) {
      const bool placed = one.file.empty();
      const std::string text =
          !placed ? ToString(one)
                  : (one.severity == Severity::kWarning ? "warning: " : "") + one.message;
      context.out << Printable(text) << "\n";
    }
    context.out << checked << (checked == 1 ? " policy" : " policies")
                << " checked: " << Count(errors_, "error") << ", " << Count(warnings_, "warning")
                << "\n";
    return errors_ == 0 ? kExitOk : kExitFailed;
  }

 private:
  std::vector<Diagnostic> all_;
  std::set<std::string> seen_;
  int errors_ = 0, warnings_ = 0;
};

// What is written in users' files, all of it and not the first alone.
void FindNames(const PolicySource& source, Findings& findings) {
  const auto in = [&](const std::string& path, const std::string& text) {
    const PolicyUses uses = FindUses(text);
    for (const NamedUse& use : uses.globals) {
      findings.Add(Severity::kWarning, path, use.line, DescribeGlobal(use.name));
    }
    const auto names = GlobalNames();
    for (const NamedUse& use : uses.unknown) {
      findings.Add(Severity::kWarning, path, use.line,
                   "nothing is called '" + use.name + "' here: it is nil" +
                       DidYouMean(use.name, {names.begin(), names.end()}));
    }
  };
  in(source.path, source.text);
  for (const auto& module : source.modules) {
    if (!module->name.starts_with(kLibraryPrefix)) in(module->path, module->text);
  }
}

// --- with a service ---

void FindUndeclared(const ServiceSpec& service, Findings& findings) {
  const PolicySource& source = *service.policy;
  const PolicyUses uses = FindUses(source.text);
  std::vector<std::string> metrics;
  for (const DeclaredMetric& metric : service.declared) metrics.push_back(metric.name);
  for (const NamedUse& use : uses.metrics) {
    if (std::find(metrics.begin(), metrics.end(), use.name) != metrics.end()) continue;
    const std::string hint = DidYouMean(use.name, metrics);
    findings.Add(Severity::kError, source.path, use.line,
                 "service '" + service.name + "' declares no metric '" + use.name + "'" +
                     (!hint.empty()     ? hint
                      : metrics.empty() ? "; it declares none"
                                        : "; it declares " + Join(metrics)));
  }
  std::vector<std::string> params;
  for (const auto& [name, value] : service.params) params.push_back(name);
  for (const NamedUse& use : uses.params) {
    if (!use.needed || service.params.contains(use.name)) continue;
    findings.Add(Severity::kError, source.path, use.line,
                 "service '" + service.name + "' sets no parameter '" + use.name +
                     "', which has no default here" + DidYouMean(use.name, params));
  }
}

// What the policy and all that it requires name.
PolicyUses AllUses(const PolicySource& source) {
  PolicyUses all = FindUses(source.text);
  for (const auto& module : source.modules) {
    const PolicyUses uses = FindUses(module->text);
    all.metrics.insert(all.metrics.end(), uses.metrics.begin(), uses.metrics.end());
    all.params.insert(all.params.end(), uses.params.begin(), uses.params.end());
    all.metrics_computed |= uses.metrics_computed;
    all.params_computed |= uses.params_computed;
  }
  return all;
}

void FindUnused(const ServiceSpec& service, Findings& findings) {
  const PolicyUses uses = AllUses(*service.policy);
  const auto names = [](const std::vector<NamedUse>& found, const std::string& name) {
    return std::any_of(found.begin(), found.end(),
                       [&](const NamedUse& use) { return use.name == name; });
  };
  for (const MetricUse& metric : service.metrics) {
    const std::string& name = metric.spec->name;
    if (uses.metrics_computed || names(uses.metrics, name)) continue;
    findings.Add(Severity::kWarning, service.file, service.line,
                 "service '" + service.name + "' declares metric '" + name +
                     "', which its policy never names");
  }
  for (const auto& [name, value] : service.params) {
    if (uses.params_computed || names(uses.params, name)) continue;
    std::vector<std::string> known;
    for (const NamedUse& use : uses.params) known.push_back(use.name);
    findings.Add(Severity::kWarning, service.file, service.line,
                 "service '" + service.name + "' sets parameter '" + name +
                     "', which its policy never names" + DidYouMean(name, known));
  }
}

void CheckService(const ServiceSpec& service, PolicyHost& host, Findings& findings) {
  FindNames(*service.policy, findings);
  FindUndeclared(service, findings);
  FindUnused(service, findings);
  const auto tried = host.Check(*service.policy, SnapshotOf(service));
  if (!tried) return findings.Add(Severity::kError, tried.error().message);
  // Globals were told one by one.
  if (!tried->empty() && tried->find("' is a global, which is gone") == std::string::npos) {
    findings.Add(Severity::kWarning, *tried);
  }
}

int CheckServices(const Context& context, const PolicyCheckOptions& options) {
  const LoadResult loaded =
      LoadServiceFile(options.service_file, options.daemon_file, {.accept_any_adapter = true});
  Findings findings;
  for (const Diagnostic& one : loaded.diagnostics) {
    findings.Add(one.severity, one.file, one.line, one.message);
  }
  if (!loaded.ok()) return findings.Print(context, 0);
  const auto& services = loaded.configuration.services;
  if (!options.name.empty()) {
    const auto chosen = ChooseService(services, options.name, options.service_file);
    if (!chosen) return Fail(context, kExitUsage, chosen.error().message);
  }
  PolicyHost host(loaded.configuration.daemon.policy_limits);
  size_t checked = 0;
  for (const ServiceSpec& service : services) {
    if (!options.name.empty() && service.name != options.name) continue;
    CheckService(service, host, findings);
    ++checked;
  }
  return findings.Print(context, checked);
}

// --- files alone ---

bool IsPolicy(const std::string& name) {
  return name.ends_with(".lua") && !name.ends_with("_test.lua");
}

void CheckFile(const std::string& path, PolicyFiles& sources, PolicyHost& host,
               Findings& findings) {
  const auto source = sources.Read(path);
  if (!source) return findings.Add(Severity::kError, source.error().message);
  if (const Status compiled = host.Load(**source); !compiled) {
    findings.Add(Severity::kError, compiled.error().message);
  }
  FindNames(**source, findings);
}

int CheckFiles(const Context& context, const PolicyCheckOptions& options) {
  const auto files = FindFiles(options.paths, IsPolicy, "is no policy: those are named NAME.lua");
  if (!files) return Fail(context, kExitUsage, files.error().message);
  if (files->empty()) return Fail(context, kExitUsage, "found no policy in " + options.paths[0]);
  Findings findings;
  PolicyHost host{PolicyLimits{}};
  PolicyFiles sources(PolicyLimits{}.source_bytes);
  // What another file requires is read from beneath the folder of that one: with it, not alone.
  std::set<std::string> modules;
  const auto key = [](const std::string& path) {
    return std::filesystem::path(path).lexically_normal().string();
  };
  for (const std::string& path : *files) {
    const auto source = sources.Read(path);
    if (!source) continue;
    for (const auto& module : (*source)->modules) modules.insert(key(module->path));
  }
  size_t checked = 0;
  for (const std::string& path : *files) {
    if (modules.contains(key(path))) continue;
    ++checked;
    CheckFile(path, sources, host, findings);
  }
  return findings.Print(context, checked);
}

}  // namespace

int RunPolicyCheck(const Context& context, const PolicyCheckOptions& options) {
  return options.service_file.empty() ? CheckFiles(context, options)
                                      : CheckServices(context, options);
}

}  // namespace autoscale::cli
