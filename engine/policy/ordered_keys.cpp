#include "engine/policy/ordered_keys.h"

#include <algorithm>
#include <string_view>

#include "engine/policy/sandbox.h"

namespace autoscale {

bool operator<(const OrderedKey& a, const OrderedKey& b) {
  if ((a.text == nullptr) != (b.text == nullptr)) return a.text == nullptr;
  if (a.text == nullptr) return a.number < b.number;
  return std::string_view(a.text, a.length) < std::string_view(b.text, b.length);
}

OrderedKey KeyAt(lua_State* L, int index) {
  OrderedKey key;
  switch (lua_type(L, index)) {
    case LUA_TNUMBER:
      key.number = lua_tonumber(L, index);
      return key;
    case LUA_TSTRING:
      key.text = lua_tolstring(L, index, &key.length);
      return key;
    default:
      PolicyError(L, "a %s as a table's key has no order: use numbers or strings",
                  luaL_typename(L, index));
  }
}

void PushKey(lua_State* L, const OrderedKey& key) {
  if (key.text == nullptr) {
    lua_pushnumber(L, key.number);
  } else {
    lua_pushlstring(L, key.text, key.length);
  }
}

size_t PushOrderedKeys(lua_State* L, int table, const OrderedKey** keys) {
  if (table < 0) table = lua_gettop(L) + table + 1;
  luaL_checkstack(L, 4, "too deep");
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) ++count;
  Sandbox::Of(L).Charge(L, count);
  auto* block =
      static_cast<OrderedKey*>(lua_newuserdata(L, std::max<size_t>(count, 1) * sizeof(OrderedKey)));
  size_t filled = 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) block[filled++] = KeyAt(L, -2);
  std::sort(block, block + count);
  *keys = block;
  return count;
}

}  // namespace autoscale
