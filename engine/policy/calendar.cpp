// local_time and time_at: what clocks show in the service's time zones.
#include <cmath>
#include <cstdio>
#include <optional>

#include "engine/policy/api.h"
#include "engine/policy/sandbox.h"

namespace autoscale {
namespace {

// The zone that argument `argument` names; the service's first when it is absent.
const Zone& CheckZone(lua_State* L, int argument, const char* function) {
  static const Zone kUtc{.name = "UTC", .version = "", .changes = {}};
  const Zones zones = ScopeOf(L).snapshot->zones;
  if (lua_isnoneornil(L, argument)) return zones.empty() ? kUtc : *zones.front();
  if (lua_type(L, argument) != LUA_TSTRING) {
    PolicyError(L, "%s: the zone must be a name such as \"Europe/Berlin\", not a %s", function,
                luaL_typename(L, argument));
  }
  size_t length = 0;
  const char* text = lua_tolstring(L, argument, &length);
  const std::string_view name(text, length);
  for (const auto& zone : zones) {
    if (zone->name == name) return *zone;
  }
  if (name == kUtc.name) return kUtc;
  char declared[200] = "none";
  for (size_t i = 0, end = 0; i < zones.size() && end + 70 < sizeof declared; ++i) {
    end += static_cast<size_t>(std::snprintf(declared + end, sizeof declared - end, "%s%.60s",
                                             i == 0 ? "" : ", ", zones[i]->name.c_str()));
  }
  ScopeOf(L).misfit = true;
  PolicyError(L,
              "%s: time zone '%.60s' is not declared: add it to the service's timezone: (declared: "
              "%s)",
              function, text, declared);
}

int64_t CheckUnix(lua_State* L, double time, const char* function) {
  if (!(time >= static_cast<double>(kLeastUnix) && time < static_cast<double>(kMostUnix) + 1)) {
    PolicyError(L, "%s: the time must lie in the years 1970 to 2099", function);
  }
  return static_cast<int64_t>(std::floor(time));
}

void SetField(lua_State* L, const char* name, int64_t value) {
  lua_pushnumber(L, static_cast<double>(value));
  lua_setfield(L, -2, name);
}

// local_time(t, zone)
int GetLocalTime(lua_State* L) {
  double time = ToUnixSeconds(ScopeOf(L).snapshot->now);
  if (!lua_isnoneornil(L, 1)) {
    if (lua_type(L, 1) != LUA_TNUMBER) {
      PolicyError(L, "local_time: the time must be a number of unix seconds, not a %s",
                  luaL_typename(L, 1));
    }
    time = lua_tonumber(L, 1);
  }
  const Zone& zone = CheckZone(L, 2, "local_time");
  const LocalTime local = ToLocal(zone, CheckUnix(L, time, "local_time"));
  lua_createtable(L, 0, 9);
  SetField(L, "year", local.civil.year);
  SetField(L, "month", local.civil.month);
  SetField(L, "day", local.civil.day);
  SetField(L, "hour", local.civil.hour);
  SetField(L, "minute", local.civil.minute);
  SetField(L, "second", local.civil.second);
  SetField(L, "weekday", local.weekday);
  SetField(L, "yearday", local.yearday);
  SetField(L, "offset", local.offset_s);
  return 1;
}

int64_t GetField(lua_State* L, const char* name, std::optional<int64_t> fallback) {
  constexpr double kMost = 1e8;  // of any field: so that sums of them do not overflow
  lua_getfield(L, 1, name);
  const int type = lua_type(L, -1);
  const double value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (type == LUA_TNIL && fallback) return *fallback;
  if (type != LUA_TNUMBER || std::floor(value) != value || std::fabs(value) > kMost) {
    PolicyError(L, "time_at: %s must be a whole number", name);
  }
  return static_cast<int64_t>(value);
}

// time_at({year =, month =, day =, hour =, minute =, second =}, zone)
int GetTimeAt(lua_State* L) {
  if (lua_type(L, 1) != LUA_TTABLE) {
    PolicyError(L, "time_at needs a date: time_at({year = 2026, month = 3, day = 29, hour = 8})");
  }
  CivilTime time;
  time.year = GetField(L, "year", std::nullopt);
  time.month = GetField(L, "month", std::nullopt);
  time.day = GetField(L, "day", std::nullopt);
  time.hour = GetField(L, "hour", 0);
  time.minute = GetField(L, "minute", 0);
  time.second = GetField(L, "second", 0);
  const Zone& zone = CheckZone(L, 2, "time_at");
  if (time.year < 1900 || time.year > 2200 || std::abs(time.month) > 10'000) {
    PolicyError(L, "time_at: the time must lie in the years 1970 to 2099");
  }
  const Instant instant = FromLocal(zone, time);
  CheckUnix(L, static_cast<double>(instant.unix), "time_at");
  lua_pushnumber(L, static_cast<double>(instant.unix));
  if (instant.occurrence == Occurrence::kOnce) {
    lua_pushnil(L);
  } else {
    lua_pushstring(L, instant.occurrence == Occurrence::kGap ? "gap" : "ambiguous");
  }
  return 2;
}

}  // namespace

void AddCalendar(lua_State* L) {
  constexpr luaL_Reg kFunctions[] = {{"local_time", GetLocalTime}, {"time_at", GetTimeAt}};
  for (const luaL_Reg& function : kFunctions) {
    lua_pushcfunction(L, function.func);
    lua_setfield(L, -2, function.name);
  }
}

}  // namespace autoscale
