#include "daemon/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>
#include <string_view>

namespace autoscale {
namespace {

sigset_t SetOf(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  return set;
}

}  // namespace

void KeepHangups() {
  const sigset_t hangup = SetOf({SIGHUP});
  pthread_sigmask(SIG_BLOCK, &hangup, nullptr);
}

int BlockSignals() {
  const sigset_t signals = SetOf({SIGTERM, SIGINT, SIGHUP});
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // inherited by all threads
  // Sent by mistake, or to a group; none of them means anything here.
  for (const int signal : {SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM}) std::signal(signal, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit fails, as any other may
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

void LeaveInTime() {
  std::thread([] {
    std::this_thread::sleep_for(kEndWithin);
    constexpr std::string_view kLine =
        "autoscaled: something hangs; left without it, the fleet serves on\n";
    pollfd writable{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (poll(&writable, 1, 0) > 0) (void)!write(STDERR_FILENO, kLine.data(), kLine.size());
    _exit(0);
  }).detach();
}

BoundedStart::BoundedStart()
    : ends_([] {
        const sigset_t ends = SetOf({SIGTERM, SIGINT});
        return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
      }()),
      over_(eventfd(0, EFD_CLOEXEC)) {
  if (ends_ < 0 || over_ < 0) return;  // without descriptors nothing starts anyway
  thread_ = std::thread([this] {
    pollfd both[] = {{.fd = ends_, .events = POLLIN, .revents = 0},
                     {.fd = over_, .events = POLLIN, .revents = 0}};
    poll(both, 2, -1);
    if ((both[0].revents & POLLIN) != 0) LeaveInTime();
  });
}

BoundedStart::~BoundedStart() {
  eventfd_write(over_, 1);
  if (thread_.joinable()) thread_.join();
  close(ends_);
  close(over_);
}

}  // namespace autoscale
