// Keeps the caller's line: `return hold("x")` is a tail call, which leaves Lua no frame to ask.
#pragma once

#include <string>
#include <string_view>

namespace autoscale {

// The same source with what would be a tail call in parentheses: each `return ...` of one value in
// the file's own body, of which only one value is used, and elsewhere each `return f(...)`, f a
// function of the policy API or `error`. No line moves.
std::string KeepCallers(std::string_view source);

}  // namespace autoscale
