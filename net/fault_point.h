// Fault points: named places at which a test lets the process die by SIGKILL, to prove that nothing
// is lost wherever that happens. Nobody arms one but by the environment:
//
//   AUTOSCALED_FAULT_POINT=NAME[:COUNT]   dies the COUNT-th time that the point is reached (1)
//
// `autoscaled --fault-points` lists them. Reaching one costs a relaxed load while none is armed.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <string_view>

#include "engine/model/result.h"

namespace autoscale {

inline constexpr const char* kFaultPointVariable = "AUTOSCALED_FAULT_POINT";

// In the order in which a life of the daemon comes by; kFaultPoints says what each stands between.
enum class FaultPoint {
  kStateOpened,
  kEpochRaised,
  kServicesTakenUp,
  kFirstObservation,
  kTickBegun,
  kTickCollected,
  kTickEvaluated,
  kTickDecided,
  kBatchComposed,
  kBatchWritten,
  kBatchCommitted,
  kBeforeLaunch,
  kFolderMade,
  kClaimWritten,
  kSpawned,
  kLauncherStarted,
  kLauncherRecorded,
  kLaunchAnswered,
  kReady,
  kBeforePublish,
  kPublished,
  kConfirmed,
  kDrainEntered,
  kTakenBack,
  kDrainFinished,
  kBeforeTerminate,
  kStopSignalled,
  kInstanceEnded,
  kBeforeForget,
  kRetired,
  kPauseStored,
  kResumeStored,
  kReloaded,
  kRemovalBegun,
  kRemovalFinished,
  kShutdownBegun,
  kShutdownJournaled,
};

struct FaultPointInfo {
  FaultPoint point;
  std::string_view name;
  std::string_view between;  // what has happened and what has not
  bool in_launcher = false;  // reached in autoscaled-launch; the daemon lives on
};

// Arms what the environment names; nothing named: nothing armed. kInvalid for a name that is not a
// point or a count that is not a number above zero. Before any other thread starts.
[[nodiscard]] Status ArmFaultPoint();
[[nodiscard]] bool IsFaultPointArmed();
// The variable's value when it names a point of the launcher, which then is to be handed it.
std::optional<std::string> LauncherFaultPoint();
// A line a point, for a person: name and what it stands between.
std::string ListFaultPoints();

namespace fault_point {
extern std::atomic<int> armed;  // the point; -1: none
void Strike();                  // counts, and dies when it is time
}  // namespace fault_point

inline void ReachFaultPoint(FaultPoint point) {
  if (fault_point::armed.load(std::memory_order_relaxed) == static_cast<int>(point)) {
    fault_point::Strike();
  }
}

}  // namespace autoscale
