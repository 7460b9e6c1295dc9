// Loading as the daemon does it: the loader, every adapter's own part, and each policy run against
// made-up samples. `--check-config`, the start and a reload are this one function.
#pragma once

#include <stop_token>
#include <string>

#include "config/loader.h"

namespace autoscale {

// With `dry_run` every service is in dry run, whatever its file says. Policies are run in a process
// of their own: whatever they do there costs a diagnostic. Blocks on files and on that process; a
// stop ends the latter within 100 ms, and is an error.
LoadResult LoadAndCheck(const std::string& path, bool dry_run, std::stop_token stop = {});

}  // namespace autoscale
