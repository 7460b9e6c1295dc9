#include "simulator/lua_values.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "config/scalar.h"

namespace autoscale {
namespace {

constexpr int kMaxDepth = 8;
constexpr size_t kMaxText = 1u << 20;
constexpr size_t kMaxEach = 10'000;

std::string_view TextAt(lua_State* L, int index) {
  size_t length = 0;
  const char* text = lua_tolstring(L, index, &length);  // of a string: nothing is converted
  return {text, length};
}

void Push(lua_State* L, const char* field, std::string_view text) {
  lua_pushlstring(L, text.data(), text.size());
  lua_setfield(L, -2, field);
}
void Push(lua_State* L, const char* field, int number) {
  lua_pushinteger(L, number);
  lua_setfield(L, -2, field);
}

class YamlWriter {
 public:
  explicit YamlWriter(lua_State* L) : lua_(L) {}

  Result<std::string> Write(int index) {
    Value(index, 0);
    if (!fault_.empty()) return Error{ErrorKind::kInvalid, fault_};
    return std::move(text_);
  }

 private:
  void Value(int index, int depth) {
    if (depth > kMaxDepth || text_.size() > kMaxText || lua_checkstack(lua_, 8) == 0) {
      fault_ = "the settings are too large or nested too deep";
      return;
    }
    switch (lua_type(lua_, index)) {
      case LUA_TNUMBER:
        text_ += FormatNumber(lua_tonumber(lua_, index));
        return;
      case LUA_TBOOLEAN:
        text_ += lua_toboolean(lua_, index) != 0 ? "true" : "false";
        return;
      case LUA_TSTRING:
        Quoted(TextAt(lua_, index));
        return;
      case LUA_TTABLE:
        return lua_objlen(lua_, index) > 0 ? List(index, depth) : Map(index, depth);
      default:
        fault_ = std::string("a setting must be a number, a text, true, false or a table, not a ") +
                 lua_typename(lua_, lua_type(lua_, index));
    }
  }
  void Quoted(std::string_view text) {
    text_ += nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  }
  void List(int index, int depth) {
    text_ += "[";
    const size_t count = lua_objlen(lua_, index);
    for (size_t i = 1; i <= count && fault_.empty(); ++i) {
      if (i > 1) text_ += ", ";
      lua_rawgeti(lua_, index, static_cast<int>(i));
      Value(lua_gettop(lua_), depth + 1);
      lua_pop(lua_, 1);
    }
    text_ += "]";
  }
  // In the order of the names: Lua's own differs from run to run.
  void Map(int index, int depth) {
    std::vector<std::string> names;
    for (lua_pushnil(lua_); lua_next(lua_, index) != 0; lua_pop(lua_, 1)) {
      if (lua_type(lua_, -2) == LUA_TSTRING) {
        names.emplace_back(TextAt(lua_, -2));
      } else {
        fault_ = "the names of settings are texts";
      }
    }
    std::sort(names.begin(), names.end());
    text_ += "{";
    for (const std::string& name : names) {
      if (!fault_.empty()) return;
      if (text_.back() != '{') text_ += ", ";
      Quoted(name);
      text_ += ": ";
      lua_pushlstring(lua_, name.data(), name.size());
      lua_rawget(lua_, index);
      Value(lua_gettop(lua_), depth + 1);
      lua_pop(lua_, 1);
    }
    text_ += "}";
  }

  lua_State* lua_;
  std::string text_, fault_;
};

class ReadingReader {
 public:
  explicit ReadingReader(lua_State* L) : lua_(L) {}

  Result<Reading> Read(int index) {
    switch (lua_type(lua_, index)) {
      case LUA_TNIL:
      case LUA_TNONE:
        return reading_;
      case LUA_TNUMBER:
        reading_.kind = Reading::Kind::kValue;
        reading_.value = lua_tonumber(lua_, index);
        return reading_;
      case LUA_TSTRING:
        return Trouble(TextAt(lua_, index));
      case LUA_TTABLE:
        return Table(index);
      default:
        return Fault("a metric is set to a number, nil, a state such as \"stale\" or a table");
    }
  }

 private:
  static Error Fault(std::string what) { return {ErrorKind::kInvalid, std::move(what)}; }

  Result<Reading> Trouble(std::string_view word) {
    const auto state = ParseTrouble(word);
    if (!state) {
      return Fault("no state is called \"" + std::string(word.substr(0, 60)) +
                   "\"; missing, stale, partial, nan, error and implausible are");
    }
    reading_.state = *state;
    return reading_;
  }

  // Pushes the field; the caller pops it.
  bool Has(int table, const char* field) {
    lua_pushstring(lua_, field);
    lua_rawget(lua_, table);
    if (!lua_isnil(lua_, -1)) return true;
    lua_pop(lua_, 1);
    return false;
  }
  std::optional<double> Number(int table, const char* field) {
    if (!Has(table, field)) return std::nullopt;
    std::optional<double> number;
    if (lua_type(lua_, -1) == LUA_TNUMBER) number = lua_tonumber(lua_, -1);
    if (!number) fault_ = std::string(field) + " must be a number";
    lua_pop(lua_, 1);
    return number;
  }

  // A name that nothing reads would be taken for good.
  void RefuseOthers(int table, std::string_view what,
                    std::initializer_list<std::string_view> known) {
    for (lua_pushnil(lua_); lua_next(lua_, table) != 0; lua_pop(lua_, 1)) {
      const bool text = lua_type(lua_, -2) == LUA_TSTRING;
      const std::string_view name = text ? TextAt(lua_, -2) : "[...]";
      if (std::find(known.begin(), known.end(), name) != known.end() || !fault_.empty()) continue;
      fault_ = std::string(what) + " has no '" + std::string(name.substr(0, 60)) + "'; it has";
      for (const std::string_view one : known) fault_ += " " + std::string(one);
    }
  }

  Result<Reading> Table(int index) {
    using Kind = Reading::Kind;
    RefuseOthers(index, "a metric's table", {"value", "total", "each", "state", "age", "coverage"});
    if (!fault_.empty()) return Fault(fault_);
    if (const auto value = Number(index, "value")) {
      reading_.kind = Kind::kValue;
      reading_.value = *value;
    } else if (const auto total = Number(index, "total")) {
      reading_.kind = Kind::kTotal;
      reading_.value = *total;
    }
    reading_.age_s = Number(index, "age");
    reading_.coverage = Number(index, "coverage");
    if (Has(index, "each")) {
      Each(lua_gettop(lua_));
      lua_pop(lua_, 1);
      if (reading_.kind == Kind::kState) reading_.kind = Kind::kEach;
    }
    if (Has(index, "state")) {
      if (lua_type(lua_, -1) != LUA_TSTRING) return Fault("state must be a text");
      auto troubled = Trouble(TextAt(lua_, -1));
      if (!troubled) return troubled;
      reading_.kind = Kind::kState;
      lua_pop(lua_, 1);
    } else if (reading_.kind == Kind::kState && fault_.empty()) {
      return Fault("a metric's table has value, total, each or state");
    }
    if (!fault_.empty()) return Fault(fault_);
    return reading_;
  }

  // A list of numbers, or of {value =, ready =}.
  void Each(int index) {
    const size_t count = lua_istable(lua_, index) ? lua_objlen(lua_, index) : 0;
    if (count == 0 || count > kMaxEach) fault_ = "each must be a list of numbers";
    for (size_t i = 1; i <= count && fault_.empty(); ++i) {
      InstanceSample one{.instance = InstanceId(i)};
      lua_rawgeti(lua_, index, static_cast<int>(i));
      const int item = lua_gettop(lua_);
      if (lua_istable(lua_, item)) {
        RefuseOthers(item, "an instance's table", {"value", "ready"});
        const auto value = Number(item, "value");
        if (!value && fault_.empty()) fault_ = "each instance has a value";
        one.value = value.value_or(0);
        if (Has(item, "ready")) {
          if (!lua_isboolean(lua_, -1)) fault_ = "ready must be true or false";
          one.ready = lua_toboolean(lua_, -1) != 0;
          lua_pop(lua_, 1);
        }
      } else if (lua_type(lua_, item) == LUA_TNUMBER) {
        one.value = lua_tonumber(lua_, item);
      } else {
        fault_ = "each must be a list of numbers, or of {value =, ready =}";
      }
      lua_pop(lua_, 1);
      reading_.each.push_back(std::move(one));
    }
  }

  lua_State* lua_;
  Reading reading_;
  std::string fault_;
};

void PushStages(lua_State* L, const Decision& decision) {
  lua_newtable(L);
  int position = 0;
  for (const StageRecord& stage : decision.stages) {
    lua_createtable(L, 0, 4);
    Push(L, "name", stage.name);
    Push(L, "before", stage.before);
    Push(L, "after", stage.after);
    Push(L, "reason", stage.reason);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, ++position);
    lua_setfield(L, -2, stage.name.data());  // of constants, which end in a zero
  }
}

}  // namespace

Result<std::string> YamlOf(lua_State* L, int index) { return YamlWriter(L).Write(index); }

Result<Reading> ReadingOf(lua_State* L, int index) { return ReadingReader(L).Read(index); }

void PushOutcome(lua_State* L, const SimulatedTick& tick) {
  const Proposal& proposal = tick.outcome.proposal;
  const Decision& decision = tick.outcome.decision;
  lua_createtable(L, 0, 12);
  Push(L, "kind", ToString(proposal.kind));
  Push(L, "capacity", proposal.capacity);
  Push(L, "cause", ToString(proposal.cause));
  Push(L, "reason", proposal.reason);
  Push(L, "at", proposal.at);
  Push(L, "before", decision.before);
  Push(L, "desired", decision.desired);
  Push(L, "decided", decision.reason);
  Push(L, "ready", tick.capacity.ready);
  PushStages(L, decision);
  lua_setfield(L, -2, "stages");
}

}  // namespace autoscale
