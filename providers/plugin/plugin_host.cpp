#include "providers/plugin/plugin_host.h"

#include <utility>
#include <vector>

#include "providers/plugin/plugin.h"
#include "providers/plugin/plugin_provider.h"

namespace autoscale {

struct PluginHost::State {
  EventLoop& loop;
  PluginLog log;
  std::string runner;
  OpenCalls calls;
  std::vector<std::unique_ptr<Plugin>> plugins;
};

PluginHost::PluginHost(EventLoop& loop, PluginLog log, std::string runner)
    : state_(new State{.loop = loop,
                       .log = std::move(log),
                       .runner = runner.empty() ? DefaultPluginRunner() : std::move(runner),
                       .calls = {},
                       .plugins = {}}) {}

std::unique_ptr<Provider> PluginHost::Make(const PluginSpec& spec, const std::string& folder) {
  Plugin& plugin = *state_->plugins.emplace_back(std::make_unique<Plugin>(
      Plugin::Options{.loop = state_->loop,
                      .calls = state_->calls,
                      .log = state_->log,
                      .name = spec.name,
                      .command = std::dynamic_pointer_cast<const PluginCommand>(spec.options),
                      .folder = folder,
                      .runner = state_->runner}));
  return MakePluginProvider(plugin);
}

// All at once: what hangs costs the end of the daemon no more than one of them.
PluginHost::~PluginHost() {
  for (const auto& plugin : state_->plugins) plugin->BeginEnd(kEndWithin);
  const auto until = std::chrono::steady_clock::now() + kEndWithin;
  for (const auto& plugin : state_->plugins) plugin->End(until);
  state_->calls.Close();
}

}  // namespace autoscale
