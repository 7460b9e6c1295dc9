// The locks that keep two daemons apart.
#pragma once

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace autoscale {

// Takes the lock of an open file: 0, or why not. One that is held is waited for a moment: a daemon
// that was killed between fork and exec leaves a child that holds its descriptors until then.
// Blocks for a second at most.
inline int TakeLock(int file) {
  constexpr int kTries = 50;
  constexpr std::chrono::milliseconds kPause{20};
  for (int i = 0; i < kTries; ++i) {
    if (flock(file, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK && errno != EINTR) return errno;
    std::this_thread::sleep_for(kPause);
  }
  return EWOULDBLOCK;
}

}  // namespace autoscale
