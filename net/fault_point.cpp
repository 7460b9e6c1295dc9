#include "net/fault_point.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>

namespace autoscale {
namespace {

using enum FaultPoint;

constexpr std::array kFaultPoints = {
    FaultPointInfo{kStateOpened, "state-opened", "the database is open; the epoch is the old one"},
    FaultPointInfo{kEpochRaised, "epoch-raised", "the new epoch is stored; nothing is taken up"},
    FaultPointInfo{kServicesTakenUp, "services-taken-up",
                   "rows are read; the providers have not told what exists"},
    FaultPointInfo{kFirstObservation, "first-observation",
                   "a provider has told what exists; nothing follows from it yet"},
    FaultPointInfo{kTickBegun, "tick-begun", "the queries are asked; no answer is in"},
    FaultPointInfo{kTickCollected, "tick-collected", "the samples are in; no policy has seen them"},
    FaultPointInfo{kTickEvaluated, "tick-evaluated", "policies have proposed; nothing is decided"},
    FaultPointInfo{kTickDecided, "tick-decided", "it is decided; nothing is stored"},
    FaultPointInfo{kBatchComposed, "batch-composed", "a batch is full; no transaction has begun"},
    FaultPointInfo{kBatchWritten, "batch-written", "inside the transaction, before COMMIT"},
    FaultPointInfo{kBatchCommitted, "batch-committed", "it is stored; nothing is acted on"},
    FaultPointInfo{kBeforeLaunch, "before-launch", "the row is stored; Launch is not handed over"},
    FaultPointInfo{kFolderMade, "folder-made", "the instance has a folder and no claim in it"},
    FaultPointInfo{kClaimWritten, "claim-written", "the port is claimed; nothing is spawned"},
    FaultPointInfo{kSpawned, "spawned", "the launcher runs; the daemon has noted nothing"},
    FaultPointInfo{kLauncherStarted, "launcher-started", "the launcher has not said who it is",
                   true},
    FaultPointInfo{kLauncherRecorded, "launcher-recorded",
                   "the launcher has said who it is; it is not the instance yet", true},
    FaultPointInfo{kLaunchAnswered, "launch-answered", "Launch is answered; no row says so"},
    FaultPointInfo{kReady, "ready", "the instance was told to be ready; no row says so"},
    FaultPointInfo{kBeforePublish, "before-publish", "there is a new list; no gateway was sent it"},
    FaultPointInfo{kPublished, "published", "the list is on its way to a gateway"},
    FaultPointInfo{kConfirmed, "confirmed", "the gateway has the list; nothing follows from it"},
    FaultPointInfo{kDrainEntered, "drain-entered", "a victim is chosen; no row says so"},
    FaultPointInfo{kTakenBack, "taken-back", "it serves again instead of draining; no row says so"},
    FaultPointInfo{kDrainFinished, "drain-finished", "it is drained; no row says so"},
    FaultPointInfo{kBeforeTerminate, "before-terminate",
                   "the row says stopping; Terminate is not handed over"},
    FaultPointInfo{kStopSignalled, "stop-signalled", "the stop signal is sent"},
    FaultPointInfo{kInstanceEnded, "instance-ended", "the process has ended; nothing says so"},
    FaultPointInfo{kBeforeForget, "before-forget", "the row is gone; the folder is there"},
    FaultPointInfo{kRetired, "retired", "the folder is put away; nothing is left"},
    FaultPointInfo{kPauseStored, "pause-stored", "the pause is stored; nobody was told"},
    FaultPointInfo{kResumeStored, "resume-stored", "its end is stored; nobody was told"},
    FaultPointInfo{kReloaded, "reloaded", "the new configuration is in force; nothing is stored"},
    FaultPointInfo{kRemovalBegun, "removal-begun", "a removed service has yet to be drained"},
    FaultPointInfo{kRemovalFinished, "removal-finished",
                   "a removed service's instances have ended; its row is there"},
    FaultPointInfo{kShutdownBegun, "shutdown-begun", "SIGTERM is taken; nothing is closed"},
    FaultPointInfo{kShutdownJournaled, "shutdown-journaled", "all is stored; the process remains"},
};

constexpr bool IsInOrder() {
  for (size_t i = 0; i < kFaultPoints.size(); ++i) {
    if (kFaultPoints[i].point != static_cast<FaultPoint>(i)) return false;
  }
  return kFaultPoints.size() == static_cast<size_t>(kShutdownJournaled) + 1;
}
static_assert(IsInOrder(), "a row for each point, in the order of the enumeration");

std::atomic<int> left{0};  // until it dies

// Absent: not a point, or not a count.
struct Armed {
  const FaultPointInfo* info;
  int count;
};

std::optional<Armed> Parse(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  Armed armed{.info = nullptr, .count = 1};
  for (const FaultPointInfo& info : kFaultPoints) {
    if (info.name == name) armed.info = &info;
  }
  if (colon != std::string_view::npos) {
    const char* end = text.data() + text.size();
    const auto [last, fault] = std::from_chars(text.data() + colon + 1, end, armed.count);
    if (fault != std::errc() || last != end || armed.count < 1) return std::nullopt;
  }
  if (armed.info == nullptr) return std::nullopt;
  return armed;
}

}  // namespace

namespace fault_point {

std::atomic<int> armed{-1};

void Strike() {
  if (left.fetch_sub(1) != 1) return;
  // For who asks why it died; nothing that waits or allocates.
  const FaultPointInfo& info = kFaultPoints[static_cast<size_t>(armed.load())];
  std::array<char, 96> line{};
  size_t length = 0;
  for (const std::string_view part :
       {std::string_view("reached fault point "), info.name, std::string_view("\n")}) {
    length += part.copy(line.data() + length, line.size() - length);
  }
  const ssize_t ignored = write(STDERR_FILENO, line.data(), length);
  static_cast<void>(ignored);
  while (true) kill(getpid(), SIGKILL);
}

}  // namespace fault_point

Status ArmFaultPoint() {
  const char* text = std::getenv(kFaultPointVariable);
  if (text == nullptr || *text == '\0') return Ok{};
  const std::optional<Armed> parsed = Parse(text);
  if (!parsed) {
    return Error{ErrorKind::kInvalid, std::string(kFaultPointVariable) + " is '" + text +
                                          "', which is not NAME or NAME:COUNT of a fault point: "
                                          "`autoscaled --fault-points` lists them; unset it "
                                          "outside of tests"};
  }
  left = parsed->count;
  fault_point::armed = static_cast<int>(parsed->info->point);
  return Ok{};
}

bool IsFaultPointArmed() { return fault_point::armed >= 0; }

std::optional<std::string> LauncherFaultPoint() {
  const char* text = std::getenv(kFaultPointVariable);
  if (text == nullptr) return std::nullopt;
  const std::optional<Armed> parsed = Parse(text);
  if (!parsed || !parsed->info->in_launcher) return std::nullopt;
  return text;
}

std::string ListFaultPoints() {
  constexpr size_t kColumn = 20;
  std::string text;
  for (const FaultPointInfo& info : kFaultPoints) {
    text += info.name;
    text.append(kColumn - std::min(kColumn - 1, info.name.size()), ' ');
    text += info.between;
    text += info.in_launcher ? " (in autoscaled-launch)\n" : "\n";
  }
  return text;
}

}  // namespace autoscale
