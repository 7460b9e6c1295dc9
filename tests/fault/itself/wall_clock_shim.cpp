// Preloaded into the daemon by a test: sets its wall clock, and nobody else's, forward or back by
// the nanoseconds in a file that the test writes to.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kSecond = 1'000'000'000;

const volatile int64_t* Offset() {
  static const volatile int64_t* const mapped = [] {
    static const int64_t none = 0;
    const char* path = std::getenv("WALL_CLOCK_OFFSET");
    const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return static_cast<const volatile int64_t*>(&none);
    void* at = mmap(nullptr, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return static_cast<const volatile int64_t*>(&none);
    return static_cast<const volatile int64_t*>(at);
  }();
  return mapped;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* to) noexcept {
  if (syscall(SYS_clock_gettime, clock, to) != 0) return -1;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return 0;
  const int64_t nanos = int64_t{to->tv_sec} * kSecond + to->tv_nsec + *Offset();
  to->tv_sec = nanos / kSecond;
  to->tv_nsec = nanos % kSecond;
  return 0;
}

int gettimeofday(timeval* to, void*) noexcept {
  timespec now{};
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  to->tv_sec = now.tv_sec;
  to->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* to) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (to != nullptr) *to = now.tv_sec;
  return now.tv_sec;
}
}
