// TestLibrary: what *_test.lua files call, as far as it is written in Lua.
#pragma once

#include <string_view>

namespace autoscale {

// How messages would name it; lines in it are never shown.
inline constexpr const char* kTestLibraryName = "(test library)";
// A chunk: takes the table of functions in C; answers {service, evaluate, simulate, expect}, a
// simulation's methods, and the function that runs a test.
extern const std::string_view kTestLibrary;

}  // namespace autoscale
