// Which ports can be given to a new instance.
#pragma once

#include <set>
#include <string>

#include "engine/model/result.h"

namespace autoscale {

// The lowest port of first..last that is not claimed and that nobody listens on at `host`, tried by
// binding it for a moment. kExhausted when there is none, kInvalid when `host` is not an address of
// this machine.
Result<int> ChoosePort(const std::string& host, int first, int last, const std::set<int>& claimed);

}  // namespace autoscale
