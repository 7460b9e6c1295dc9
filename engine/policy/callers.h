// Keeps the caller's line: `return hold("x")` is a tail call, which leaves Lua no frame to ask.
#pragma once

#include <string>
#include <string_view>

namespace autoscale {

// The same source with each `return f(...)`, f a function of the policy API or `error`, as
// `return (f(...))`. No line moves. Source that does not parse comes back as good as it was.
std::string KeepCallers(std::string_view source);

}  // namespace autoscale
