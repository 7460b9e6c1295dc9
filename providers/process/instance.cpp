#include "providers/process/instance.h"

#include <sys/epoll.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "config/section.h"
#include "net/fault_point.h"
#include "providers/process/launch.h"
#include "providers/process/pidfd.h"

namespace autoscale {
namespace {

// How often a folder is looked at whose launcher is still at work.
constexpr Millis kRecordLook{20};

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

// "0.2s", "14s", "1h30m": as exact as a person wants to know.
std::string Roughly(Millis d) {
  if (d >= std::chrono::seconds(10))
    return FormatDuration(std::chrono::round<std::chrono::seconds>(d));
  char text[16];
  std::snprintf(text, sizeof text, "%.1fs", ToSeconds(d));
  return text;
}

}  // namespace

ProcessInstance::ProcessInstance(Surroundings surroundings, std::string service, std::string id,
                                 InstanceFolder folder)
    : surroundings_(std::move(surroundings)),
      service_(std::move(service)),
      id_(std::move(id)),
      folder_(std::move(folder)) {}

ProcessInstance::~ProcessInstance() {
  surroundings_.loop.Cancel(timer_);
  if (pidfd_) surroundings_.loop.Unwatch(pidfd_.get());
}

Status ProcessInstance::Launch(const std::string& launcher,
                               std::shared_ptr<const ProcessTarget> target, int port) {
  target_ = std::move(target);
  host_ = target_->host;
  port_ = port;
  if (Status made = folder_.Create(); !made.ok()) return made;
  ReachFaultPoint(FaultPoint::kFolderMade);
  // The claim comes first: whatever is spawned can be found again with its port.
  const std::string endpoint = host_ + ":" + std::to_string(port_);
  Status claimed = folder_.Write("claim", endpoint + "\n");
  if (!claimed.ok()) {
    folder_.Remove();
    return claimed;
  }
  ReachFaultPoint(FaultPoint::kClaimWritten);
  const std::map<std::string, std::string> values = {
      {"port", std::to_string(port_)}, {"host", host_}, {"id", id_}, {"service", service_}};
  Result<pid_t> pid = SpawnInstance(launcher, folder_, *target_, values);
  if (!pid.ok()) {
    folder_.Remove();
    return std::move(pid).error();
  }
  ReachFaultPoint(FaultPoint::kSpawned);
  // Our own child, not waited for: the pid cannot be anybody else's.
  const auto identity = Identify(*pid);
  UniqueFd pidfd(pidfd_open(*pid, 0));
  if (!identity || !pidfd) {
    AwaitRecord();  // out of descriptors, say; the folder tells in a while
    return Ok{};
  }
  Watch(*identity, std::move(pidfd));
  return Ok{};
}

bool ProcessInstance::ReadClaim() {
  const std::string claim = folder_.Read("claim").value_or("");
  const size_t colon = claim.find(':');
  if (colon == std::string::npos) return false;
  host_ = claim.substr(0, colon);
  const char* end = claim.data() + claim.size();
  return std::from_chars(claim.data() + colon + 1, end, port_).ec == std::errc();
}

void ProcessInstance::Adopt() {
  errno = 0;
  const bool claimed = ReadClaim();
  if (!claimed && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
    // For want of a descriptor a living instance must not be taken for one that never was.
    timer_ = surroundings_.loop.After(kRecordLook, [this] { Adopt(); });
    return;
  }
  if (auto gone = folder_.Read("gone")) {
    state_ = InstanceState::kGone;
    detail_ = *gone;
    return;
  }
  if (!claimed) return End("was not started: its launcher ended early");
  AwaitRecord();
}

void ProcessInstance::AwaitRecord() {
  // First the lock, then the record: a free lock means that the launcher is through, so that what
  // the folder then says is final.
  const bool held = !folder_.Lock();
  const auto record = ParseProcessIdentity(folder_.Read("record").value_or(""));
  if (record) {
    std::optional<UniqueFd> pidfd = OpenProcess(*record);
    if (pidfd && *pidfd) return Watch(*record, std::move(*pidfd));
    if (pidfd) {
      if (held) static_cast<void>(folder_.KillHolders());
      return End(DescribeLoss(record));
    }
    // Cannot tell: a living instance must not be taken for dead.
  } else if (!held) {
    return End(DescribeLoss(record));
  }
  timer_ = surroundings_.loop.After(kRecordLook, [this] { AwaitRecord(); });
}

void ProcessInstance::Watch(ProcessIdentity identity, UniqueFd pidfd) {
  identity_ = std::move(identity);
  pidfd_ = std::move(pidfd);
  surroundings_.loop.Watch(pidfd_.get(), EPOLLIN, [this](uint32_t) { OnExit(); });
  if (state_ == InstanceState::kStopping) return SignalToStop();  // asked before it was known
  // What was ready before a restart of the daemon counts as ready until checks say otherwise:
  // gateways keep it.
  const std::string health = folder_.Read("health").value_or("");
  if (health == "ready") state_ = InstanceState::kReady;
  if (health == "unready") state_ = InstanceState::kUnready;
  WatchHealth();
}

void ProcessInstance::SetTarget(std::shared_ptr<const ProcessTarget> target) {
  target_ = std::move(target);
  WatchHealth();
}

void ProcessInstance::WatchHealth() {
  if (!target_ || !identity_ || gone() || state_ == InstanceState::kStopping) return;
  if (!health_) {
    using Verdict = HealthWatch::Verdict;
    const Verdict verdict = state_ == InstanceState::kReady     ? Verdict::kHealthy
                            : state_ == InstanceState::kUnready ? Verdict::kUnhealthy
                                                                : Verdict::kUnknown;
    health_ = std::make_unique<HealthWatch>(surroundings_.loop, surroundings_.http, host_, port_,
                                            verdict, [this] { HealthChanged(); });
  }
  health_->Follow(target_->health);
}

void ProcessInstance::HealthChanged() {
  if (health_->verdict() == HealthWatch::Verdict::kUnknown) return Become(state_);
  const bool healthy = health_->verdict() == HealthWatch::Verdict::kHealthy;
  const InstanceState state = healthy ? InstanceState::kReady : InstanceState::kUnready;
  if (state == state_) return Become(state_);  // only what is wrong has changed
  // A full disk loses it; then the next daemon checks first.
  static_cast<void>(folder_.Write("health", healthy ? "ready" : "unready").ok());
  Become(state);
}

void ProcessInstance::Stop() {
  if (gone() || state_ == InstanceState::kStopping) return;
  health_.reset();
  Become(InstanceState::kStopping);
  if (identity_) SignalToStop();
}

void ProcessInstance::SignalToStop() {
  const StopOptions stop = target_ ? target_->stop : StopOptions();
  const Millis age = AgeOf(*identity_);
  // An earlier daemon may have sent it: not twice, and its grace goes on.
  const std::optional<Millis> sent = ReadStop();
  stop_began_ = sent.value_or(age);
  if (!sent) {
    Signal(stop.signal);
    ReachFaultPoint(FaultPoint::kStopSignalled);
    // Lost on a full disk; then the next daemon sends it again.
    static_cast<void>(folder_.Write("stop", std::to_string(age.count())).ok());
  }
  timer_ = surroundings_.loop.After(std::max(Millis(0), stop_began_ + stop.grace - age), [this] {
    killed_ = true;
    Signal(SIGKILL);
  });
}

std::optional<Millis> ProcessInstance::ReadStop() const {
  const std::string text = folder_.Read("stop").value_or("");
  Millis::rep age = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), age);
  if (parsed.ec != std::errc()) return std::nullopt;
  return Millis(age);
}

// To the whole group, once: many programs take a second signal as an order to drop everything. The
// process leads its group and session for life; while it is there the number is its own. Where the
// kernel can (6.9), it finds the group through the descriptor, so that no moment is left in which
// one that we do not wait for could end and its number pass to another.
void ProcessInstance::Signal(int signal) {
  constexpr unsigned kToGroup = 1 << 2;  // PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h
  if (pidfd_send_signal(pidfd_.get(), signal, nullptr, kToGroup) == 0 || errno != EINVAL) return;
  if (pidfd_send_signal(pidfd_.get(), 0, nullptr, 0) == 0) kill(-identity_->pid, signal);
}

void ProcessInstance::OnExit() {
  siginfo_t status{};
  const auto pidfd = static_cast<id_t>(pidfd_.get());
  const bool child = waitid(P_PIDFD, pidfd, &status, WEXITED | WNOHANG | WNOWAIT) == 0;
  if (child && status.si_pid == 0) return;  // not yet
  const bool left_processes = !folder_.Lock() && folder_.KillHolders() > 0;
  if (child) {
    // Until it is waited for, nobody else can have its number: end what it left in its group.
    kill(-identity_->pid, SIGKILL);
    waitid(P_PIDFD, pidfd, &status, WEXITED | WNOHANG);
  }
  ReachFaultPoint(FaultPoint::kInstanceEnded);
  End(DescribeExit(child ? &status : nullptr, left_processes));
}

std::string ProcessInstance::DescribeExit(const siginfo_t* status, bool left_processes) const {
  if (auto failure = folder_.Read("failure")) return *failure;
  constexpr int kNotRun = 127;  // as launcher_main.cpp has it
  if (status != nullptr && status->si_code == CLD_EXITED && status->si_status == kNotRun &&
      !folder_.Read("record")) {
    return "was not started: its launcher could not write to " + folder_.path() +
           "; is the disk full?";
  }
  const Millis age = AgeOf(*identity_);
  const StopOptions stop = target_ ? target_->stop : StopOptions();
  const bool stopping = state_ == InstanceState::kStopping;
  if (stopping && killed_) {
    return "killed: still running " + FormatDuration(stop.grace) + " after " +
           SignalName(stop.signal);
  }
  const std::string when = stopping ? " " + Roughly(std::max(Millis(0), age - stop_began_)) +
                                          " after being asked to stop"
                                    : " after " + Roughly(age);
  if (status == nullptr) {
    return "ended" + when + ", how is not known: it was started before the daemon";
  }
  if (status->si_code != CLD_EXITED) return "ended by " + SignalName(status->si_status) + when;
  std::string detail = "exited with status " + std::to_string(status->si_status) + when;
  // A daemon, as programs that put themselves into the background were called.
  if (status->si_status == 0 && left_processes && !stopping) {
    return detail +
           " and left processes in the background, which were ended: start it with the "
           "option that keeps it in the foreground";
  }
  if (status->si_status == 0 && state_ == InstanceState::kStarting) {
    detail +=
        ", before it was ready; one that puts itself into the background needs the option that "
        "keeps it in the foreground";
  }
  const std::string words = stopping ? "" : folder_.LastWords();
  return words.empty() ? detail : detail + ": " + words;
}

std::string ProcessInstance::DescribeLoss(const std::optional<ProcessIdentity>& record) const {
  if (auto failure = folder_.Read("failure")) return *failure;
  if (!record) return "was not started: its launcher ended early";
  if (record->boot_id != ReadBootId()) return "ended when the machine restarted";
  return "ended while the daemon was not running";
}

void ProcessInstance::Become(InstanceState state) {
  state_ = state;
  surroundings_.changed(*this);
}

void ProcessInstance::End(std::string detail) {
  surroundings_.loop.Cancel(timer_);
  if (pidfd_) surroundings_.loop.Unwatch(pidfd_.get());
  pidfd_ = UniqueFd();
  health_.reset();
  detail_ = std::move(detail);
  // Lost on a full disk; then the record tells the next daemon as much as it can.
  static_cast<void>(folder_.Write("gone", detail_).ok());
  Become(InstanceState::kGone);
}

ObservedInstance ProcessInstance::Observed() const {
  ObservedInstance observed{.id = id_, .state = state_, .detail = detail_};
  if (port_ != 0) observed.endpoint = host_ + ":" + std::to_string(port_);
  if (health_ && !health_->trouble().empty()) observed.detail = health_->trouble();
  return observed;
}

InstanceUsage ProcessInstance::Usage() {
  InstanceUsage usage{
      .service = service_, .instance = id_, .endpoint = host_ + ":" + std::to_string(port_)};
  if (identity_) {
    const ProcessUsage now = ReadProcessUsage(identity_->pid);
    cpu_seconds_ = std::max(cpu_seconds_, now.cpu_seconds);
    usage.memory_bytes = now.memory_bytes;
  }
  usage.cpu_seconds = cpu_seconds_;
  return usage;
}

void ProcessInstance::RotateOutput() const {
  if (target_ && !gone()) folder_.RotateOutput(target_->output_max_bytes);
}

}  // namespace autoscale
