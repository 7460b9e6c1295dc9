// What all the tests here do with a DaemonRig.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/integration/daemon_rig.h"

namespace autoscale {

// Whether the observer finds nothing wrong with so many instances of the service, within 30 s.
// `options`: see the observer.
testing::AssertionResult Judge(const DaemonRig& rig, const std::string& service, int instances,
                               const std::vector<std::string>& options = {});
// The name of a service that no other test's processes have.
std::string OwnName(const std::string& prefix);
// Replaces a top-level line of the service's file, or adds it: "max: 8".
void SetLine(const DaemonRig& rig, const std::string& service, const std::string& line);
// A rate limit that never binds but makes the history keep every change for half an hour, which the
// observer compares with the decisions.
inline constexpr const char* kRemember = "limits: [{instances: 1000, period: 30m}]";
// Starts a daemon that will die at the point, NAME[:COUNT]. The rig's own must have ended.
std::unique_ptr<Child> StartArmed(DaemonRig& rig, const std::string& point);
// Ends the daemon by SIGKILL; the next must be started.
void Kill(DaemonRig& rig);

}  // namespace autoscale
