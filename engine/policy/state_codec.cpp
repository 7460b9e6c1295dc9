#include "engine/policy/state_codec.h"

#include <charconv>
#include <cmath>

#include "engine/policy/ordered_keys.h"
#include "engine/policy/sandbox.h"

namespace autoscale {
namespace {

class Writer {
 public:
  Writer(lua_State* L, std::string& out)
      : lua_(L), sandbox_(Sandbox::Of(L)), limit_(sandbox_.state_limit()), out_(out) {}

  void Fields(int table, int depth) {
    if (depth > kMaxStateDepth) {
      PolicyError(lua_, "state is nested more than %d tables deep, or holds itself",
                  kMaxStateDepth);
    }
    const OrderedKey* keys = nullptr;
    const size_t count = PushOrderedKeys(lua_, table, &keys);
    for (size_t i = 0; i < count; ++i) {
      PushKey(lua_, keys[i]);
      Value(depth);
      lua_pushvalue(lua_, -1);
      lua_rawget(lua_, table);
      Value(depth);
      lua_pop(lua_, 2);
      CheckSize();
    }
    lua_pop(lua_, 1);
  }

 private:
  void Value(int depth) {
    switch (lua_type(lua_, -1)) {
      case LUA_TNUMBER:
        Number(lua_tonumber(lua_, -1));
        return;
      case LUA_TSTRING: {
        size_t length = 0;
        const char* text = lua_tolstring(lua_, -1, &length);
        if (length > limit_) sandbox_.RaiseStateTooLarge(lua_);
        out_.append("s").append(std::to_string(length)).append(":").append(text, length);
        return;
      }
      case LUA_TBOOLEAN:
        out_.push_back(lua_toboolean(lua_, -1) != 0 ? 't' : 'f');
        return;
      case LUA_TTABLE:
        out_.push_back('{');
        Fields(lua_gettop(lua_), depth + 1);
        out_.push_back('}');
        return;
      default:
        PolicyError(lua_,
                    "state may hold numbers, strings, booleans and tables of them, but not a %s",
                    luaL_typename(lua_, -1));
    }
  }

  void Number(double value) {
    char text[32];
    // A NaN's sign is nobody's intention and must not make two states differ.
    const auto end = std::to_chars(text, text + sizeof text, std::isnan(value) ? NAN : value).ptr;
    out_.append("n").append(text, static_cast<size_t>(end - text)).append(";");
  }

  void CheckSize() {
    if (out_.size() > limit_) sandbox_.RaiseStateTooLarge(lua_);
  }

  lua_State* const lua_;
  const Sandbox& sandbox_;
  const size_t limit_;
  std::string& out_;
};

class Reader {
 public:
  Reader(lua_State* L, std::string_view text) : lua_(L), rest_(text) {}

  // Reads pairs into the table on top until the text or, inside a table, its brace ends.
  void Fields(int depth) {
    luaL_checkstack(lua_, 4, "too deep");
    if (depth > kMaxStateDepth) Bad();
    while (!rest_.empty() && rest_.front() != '}') {
      if (rest_.front() != 'n' && rest_.front() != 's') Bad();
      Value(depth);
      if (lua_type(lua_, -1) == LUA_TNUMBER && std::isnan(lua_tonumber(lua_, -1))) Bad();
      Value(depth);
      lua_rawset(lua_, -3);
    }
    if ((depth == 1) != rest_.empty()) Bad();
  }

 private:
  [[noreturn]] void Bad() {
    PolicyError(lua_, "the stored state of this policy cannot be read: it is damaged");
  }

  char Take() {
    if (rest_.empty()) Bad();
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  template <typename T>
  T Until(char end) {
    T value{};
    const auto read = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (read.ec != std::errc()) Bad();
    rest_.remove_prefix(static_cast<size_t>(read.ptr - rest_.data()));
    if (Take() != end) Bad();
    return value;
  }

  void Value(int depth) {
    switch (Take()) {
      case 'n':
        lua_pushnumber(lua_, Until<double>(';'));
        return;
      case 's': {
        const auto length = Until<size_t>(':');
        if (length > rest_.size()) Bad();
        lua_pushlstring(lua_, rest_.data(), length);
        rest_.remove_prefix(length);
        return;
      }
      case 't':
        lua_pushboolean(lua_, 1);
        return;
      case 'f':
        lua_pushboolean(lua_, 0);
        return;
      case '{':
        lua_newtable(lua_);
        Fields(depth + 1);
        Take();
        return;
      default:
        Bad();
    }
  }

  lua_State* const lua_;
  std::string_view rest_;
};

}  // namespace

void EncodeState(lua_State* L, int index, std::string& out) {
  out.clear();
  Writer(L, out).Fields(index, 1);
}

void DecodeState(lua_State* L, std::string_view text) {
  lua_newtable(L);
  Reader(L, text).Fields(1);
}

}  // namespace autoscale
