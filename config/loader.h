// The loader: files -> Configuration, or every fault at once. `autoscaled --check-config`, the
// start, a reload and `autoscalectl policy eval` all run this same code.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/spec.h"

namespace autoscale {

// Reads a provider's or gateway's section; faults go into the section's diagnostics, and the answer
// may then be null.
using TargetParser =
    std::function<std::shared_ptr<const ProviderTarget>(Section&, const std::string& service)>;
using GatewayParser =
    std::function<std::shared_ptr<const GatewayOptions>(Section&, const std::string& name)>;

using PluginParser =
    std::function<std::shared_ptr<const PluginOptions>(Section&, const std::string& name)>;

struct LoadOptions {
  // By type. A type that is not here, and no plugin's name, is an unknown type, unless
  // `accept_any_adapter`.
  std::map<std::string, TargetParser> providers;
  PluginParser plugin;         // of what `plugins:` declares; none: they are passed over
  TargetParser plugin_target;  // of a target that names one
  std::map<std::string, GatewayParser> gateways;
  // For tools that evaluate policies and never act: sections of unknown types are passed over.
  bool accept_any_adapter = false;
};

struct LoadResult {
  Configuration configuration;
  std::vector<Diagnostic> diagnostics;  // errors and warnings, by file and line
  [[nodiscard]] bool ok() const;        // no error among them
};

// Reads the daemon's file, its services.d and the policies. Blocks on file reads.
LoadResult LoadConfiguration(const std::string& path, const LoadOptions& options);

// Reads one service file by itself, for offline evaluation: `daemon_file` may be empty, and is then
// not there to define shared metrics or gateways (gateways are not checked).
LoadResult LoadServiceFile(const std::string& path, const std::string& daemon_file,
                           const LoadOptions& options);

}  // namespace autoscale
