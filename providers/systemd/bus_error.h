// What errors of a service manager and of the bus before it mean.
#pragma once

#include <string>

#include "engine/model/result.h"

namespace autoscale {

// Of a call about the unit (empty: about all) that was answered with an error: its D-Bus name, such
// as "org.freedesktop.systemd1.NoSuchUnit", and its text.
Error ExplainBusError(const std::string& name, const std::string& text, const std::string& unit);

// Whether there is nobody on the other side, or nobody who answers: a new connection may help.
bool IsBusLost(const std::string& name);

// What came of a stop that was answered so: a unit that is not loaded is what was asked for; that
// something else is not there is none.
Status JudgeStop(const std::string& name, const std::string& text, const std::string& unit);

}  // namespace autoscale
