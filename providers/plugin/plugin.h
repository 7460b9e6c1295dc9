// Plugin: one declared plugin, kept running.
//
//   idle ─▶ starting ─▶ connecting ─▶ ready
//             ▲             │           │      any failure: killed, told once, and after a growing
//             └── resting ◀─┴───────────┘      pause started again
//
// Loop's thread only, but for BeginEnd and End.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "providers/plugin/channel.h"
#include "providers/plugin/plugin_host.h"
#include "providers/plugin/process.h"

namespace autoscale {

class Plugin {
 public:
  struct Options {
    EventLoop& loop;
    OpenCalls& calls;
    PluginLog log;
    std::string name;
    std::shared_ptr<const PluginCommand> command;
    std::string folder;  // its own; made when missing
    std::string runner;
  };
  // To be used at once and not kept; an error says why there is none, as people read it.
  using ChannelUser = std::function<void(Result<PluginChannel*>)>;

  explicit Plugin(Options options);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] Millis call_timeout() const { return options_.command->call_timeout; }
  // Rises with each process that becomes ready; what an earlier one said may not hold any more.
  [[nodiscard]] int generation() const { return generation_; }

  // Starts it when it was never asked for; calls back when it is ready, within start_timeout, or
  // why it is not. While it rests between two starts, at once.
  void WhenReady(ChannelUser user);
  // Whenever it has become ready after it had failed.
  void SetListener(std::function<void()> on_ready) { on_ready_ = std::move(on_ready); }
  // A call was not answered in time: one that does not say within as long that it is well has hung.
  void OnLate();

  // Asks it to end, and waits until then before it is killed. Not while the loop runs.
  void BeginEnd(Millis within);
  void End(std::chrono::steady_clock::time_point until);

 private:
  enum class State { kIdle, kStarting, kConnecting, kReady, kResting, kEnded };

  void Start();
  void OnOutput(std::string_view line);
  void OnErrors(std::string_view line);
  void OnProcessEnd(const std::string& how);
  void CheckHealth();
  void Introduce();
  void BecomeReady(const v1::DescribeResponse& description);
  void Fail(const std::string& why);
  void Tell(std::string_view line);
  [[nodiscard]] Error Problem() const;
  // Runs `then` on the loop's thread unless this run of the process is over by then.
  template <typename T>
  std::function<void(Result<T>)> ForThisRun(std::function<void(Result<T>)> then);

  Options options_;
  State state_ = State::kIdle;
  std::shared_ptr<PluginProcess> process_;
  std::unique_ptr<PluginChannel> channel_;
  std::vector<ChannelUser> waiting_;
  std::function<void()> on_ready_;
  EventLoop::TimerId timer_ = 0;  // of the start, or of the rest
  int run_ = 0;
  int generation_ = 0;
  int failures_ = 0;  // in a row
  bool probing_ = false;
  std::chrono::steady_clock::time_point started_, ready_since_;
  std::string refusal_;     // what the helper said before it ended
  std::string last_words_;  // on standard error, in this run
  std::string problem_, told_;
  LineQuota quota_;
  std::minstd_rand random_{std::random_device{}()};
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale
