// The part of Lua's library that policies may use: deterministic, bounded, and locked so that
// nothing left in it by one service is seen by the next.
#pragma once

#include <lua.hpp>

namespace autoscale {

// Opens the safe functions into a table that is kept in the registry; the state's own globals are
// emptied.
void OpenSafeLibraries(lua_State* L);
// Pushes that table: the parent of every evaluation's globals.
void PushSafeGlobals(lua_State* L);

// What a handle given to policies stands for; the first word of each block of ours.
enum class HandleKind : int { kLibrary, kMetric, kProposal };
struct Handle {
  HandleKind kind = HandleKind::kLibrary;
  int index = 0;
};
// The handle at `index`, or null when there is something else.
const Handle* HandleAt(lua_State* L, int index);

}  // namespace autoscale
