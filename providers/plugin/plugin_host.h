// Plugins: providers in processes of their own, which the daemon's file declares, beside the table
// in providers/registry.cpp. All that the daemon sees of them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "providers/provider.h"

namespace autoscale {

enum class PluginLogLevel { kInfo, kWarning };
// One line for the log, about the plugin of this name. Called on the loop's thread.
using PluginLog = std::function<void(PluginLogLevel, const std::string& plugin, std::string text)>;

std::shared_ptr<const PluginOptions> ParsePlugin(Section& section, const std::string& name);
std::shared_ptr<const ProviderTarget> ParsePluginTarget(Section& section,
                                                        const std::string& service);

// All plugins of the daemon. It outlives the providers made by it; the event loop outlives it, and
// does not run any more when it goes: it ends the processes then, within kEndWithin.
class PluginHost {
 public:
  static constexpr Millis kEndWithin{2000};

  // `runner` is autoscaled-plugin; empty: the one beside this executable.
  PluginHost(EventLoop& loop, PluginLog log, std::string runner = {});
  ~PluginHost();
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;

  // `folder` is the plugin's own. Its process is started with the first target that is observed.
  std::unique_ptr<Provider> Make(const PluginSpec& spec, const std::string& folder);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
