// The signals that mean something to the daemon, and the end that waits for nobody.
#pragma once

#include <chrono>
#include <thread>

namespace autoscale {

// From SIGTERM to the end, whatever hangs; below TimeoutStopSec of the unit.
constexpr std::chrono::seconds kEndWithin{10};

// SIGHUP is kept for the descriptor from now on: one that comes while the configuration is loaded
// for the first time asks for a reload after it, and must not end the daemon, which supervisors
// take for an end that was meant. Before any other thread starts.
void KeepHangups();

// SIGTERM, SIGINT and SIGHUP come out of the descriptor from now on, in whatever thread; others
// that may be sent by mistake are ignored. Before any other thread starts.
int BlockSignals();

// Ends the process after kEndWithin, whatever it is in the middle of then. What is stored and
// running is as a kill would leave it: the next start goes on from there.
void LeaveInTime();

// While it lives SIGTERM and SIGINT lead to LeaveInTime: a start may hang, and nobody takes signals
// from the descriptor yet. They stay there. After BlockSignals.
class BoundedStart {
 public:
  BoundedStart();
  ~BoundedStart();
  BoundedStart(const BoundedStart&) = delete;
  BoundedStart& operator=(const BoundedStart&) = delete;

 private:
  const int ends_;  // readable: one of the two is pending
  const int over_;  // readable: it is to go
  std::thread thread_;
};

}  // namespace autoscale
