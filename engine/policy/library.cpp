#include "engine/policy/library.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/policy/ordered_keys.h"
#include "engine/policy/sandbox.h"

namespace autoscale {
namespace {

char safe_globals_key;  // its address is the registry key

constexpr size_t kMaxRepeated = 1u << 20;  // bytes of a string that string.rep may make
// An error that is caught unwinds the C stack, in the time of about so many instructions.
constexpr size_t kUnwinding = 200;
// C functions pass so many bytes or elements in the time of an instruction.
constexpr size_t kBytesAnInstruction = 64;

// Like Lua's, without addresses: those differ from run to run. Pushes the text.
void PushText(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      lua_pushliteral(L, "nil");
      return;
    case LUA_TBOOLEAN:
      lua_pushstring(L, lua_toboolean(L, index) != 0 ? "true" : "false");
      return;
    case LUA_TNUMBER:
    case LUA_TSTRING:
      lua_pushvalue(L, index);
      lua_tolstring(L, -1, nullptr);
      return;
    case LUA_TUSERDATA: {
      constexpr const char* kNames[] = {"library", "metric", "proposal"};
      lua_pushstring(L, kNames[static_cast<int>(HandleAt(L, index)->kind)]);
      return;
    }
    default:
      lua_pushstring(L, luaL_typename(L, index));
  }
}

int ToString(lua_State* L) {
  luaL_checkany(L, 1);
  PushText(L, 1);
  return 1;
}

int ProtectedCall(lua_State* L) {
  luaL_checkany(L, 1);
  const int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (status != 0) {
    if (Sandbox::Of(L).stop() != Stop::kNone) return lua_error(L);
    Sandbox::Of(L).Charge(L, kUnwinding);
  }
  lua_pushboolean(L, status == 0 ? 1 : 0);
  lua_insert(L, 1);
  return lua_gettop(L);
}

int Next(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  const bool first = lua_isnil(L, 2);
  const OrderedKey after = first ? OrderedKey{} : KeyAt(L, 2);
  OrderedKey best;
  bool found = false;
  size_t seen = 0;
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1), ++seen) {
    const OrderedKey key = KeyAt(L, -2);
    if ((first || after < key) && (!found || key < best)) {
      best = key;
      found = true;
    }
  }
  Sandbox::Of(L).Charge(L, seen);
  if (!found) {
    lua_pushnil(L);
    return 1;
  }
  PushKey(L, best);
  lua_pushvalue(L, -1);
  lua_rawget(L, 1);
  return 2;
}

// Upvalues: the table, its keys in order, how many were given.
int NextOrdered(lua_State* L) {
  auto given = lua_tointeger(L, lua_upvalueindex(3));
  for (;;) {
    lua_rawgeti(L, lua_upvalueindex(2), static_cast<int>(++given));
    if (lua_isnil(L, -1)) return 1;
    lua_pushvalue(L, -1);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1)) break;  // else removed while iterating
    lua_pop(L, 2);
  }
  lua_pushinteger(L, given);
  lua_replace(L, lua_upvalueindex(3));
  return 2;
}

int Pairs(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const OrderedKey* keys = nullptr;
  const size_t count = PushOrderedKeys(L, 1, &keys);
  lua_pushvalue(L, 1);
  lua_createtable(L, static_cast<int>(count), 0);
  for (size_t i = 0; i < count; ++i) {
    PushKey(L, keys[i]);
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, NextOrdered, 3);
  return 1;
}

int Repeat(lua_State* L) {
  size_t length = 0;
  luaL_checklstring(L, 1, &length);
  const double times = luaL_checknumber(L, 2);
  const double size = static_cast<double>(length) * times;
  if (size > static_cast<double>(kMaxRepeated)) {
    PolicyError(L, "string.rep would make a string of more than %zu bytes", kMaxRepeated);
  }
  if (size > 0) Sandbox::Of(L).Charge(L, static_cast<size_t>(size) / kBytesAnInstruction);
  lua_settop(L, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

// Upvalue: Lua's own function, whose work grows with its first argument.
int Charged(lua_State* L) {
  const int type = lua_type(L, 1);
  if (type == LUA_TTABLE) Sandbox::Of(L).Charge(L, lua_objlen(L, 1) / 4);
  if (type == LUA_TSTRING) Sandbox::Of(L).Charge(L, lua_objlen(L, 1) / kBytesAnInstruction);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

// Below 1 it would move elements that are not there, billions of them, where nothing can stop it.
int Insert(lua_State* L) {
  if (lua_gettop(L) > 2 && !(luaL_checknumber(L, 2) >= 1)) {
    PolicyError(L, "table.insert: the position must be at least 1");
  }
  return Charged(L);
}

// One conversion of a format, such as "%-8.3f", with at most two digits of width and precision.
struct Conversion {
  char spec[16] = "%";
  size_t length = 1;
  char type = 0;
  void Add(char c) {
    spec[length++] = c;
    spec[length] = 0;
  }
};

const char* ReadDigits(lua_State* L, const char* at, const char* end, Conversion& out) {
  int digits = 0;
  for (; at < end && *at >= '0' && *at <= '9'; ++at) {
    if (++digits > 2) PolicyError(L, "string.format: width and precision have at most two digits");
    out.Add(*at);
  }
  return at;
}

const char* ReadConversion(lua_State* L, const char* at, const char* end, Conversion& out) {
  int flags = 0;
  for (; at < end && *at != 0 && std::strchr("-+ #0", *at) != nullptr && flags < 5; ++flags) {
    out.Add(*at++);
  }
  at = ReadDigits(L, at, end, out);
  if (at < end && *at == '.') {
    out.Add(*at++);
    at = ReadDigits(L, at, end, out);
  }
  out.type = at < end ? *at : 0;
  if (out.type == 0 || std::strchr("cdiouxXeEfgGs", out.type) == nullptr) {
    PolicyError(L, "string.format: only %%c %%d %%i %%o %%u %%x %%X %%e %%E %%f %%g %%G %%s %%%%");
  }
  return at + 1;
}

void AddInteger(lua_State* L, luaL_Buffer* buffer, Conversion& spec, double value) {
  if (!(std::fabs(value) < 9.2e18)) {
    PolicyError(L, "string.format: %g is not an integer for %%%c", value, spec.type);
  }
  char text[160];
  spec.Add('l');
  spec.Add('l');
  spec.Add(spec.type);
  std::snprintf(text, sizeof text, spec.spec, static_cast<long long>(value));
  luaL_addstring(buffer, text);
}

// The same as printf, in a quarter of its time: for %f and %g without flags and width. False: it is
// not one of those.
bool AddPlain(lua_State* L, luaL_Buffer* buffer, const Conversion& spec, int argument) {
  const bool has_precision = spec.length > 2 && spec.spec[1] == '.';
  const double value = luaL_checknumber(L, argument);
  if ((spec.length > 1 && !has_precision) || !std::isfinite(value)) return false;
  char text[512];
  const auto form = spec.type == 'f' ? std::chars_format::fixed : std::chars_format::general;
  const int precision = has_precision ? std::atoi(spec.spec + 2) : 6;
  const char* end = std::to_chars(text, text + sizeof text, value, form, precision).ptr;
  luaL_addlstring(buffer, text, static_cast<size_t>(end - text));
  return true;
}

void AddConverted(lua_State* L, luaL_Buffer* buffer, Conversion& spec, int argument) {
  char text[512];  // 309 digits, a point and 99 more at most
  switch (spec.type) {
    case 's': {
      PushText(L, argument);
      size_t length = 0;
      const char* value = lua_tolstring(L, -1, &length);
      if (spec.length == 1 || length >= 100) {  // as it is
        luaL_addvalue(buffer);
        return;
      }
      spec.Add('s');
      std::snprintf(text, sizeof text, spec.spec, value);
      lua_pop(L, 1);
      luaL_addstring(buffer, text);
      return;
    }
    case 'c':
      luaL_addchar(buffer, static_cast<char>(luaL_checkinteger(L, argument)));
      return;
    case 'f':
    case 'g':
      if (AddPlain(L, buffer, spec, argument)) return;
      [[fallthrough]];
    case 'e':
    case 'E':
    case 'G':
      spec.Add(spec.type);
      std::snprintf(text, sizeof text, spec.spec, luaL_checknumber(L, argument));
      luaL_addstring(buffer, text);
      return;
    default:
      AddInteger(L, buffer, spec, luaL_checknumber(L, argument));
  }
}

// Our own, because Lua's prints addresses for %s and %p, and Debian's LuaJIT lacks the fixes for
// CVE-2024-25176 and CVE-2024-25177 in it.
int Format(lua_State* L) {
  size_t length = 0;
  const char* at = luaL_checklstring(L, 1, &length);
  const char* const end = at + length;
  const int arguments = lua_gettop(L);
  int argument = 1;
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  while (at < end) {
    if (*at != '%') {
      luaL_addchar(&buffer, *at++);
    } else if (at + 1 < end && at[1] == '%') {
      luaL_addchar(&buffer, '%');
      at += 2;
    } else {
      Conversion spec;
      at = ReadConversion(L, at + 1, end, spec);
      if (++argument > arguments) PolicyError(L, "string.format: too few values for the format");
      AddConverted(L, &buffer, spec, argument);
    }
  }
  luaL_pushresult(&buffer);
  return 1;
}

int RefuseChange(lua_State* L) {
  PolicyError(L, "the library cannot be changed");
  return 0;
}

// Replaces the table on top by a handle that only reads it. A handle is no table: table.insert and
// next would reach past a metatable.
void Lock(lua_State* L) {
  *static_cast<Handle*>(lua_newuserdata(L, sizeof(Handle))) = Handle{};
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, RefuseChange);
  lua_setfield(L, -2, "__newindex");
  lua_pushliteral(L, "locked");
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_remove(L, -2);
}

// Copies the named fields of the table at `from` into the table on top.
void CopyFields(lua_State* L, int from, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    lua_getfield(L, from, name);
    lua_setfield(L, -2, name);
  }
}

// Wraps the named fields of the table on top.
void WrapFields(lua_State* L, lua_CFunction wrapper, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, wrapper, 1);
    lua_setfield(L, -2, name);
  }
}

void Open(lua_State* L, const char* name, lua_CFunction open) {
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

// Pushes a fresh table with the named functions of the global library `name`.
void PushLibrary(lua_State* L, const char* name, std::initializer_list<const char*> functions) {
  lua_getglobal(L, name);
  lua_createtable(L, 0, static_cast<int>(functions.size()));
  CopyFields(L, lua_gettop(L) - 1, functions);
  lua_remove(L, -2);
}

void AddStrings(lua_State* L, int globals) {
  PushLibrary(L, "string", {"byte", "char", "len", "lower", "rep", "reverse", "sub", "upper"});
  WrapFields(L, Charged, {"lower", "reverse", "upper"});
  WrapFields(L, Repeat, {"rep"});
  lua_pushcfunction(L, Format);
  lua_setfield(L, -2, "format");
  // ("x"):rep(3) sees the same functions.
  lua_pushliteral(L, "");
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "locked");
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  Lock(L);
  lua_setfield(L, globals, "string");
}

void AddOthers(lua_State* L, int globals) {
  PushLibrary(L, "table", {"concat", "insert", "maxn", "remove", "sort"});
  WrapFields(L, Charged, {"concat", "maxn", "remove", "sort"});
  WrapFields(L, Insert, {"insert"});
  Lock(L);
  lua_setfield(L, globals, "table");
  PushLibrary(L, "math",
              {"abs",   "acos", "asin",  "atan", "atan2", "ceil", "cos",   "cosh", "deg", "exp",
               "floor", "fmod", "frexp", "huge", "ldexp", "log",  "log10", "max",  "min", "modf",
               "pi",    "pow",  "rad",   "sin",  "sinh",  "sqrt", "tan",   "tanh"});
  Lock(L);
  lua_setfield(L, globals, "math");
  PushLibrary(L, "bit",
              {"arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol", "ror", "rshift",
               "tobit", "tohex"});
  Lock(L);
  lua_setfield(L, globals, "bit");
}

}  // namespace

const Handle* HandleAt(lua_State* L, int index) {
  // Policies cannot make userdata: whatever they hold is ours and begins with its kind.
  return lua_type(L, index) == LUA_TUSERDATA ? static_cast<const Handle*>(lua_touserdata(L, index))
                                             : nullptr;
}

void OpenSafeLibraries(lua_State* L) {
  Open(L, "", luaopen_base);
  Open(L, LUA_STRLIBNAME, luaopen_string);
  Open(L, LUA_TABLIBNAME, luaopen_table);
  Open(L, LUA_MATHLIBNAME, luaopen_math);
  Open(L, LUA_BITLIBNAME, luaopen_bit);
  lua_createtable(L, 0, 32);
  CopyFields(L, LUA_GLOBALSINDEX,
             {"assert", "error", "ipairs", "select", "tonumber", "type", "unpack"});
  constexpr luaL_Reg kOwn[] = {
      {"next", Next}, {"pairs", Pairs}, {"pcall", ProtectedCall}, {"tostring", ToString}};
  for (const luaL_Reg& function : kOwn) {
    lua_pushcfunction(L, function.func);
    lua_setfield(L, -2, function.name);
  }
  const int globals = lua_gettop(L);
  AddStrings(L, globals);
  AddOthers(L, globals);
  lua_pushlightuserdata(L, &safe_globals_key);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
  // Nothing may be found by way of the state's own globals.
  lua_createtable(L, 0, 0);
  lua_replace(L, LUA_GLOBALSINDEX);
}

void PushSafeGlobals(lua_State* L) {
  lua_pushlightuserdata(L, &safe_globals_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

}  // namespace autoscale
