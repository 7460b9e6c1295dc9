// Starts the process of an instance.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "engine/model/result.h"
#include "providers/process/folder.h"
#include "providers/process/options.h"

namespace autoscale {

// The launcher's executable beside this one: ../libexec/autoscaled/autoscaled-launch.
std::string DefaultLauncherPath();

// Takes the folder's lock and spawns the launcher with it, in a session of its own; answers the
// pid, which the instance keeps. Blocks until the launcher is loaded (about a millisecond), not
// until the command runs: a command that cannot be run ends with a `failure` in its folder.
// `values` replace {port} and the like in command and environment.
Result<pid_t> SpawnInstance(const std::string& launcher, const InstanceFolder& folder,
                            const ProcessTarget& target,
                            const std::map<std::string, std::string>& values);

}  // namespace autoscale
