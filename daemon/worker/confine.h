// What the policy worker takes from itself before it runs the first policy.
#pragma once

#include <cstddef>

#include "engine/model/result.h"

namespace autoscale {

// Limits memory, files and core dumps, and leaves only the system calls that computing and
// answering need. Irreversible. `memory_bytes` is of address space.
Status Confine(size_t memory_bytes);

}  // namespace autoscale
