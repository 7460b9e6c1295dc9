// Signals exactly one process. kill() itself takes 0 for the caller's group and -1 for everybody.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <csignal>

namespace autoscale {

// As kill(), but a pid that means more than one process is a failure of the test, and nobody's end.
inline int SignalOne(pid_t pid, int signal) {
  if (pid > 1) return kill(pid, signal);
  ADD_FAILURE() << "there is no process to be signalled: " << pid;
  return -1;
}

}  // namespace autoscale
