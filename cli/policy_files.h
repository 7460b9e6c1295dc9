// What several of the policy commands do with files: find them, read them, choose a service.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/spec.h"
#include "engine/model/result.h"

namespace autoscale::cli {

// The regular files beneath the folders and those named, each once, in order of their paths; of
// folders those that `wanted` takes by their name, without hidden folders. Error: a sentence; also
// when a named one is not wanted (`kind`: "is no test: ...").
Result<std::vector<std::string>> FindFiles(const std::vector<std::string>& paths,
                                           const std::function<bool(const std::string&)>& wanted,
                                           const std::string& kind);

// A whole file, or standard input for "-".
Result<std::string> ReadInput(const std::string& path);

// The one service that is meant: `name`, or the only one.
Result<const ServiceSpec*> ChooseService(const std::vector<ServiceSpec>& services,
                                         const std::string& name, const std::string& file);

}  // namespace autoscale::cli
