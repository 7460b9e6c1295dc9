// Text that others wrote, as our own messages may show it.
#pragma once

#include <string>
#include <string_view>

namespace autoscale {

// At most `max_bytes` of it (at least 4) on one line: control characters become spaces, and what is
// left out is an ellipsis. UTF-8 stays UTF-8.
std::string OneLine(std::string_view text, size_t max_bytes);

}  // namespace autoscale
