// A small file, whole: an input, a line of /proc.
#pragma once

#include <string>

#include "engine/model/result.h"

namespace autoscale {

// What the file holds now. kUnavailable when it cannot be opened or read to its end, with the
// system's reason: a file of /proc can go between the two, when its process ends. Throws nothing
// but for memory; blocks as the file does; any thread.
Result<std::string> ReadFile(const std::string& path);

}  // namespace autoscale
