// PluginProcess: one run of a plugin's program.
//
// The daemon's child is autoscaled-plugin, which becomes the leader of a process group and runs the
// program in it: it ends the program when the daemon ends, however that comes about. The daemon
// signals nothing but that group, and only while its child is not reaped, so that the number is its
// own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "providers/plugin/options.h"
#include "providers/plugin/output.h"

namespace autoscale {

// The helper's executable beside this one: ../libexec/autoscaled/autoscaled-plugin.
std::string DefaultPluginRunner();

// What the helper itself says on standard output begins so.
inline constexpr const char* kRunnerSays = "autoscaled-plugin: ";

class PluginProcess {
 public:
  // Called on the loop's thread; none of them may destroy the process.
  struct Listeners {
    std::function<void(std::string_view line)> on_output;  // a line on standard output
    std::function<void(std::string_view line)> on_errors;  // a line on standard error
    std::function<void(std::string how)> on_end;           // "it exited with status 1", once
  };

  // `folder`, 0700 and the plugin's own, is where it makes its socket. Blocks until the helper is
  // loaded, about a millisecond. Error: it cannot be started, and why.
  static Result<std::shared_ptr<PluginProcess>> Start(EventLoop& loop, const std::string& runner,
                                                      const PluginCommand& command,
                                                      const std::string& folder,
                                                      Listeners listeners);
  // Kills what still runs.
  ~PluginProcess();
  PluginProcess(const PluginProcess&) = delete;
  PluginProcess& operator=(const PluginProcess&) = delete;

  // Ends all of it at once; nothing is told any more.
  void Kill();
  // Waits until it has ended by itself; false: it has not. Blocks; for the end of the daemon.
  [[nodiscard]] bool AwaitEnd(std::chrono::steady_clock::time_point until) const;

 private:
  PluginProcess(EventLoop& loop, Listeners listeners)
      : loop_(loop), listeners_(std::move(listeners)) {}
  Status Spawn(const std::string& runner, const PluginCommand& command, const std::string& folder);
  void OnEnd();
  // Ends the group, and takes the helper's exit status.
  int Reap();

  EventLoop& loop_;
  Listeners listeners_;
  pid_t pid_ = -1;  // of the helper, and of the group; -1: reaped
  Descriptor pidfd_;
  Descriptor lifeline_;  // its standard input: at its end the helper ends the program
  std::unique_ptr<OutputReader> output_, errors_;
};

}  // namespace autoscale
