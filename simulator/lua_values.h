// Between Lua's values and ours, for tests of policies. None of these raises a Lua error but for
// want of memory.
#pragma once

#include <lua.hpp>
#include <string>

#include "engine/model/result.h"
#include "simulator/reading.h"
#include "simulator/simulation.h"

namespace autoscale {

// The table at `index` as text in flow style, which ReadSetup reads. Error: what cannot be written.
Result<std::string> YamlOf(lua_State* L, int index);

// A number, the name of a trouble, nil for missing, or a table {value | total | each | state, age,
// coverage, instances}. Error: a sentence.
Result<Reading> ReadingOf(lua_State* L, int index);

// Pushes a table: kind, capacity, cause, reason, at (of the policy), before, desired, decided (of
// the decision), ready and stages.
void PushOutcome(lua_State* L, const SimulatedTick& tick);

}  // namespace autoscale
