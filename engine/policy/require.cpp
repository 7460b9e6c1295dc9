// require: runs a module's file the first time that an evaluation asks for it.
#include "engine/policy/api.h"
#include "engine/policy/sandbox.h"

namespace autoscale {
namespace {

// Registry key, by address, of the running evaluation's table: the globals at 0; at i what module i
// returned, at -i whether it was begun.
char modules_key;

void PushModules(lua_State* L) {
  lua_pushlightuserdata(L, &modules_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

// The position of the module called as argument 1 says, from 1.
int FindModule(lua_State* L) {
  if (lua_type(L, 1) != LUA_TSTRING) {
    PolicyError(L, "require needs the name of a module: require \"lib.smooth\"");
  }
  size_t length = 0;
  const char* text = lua_tolstring(L, 1, &length);
  int position = 0;
  for (const CompiledModule* module : ScopeOf(L).modules) {
    ++position;
    if (module->name == std::string_view(text, length)) return position;
  }
  PolicyError(L, "require \"%.60s\": no such module was read with this policy", text);
}

}  // namespace

int Require(lua_State* L) {
  const int position = FindModule(L);
  lua_settop(L, 1);
  PushModules(L);
  lua_rawgeti(L, 2, position);
  if (!lua_isnil(L, 3)) return 1;
  lua_rawgeti(L, 2, -position);
  if (!lua_isnil(L, 4)) {
    PolicyError(L, "require \"%.60s\": this module requires itself, or has failed before",
                lua_tostring(L, 1));
  }
  lua_pushboolean(L, 1);
  lua_rawseti(L, 2, -position);
  lua_rawgeti(L, LUA_REGISTRYINDEX, ScopeOf(L).modules[static_cast<size_t>(position) - 1]->ref);
  lua_rawgeti(L, 2, 0);
  lua_setfenv(L, -2);
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, 2, position);
  return 1;
}

void BeginModules(lua_State* L, int globals) {
  if (ScopeOf(L).modules.empty()) return;
  lua_pushlightuserdata(L, &modules_key);
  lua_createtable(L, static_cast<int>(ScopeOf(L).modules.size()), 1);
  lua_pushvalue(L, globals);
  lua_rawseti(L, -2, 0);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

void EndModules(lua_State* L, int empty_globals) {
  if (ScopeOf(L).modules.empty()) return;
  lua_pushlightuserdata(L, &modules_key);
  lua_pushnil(L);
  lua_rawset(L, LUA_REGISTRYINDEX);
  for (const CompiledModule* module : ScopeOf(L).modules) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, module->ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, empty_globals);
    lua_setfenv(L, -2);
    lua_pop(L, 1);
  }
}

}  // namespace autoscale
