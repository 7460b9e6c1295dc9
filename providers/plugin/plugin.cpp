#include "providers/plugin/plugin.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "config/section.h"
#include "engine/model/text.h"
#include "providers/plugin/errors.h"
#include "providers/plugin/handshake.h"

namespace autoscale {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Millis kFirstRest{500};
constexpr Millis kLongestRest = std::chrono::seconds(30);
constexpr int kMostDoublings = 6;
// One that lasted so long has recovered: its next failure is the first.
constexpr Millis kLasted = std::chrono::minutes(1);
constexpr Millis kAskHealthAgain{100};
constexpr size_t kShownLine = 300;  // bytes, in a message
// Of a socket's name in the folder; go-plugin's have up to 20.
constexpr size_t kSocketName = 27;

// Of its owner alone, and without sockets.
Status MakeFolder(const std::string& path) {
  if (path.size() + kSocketName > kMaxSocketPath) {
    return Error{ErrorKind::kUnavailable, "its folder " + path +
                                              " has too long a path for a socket in it (" +
                                              std::to_string(kMaxSocketPath) +
                                              " bytes at most); choose a shorter state_dir"};
  }
  std::error_code fault;
  std::filesystem::create_directories(path, fault);
  if (!fault && chmod(path.c_str(), 0700) != 0) fault.assign(errno, std::generic_category());
  // Whoever was killed has left its socket.
  for (std::filesystem::directory_iterator it(path, fault), end; !fault && it != end;
       it.increment(fault)) {
    std::error_code ignored;
    if (it->is_socket(ignored)) std::filesystem::remove(it->path(), ignored);
  }
  if (!fault) return Ok{};
  return Error{ErrorKind::kUnavailable, "cannot make its folder " + path + ": " + fault.message()};
}

}  // namespace

Plugin::Plugin(Options options) : options_(std::move(options)) {}

Plugin::~Plugin() { options_.loop.Cancel(timer_); }

void Plugin::WhenReady(ChannelUser user) {
  switch (state_) {
    case State::kReady:
      return user(channel_.get());
    case State::kResting:
    case State::kEnded:
      return user(Problem());
    case State::kIdle:
      waiting_.push_back(std::move(user));
      return Start();
    case State::kStarting:
    case State::kConnecting:
      waiting_.push_back(std::move(user));
  }
}

Error Plugin::Problem() const {
  return {ErrorKind::kUnavailable, "plugin " + options_.name + " does not run: " + problem_};
}

template <typename T>
std::function<void(Result<T>)> Plugin::ForThisRun(std::function<void(Result<T>)> then) {
  return [this, alive = std::weak_ptr<int>(alive_), run = run_,
          then = std::move(then)](Result<T> answer) {
    if (!alive.expired() && run == run_) then(std::move(answer));
  };
}

void Plugin::Start() {
  state_ = State::kStarting;
  ++run_;
  started_ = Clock::now();
  refusal_.clear();
  last_words_.clear();
  if (Status made = MakeFolder(options_.folder); !made.ok()) return Fail(made.error().message);
  auto started =
      PluginProcess::Start(options_.loop, options_.runner, *options_.command, options_.folder,
                           {.on_output =
                                [this, run = run_](std::string_view line) {
                                  if (run == run_) OnOutput(line);
                                },
                            .on_errors =
                                [this, run = run_](std::string_view line) {
                                  if (run == run_) OnErrors(line);
                                },
                            .on_end =
                                [this, run = run_](const std::string& how) {
                                  if (run == run_) OnProcessEnd(how);
                                }});
  if (!started.ok()) return Fail(started.error().message);
  process_ = *std::move(started);
  timer_ = options_.loop.After(options_.command->start_timeout, [this] {
    const std::string within = " within " + FormatDuration(options_.command->start_timeout);
    Fail(state_ == State::kStarting ? "it printed no handshake" + within
                                    : "it was not ready" + within);
  });
}

void Plugin::OnOutput(std::string_view line) {
  if (state_ != State::kStarting) return Tell(line);
  if (line.starts_with(kRunnerSays)) {
    refusal_ = OneLine(line.substr(std::string_view(kRunnerSays).size()), kShownLine);
    return;  // it is about to end
  }
  auto address = ReadHandshake(line);
  if (!address.ok()) return Fail(address.error().message);
  state_ = State::kConnecting;
  channel_ = std::make_unique<PluginChannel>(options_.loop, options_.calls, *address);
  CheckHealth();
}

void Plugin::OnErrors(std::string_view line) {
  last_words_ = OneLine(line, kShownLine);
  Tell(line);
}

void Plugin::Tell(std::string_view line) {
  uint64_t left_out = 0;
  if (!quota_.Allows(Clock::now(), left_out)) return;
  if (left_out > 0) {
    options_.log(PluginLogLevel::kWarning, options_.name,
                 std::to_string(left_out) + " lines that it printed are left out here");
  }
  options_.log(PluginLogLevel::kInfo, options_.name, OneLine(line, OutputReader::kMaxLine));
}

void Plugin::OnProcessEnd(const std::string& how) {
  if (!refusal_.empty()) return Fail(refusal_);
  std::string why = how;
  if (state_ == State::kStarting) why += " before its handshake";
  if (!last_words_.empty()) why += "; its last words: '" + last_words_ + "'";
  Fail(why);
}

// Until it says so, or the time of the start is up.
void Plugin::CheckHealth() {
  const auto left =
      std::chrono::duration_cast<Millis>(started_ + options_.command->start_timeout - Clock::now());
  channel_->CheckHealth(std::max(left, Millis(1)), ForThisRun<Ok>([this](const Result<Ok>& answer) {
                          if (answer.ok()) return Introduce();
                          options_.loop.After(kAskHealthAgain,
                                              [ask = ForThisRun<Ok>([this](const Result<Ok>&) {
                                                 if (state_ == State::kConnecting) CheckHealth();
                                               })] { ask(Ok{}); });
                        }));
}

void Plugin::Introduce() {
  channel_->Describe(call_timeout(), ForThisRun<v1::DescribeResponse>(
                                         [this](const Result<v1::DescribeResponse>& answer) {
                                           if (answer.ok()) return BecomeReady(*answer);
                                           Fail("Describe: " + answer.error().message);
                                         }));
}

void Plugin::BecomeReady(const v1::DescribeResponse& description) {
  options_.loop.Cancel(timer_);
  state_ = State::kReady;
  ready_since_ = Clock::now();
  ++generation_;
  probing_ = false;
  problem_.clear();
  told_.clear();
  const std::string name = OneLine(description.name(), kShownLine);
  const std::string version = OneLine(description.version(), kShownLine);
  options_.log(
      PluginLogLevel::kInfo, options_.name,
      "is ready" + (name.empty() ? "" : ": " + name) + (version.empty() ? "" : " " + version));
  for (const ChannelUser& user : std::exchange(waiting_, {})) user(channel_.get());
  if (run_ > 1 && on_ready_) on_ready_();
}

void Plugin::OnLate() {
  if (state_ != State::kReady || std::exchange(probing_, true)) return;
  channel_->CheckHealth(call_timeout(), ForThisRun<Ok>([this](const Result<Ok>& answer) {
                          probing_ = false;
                          if (!answer.ok()) {
                            Fail("it hangs: its health check " + answer.error().message);
                          }
                        }));
}

void Plugin::Fail(const std::string& why) {
  options_.loop.Cancel(timer_);
  if (state_ == State::kReady && Clock::now() - ready_since_ >= kLasted) failures_ = 0;
  state_ = State::kResting;
  ++run_;
  if (process_) {
    process_->Kill();
    // Not here: it may be what calls.
    options_.loop.Post([process = std::move(process_)] {});
    process_.reset();
  }
  channel_.reset();
  problem_ = why;
  const Millis longest =
      std::min(kFirstRest * (1 << std::min(failures_++, kMostDoublings)), kLongestRest);
  const Millis rest(
      std::uniform_int_distribution<int64_t>(longest.count() / 2, longest.count())(random_));
  if (std::exchange(told_, why) != why) {
    options_.log(PluginLogLevel::kWarning, options_.name,
                 "does not run: " + why + "; its services hold, and it is started again");
  }
  timer_ = options_.loop.After(rest, [this] { Start(); });
  for (const ChannelUser& user : std::exchange(waiting_, {})) user(Problem());
}

void Plugin::BeginEnd(Millis within) {
  if (state_ == State::kReady) channel_->Shutdown(within);
  state_ = State::kEnded;
  ++run_;
}

void Plugin::End(std::chrono::steady_clock::time_point until) {
  if (process_ && channel_ && process_->AwaitEnd(until)) process_->Kill();
  process_.reset();
  channel_.reset();
}

}  // namespace autoscale
