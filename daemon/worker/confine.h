// What the policy worker takes from itself before it runs the first policy.
#pragma once

#include "engine/model/result.h"

namespace autoscale {

// Limits memory, files and core dumps, and leaves only the system calls that computing and
// answering need. Irreversible.
Status Confine();

}  // namespace autoscale
