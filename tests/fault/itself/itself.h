// ItselfTest: a daemon with one service that follows its load, whose own troubles are tested.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/integration/daemon_rig.h"

namespace autoscale {

// What the kernel says of a process.
struct ProcessFigures {
  double cpu_seconds = 0;
  long resident_kib = 0;
  int descriptors = 0;
};
ProcessFigures FiguresOf(pid_t pid);

class ItselfTest : public testing::Test {
 protected:
  // As many instances as the load says; scale-ins at once.
  void WriteWeb(const std::string& extra = "max: 6\n");
  void Load(double value) { rig_.prometheus().Set("load", "web", value); }
  void StartWith(int instances, const std::string& extra = "max: 6\n");
  void AwaitSettled(int instances);
  [[nodiscard]] double Ticks() const { return rig_.Metric("autoscaled_ticks_total"); }
  void AwaitMoreTicks(int count);
  // Waits until all the parts stand in what the daemon has written.
  void AwaitLog(const std::vector<std::string>& parts);
  // Signals the present policy worker and returns its pid; waits until there is one.
  pid_t SignalWorker(int signal);
  // The daemon follows its load, and no instance was lost or replaced on the way here.
  void ExpectWell(const std::set<pid_t>& before, int instances);

  DaemonRig rig_;
};

}  // namespace autoscale
