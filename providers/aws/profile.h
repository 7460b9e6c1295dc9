// Profile: keys in the files that AWS's own tools share (~/.aws/credentials, ~/.aws/config).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "engine/model/result.h"
#include "providers/aws/signature.h"

namespace autoscale::aws {

// A variable of the environment; nothing: it is not set, or empty.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> ProcessEnvironment(const std::string& name);

// Reads the keys of a profile (empty: AWS_PROFILE's, else `default`). kNotFound: no file has such a
// profile. kInvalid: it has no static keys. Blocks on two small files.
Result<AccessKeys> ReadProfile(const EnvironmentLookup& environment, const std::string& profile);

}  // namespace autoscale::aws
