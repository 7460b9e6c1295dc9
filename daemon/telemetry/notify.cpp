#include "daemon/telemetry/notify.h"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <string_view>

namespace autoscale {
namespace {

// A newline would begin another assignment.
std::string StatusLine(std::string status) {
  std::replace(status.begin(), status.end(), '\n', ' ');
  return "STATUS=" + status;
}

// Whether systemd took it is of no use to us: it acts on what it does not hear.
void Notify(const std::string& state) { (void)sd_notify(0, state.c_str()); }

}  // namespace

void NotifyReady(const std::string& status) { Notify("READY=1\n" + StatusLine(status)); }
void NotifyStatus(const std::string& status) { Notify(StatusLine(status)); }
void NotifyStopping() { Notify("STOPPING=1"); }
void NotifyWatchdog() { Notify("WATCHDOG=1"); }

std::optional<Millis> WatchdogInterval() {
  uint64_t micros = 0;
  if (sd_watchdog_enabled(0, &micros) <= 0) return std::nullopt;
  return std::max(Millis(1),
                  std::chrono::duration_cast<Millis>(std::chrono::microseconds(micros)) / 2);
}

}  // namespace autoscale
