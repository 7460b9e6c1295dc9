// sd_notify: READY, STATUS, STOPPING and WATCHDOG, silent when systemd did not start us.
#pragma once

#include <optional>
#include <string>

#include "engine/model/time.h"

namespace autoscale {

void NotifyReady(const std::string& status);
void NotifyStatus(const std::string& status);
void NotifyStopping();
void NotifyWatchdog();
// Half of systemd's WatchdogSec, the interval at which to call NotifyWatchdog; absent: no watchdog.
std::optional<Millis> WatchdogInterval();

}  // namespace autoscale
