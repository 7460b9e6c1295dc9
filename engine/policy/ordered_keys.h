// Ordered keys: a table's keys in an order that repeats. LuaJIT's own differs between identical
// runs.
#pragma once

#include <cstddef>
#include <lua.hpp>

namespace autoscale {

// A number or a string; the text belongs to the table's key.
struct OrderedKey {
  const char* text = nullptr;  // null: a number
  size_t length = 0;
  double number = 0;
};

// Numbers in ascending order, then strings bytewise.
bool operator<(const OrderedKey& a, const OrderedKey& b);

// The key at `index`; raises an error when it is neither number nor string.
OrderedKey KeyAt(lua_State* L, int index);
void PushKey(lua_State* L, const OrderedKey& key);

// Pushes a block that holds the table's keys in order (the caller pops it) and sets `keys` to it.
// Charges the budget for the work. Answers how many.
size_t PushOrderedKeys(lua_State* L, int table, const OrderedKey** keys);

}  // namespace autoscale
