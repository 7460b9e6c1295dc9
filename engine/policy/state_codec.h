// The policy's `state` table as text, and back: deterministic, decoded without running code.
//
//   value := 'n' number ';' | 's' length ':' bytes | 't' | 'f' | '{' (key value)* '}'
//   state := (key value)*          the outermost table without its braces; empty: an empty table
// Keys are numbers or strings, in order; numbers are the shortest text that reads back the same.
#pragma once

#include <lua.hpp>
#include <string>
#include <string_view>

namespace autoscale {

// Deeper tables, and with them cycles, are refused.
inline constexpr int kMaxStateDepth = 8;

// Both run inside Lua and raise errors.
// Encodes the table at `index` into `out` (replaced), at most the sandbox's limit of it.
void EncodeState(lua_State* L, int index, std::string& out);
// Pushes the table that `text` describes.
void DecodeState(lua_State* L, std::string_view text);

}  // namespace autoscale
