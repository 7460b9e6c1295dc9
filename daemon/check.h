// Loading as the daemon does it: the loader, every adapter's own part, and each policy run against
// made-up samples. `--check-config`, the start and a reload are this one function.
#pragma once

#include <string>

#include "config/loader.h"

namespace autoscale {

// With `dry_run` every service is in dry run, whatever its file says.
LoadResult LoadAndCheck(const std::string& path, bool dry_run);

}  // namespace autoscale
