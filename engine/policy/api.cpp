#include "engine/policy/api.h"

#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/policy/library.h"
#include "engine/policy/sandbox.h"
#include "engine/policy/state_codec.h"

namespace autoscale {
namespace {

char metric_handles_key, proposal_handles_key, globals_meta_key;  // registry keys, by address

std::string_view ToView(lua_State* L, int index) {
  size_t length = 0;
  const char* text = lua_tolstring(L, index, &length);
  return {text, length};
}

void PushView(lua_State* L, std::string_view text) { lua_pushlstring(L, text.data(), text.size()); }

void PushRegistry(lua_State* L, char* key) {
  lua_pushlightuserdata(L, key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

// Handles are made once a state and index. They hold nothing: what they stand for is looked up in
// the running evaluation, so that a kept one shows nothing of another service. The list's field 0
// is their metatable.
void PushHandle(lua_State* L, char* list_key, HandleKind kind, int index) {
  PushRegistry(L, list_key);
  lua_rawgeti(L, -1, index + 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    *static_cast<Handle*>(lua_newuserdata(L, sizeof(Handle))) = Handle{kind, index};
    lua_rawgeti(L, -2, 0);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, index + 1);
  }
  lua_remove(L, -2);
}

void DescribeTrouble(const MetricArgument& metric, char* text, size_t size) {
  const Sample& sample = *metric.sample;
  const auto name = static_cast<int>(metric.name.size());
  switch (sample.state) {
    case SampleState::kStale:
      if (sample.age_s && std::isinf(*sample.age_s)) {
        std::snprintf(text, size, "metric '%.*s' is stale: none of its series reports any more",
                      name, metric.name.data());
        return;
      }
      if (sample.age_s) {
        std::snprintf(text, size, "metric '%.*s' is stale: its newest data is %.0f s old", name,
                      metric.name.data(), static_cast<double>(*sample.age_s));
        return;
      }
      break;
    case SampleState::kPartial:
      if (sample.coverage) {
        std::snprintf(text, size,
                      "metric '%.*s' is partial: it speaks for %.0f %% of the instances", name,
                      metric.name.data(), static_cast<double>(*sample.coverage) * 100);
        return;
      }
      break;
    case SampleState::kEmpty:
      std::snprintf(text, size, "metric '%.*s' is empty: its query found no series", name,
                    metric.name.data());
      return;
    case SampleState::kNaN:
      std::snprintf(text, size, "metric '%.*s' is nan: its query answered no finite number", name,
                    metric.name.data());
      return;
    case SampleState::kError:
    case SampleState::kImplausible:
      std::snprintf(text, size, "metric '%.*s' is %s: %.300s", name, metric.name.data(),
                    sample.state == SampleState::kError ? "error" : "implausible",
                    sample.error ? sample.error->c_str() : "its query failed");
      return;
    default:
      break;
  }
  const std::string_view state = ToString(sample.state);
  std::snprintf(text, size, "metric '%.*s' is %.*s", name, metric.name.data(),
                static_cast<int>(state.size()), state.data());
}

void PushInstances(lua_State* L, const Sample& sample) {
  lua_createtable(L, static_cast<int>(sample.instances.size()), 0);
  int position = 0;
  for (const InstanceSample& instance : sample.instances) {
    lua_createtable(L, 0, 3);
    PushView(L, instance.instance);
    lua_setfield(L, -2, "id");
    lua_pushnumber(L, instance.value);
    lua_setfield(L, -2, "value");
    lua_pushboolean(L, instance.ready ? 1 : 0);
    lua_setfield(L, -2, "ready");
    lua_rawseti(L, -2, ++position);
  }
}

template <typename T>
void PushOptional(lua_State* L, const std::optional<T>& value) {
  if (value) {
    lua_pushnumber(L, static_cast<double>(*value));
  } else {
    lua_pushnil(L);
  }
}

int MetricField(lua_State* L) {
  const MetricArgument metric = MetricAt(L, HandleAt(L, 1)->index);
  const Sample& sample = *metric.sample;
  const std::string_view field = lua_type(L, 2) == LUA_TSTRING ? ToView(L, 2) : "";
  if (field == "value") {
    lua_pushnumber(L, UsableValue(L, metric));
  } else if (field == "usable") {
    lua_pushboolean(L, sample.state == SampleState::kFresh ? 1 : 0);
  } else if (field == "state") {
    PushView(L, ToString(sample.state));
  } else if (field == "age") {
    PushOptional(L, sample.age_s);
  } else if (field == "coverage") {
    PushOptional(L, sample.coverage);
  } else if (field == "unit") {
    PushView(L, ToString(metric.unit));
  } else if (field == "name") {
    PushView(L, metric.name);
  } else if (field == "instances") {
    PushInstances(L, sample);
  } else {
    PolicyError(L,
                "a metric has no field '%.40s': value, usable, state, age, coverage, unit, name, "
                "instances",
                field.data());
  }
  return 1;
}

int ProposalField(lua_State* L) {
  const EvaluationScope& scope = ScopeOf(L);
  const int index = HandleAt(L, 1)->index;
  if (index >= scope.made_count) PolicyError(L, "this proposal is of another evaluation");
  const Proposal& proposal = scope.made[static_cast<size_t>(index)];
  const std::string_view field = lua_type(L, 2) == LUA_TSTRING ? ToView(L, 2) : "";
  if (field == "capacity") {
    lua_pushinteger(L, proposal.capacity);
  } else if (field == "kind") {
    PushView(L, ToString(proposal.kind));
  } else if (field == "reason") {
    PushView(L, proposal.reason);
  } else {
    PolicyError(L, "a proposal has no field '%.40s': capacity, kind, reason", field.data());
  }
  return 1;
}

int RefuseField(lua_State* L) {
  PolicyError(L, "metrics and proposals cannot be changed");
  return 0;
}

void AddHandles(lua_State* L, char* list_key, lua_CFunction index) {
  lua_pushlightuserdata(L, list_key);
  lua_newtable(L);
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, index);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, RefuseField);
  lua_setfield(L, -2, "__newindex");
  lua_pushliteral(L, "locked");
  lua_setfield(L, -2, "__metatable");
  lua_rawseti(L, -2, 0);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

// metric "name"
int GetMetric(lua_State* L) {
  if (lua_type(L, 1) != LUA_TSTRING) PolicyError(L, "metric needs a name: metric \"cpu\"");
  const std::string_view name = ToView(L, 1);
  const auto metrics = ScopeOf(L).snapshot->metrics;
  for (size_t i = 0; i < metrics.size(); ++i) {
    if (metrics[i].name == name) {
      PushMetric(L, static_cast<int>(i));
      return 1;
    }
  }
  char known[200] = "none";
  for (size_t i = 0, end = 0; i < metrics.size() && end + 70 < sizeof known; ++i) {
    end += static_cast<size_t>(std::snprintf(known + end, sizeof known - end, "%s%.60s",
                                             i == 0 ? "" : ", ", metrics[i].name.c_str()));
  }
  ScopeOf(L).misfit = true;
  PolicyError(L, "unknown metric '%.60s': declare it under metrics: of the service (declared: %s)",
              name.data(), known);
}

// param "name" / param("name", default)
int GetParam(lua_State* L) {
  if (lua_type(L, 1) != LUA_TSTRING) PolicyError(L, "param needs a name: param \"target\"");
  const Params& params = *ScopeOf(L).snapshot->params;
  const std::string_view name = ToView(L, 1);
  for (const auto& [key, value] : params) {  // few; a find would need a std::string
    if (key != name) continue;
    if (const auto* number = std::get_if<double>(&value)) {
      lua_pushnumber(L, *number);
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      lua_pushboolean(L, *flag ? 1 : 0);
    } else {
      PushView(L, *std::get_if<std::string>(&value));
    }
    return 1;
  }
  if (lua_gettop(L) < 2) {
    ScopeOf(L).misfit = true;
    PolicyError(L,
                "parameter '%.60s' is not set: set it under params: of the service, or give a "
                "default: param(\"%.60s\", 1)",
                name.data(), name.data());
  }
  lua_pushvalue(L, 2);
  return 1;
}

void PushCapacity(lua_State* L, const Snapshot& snapshot) {
  lua_createtable(L, 0, 5);
  const std::pair<const char*, int> fields[] = {{"desired", snapshot.capacity.desired},
                                                {"ready", snapshot.capacity.ready},
                                                {"pending", snapshot.capacity.pending()},
                                                {"min", snapshot.bounds.min},
                                                {"max", snapshot.bounds.max}};
  for (const auto& [name, value] : fields) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
  }
}

// The __index of an evaluation's globals. Upvalue: the safe globals. What the snapshot holds is
// made when first asked for.
int GetGlobal(lua_State* L) {
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1) || lua_type(L, 2) != LUA_TSTRING) return 1;
  const std::string_view name = ToView(L, 2);
  const Snapshot& snapshot = *ScopeOf(L).snapshot;
  if (name == "capacity") {
    PushCapacity(L, snapshot);
  } else if (name == "state") {
    DecodeState(L, snapshot.state);
  } else if (name == "service") {
    ScopeOf(L).named = true;
    PushView(L, snapshot.service);
  } else if (name == "now") {
    lua_pushnumber(L, ToUnixSeconds(snapshot.now));
  } else {
    return 1;
  }
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

}  // namespace

EvaluationScope& ScopeOf(lua_State* L) {
  return *static_cast<EvaluationScope*>(Sandbox::Of(L).client);
}

MetricArgument MetricAt(lua_State* L, int index) {
  const Snapshot& snapshot = *ScopeOf(L).snapshot;
  const auto position = static_cast<size_t>(index);
  if (position >= snapshot.metrics.size() || position >= snapshot.samples.size()) {
    PolicyError(L, "this metric is of another service");
  }
  const DeclaredMetric& declared = snapshot.metrics[position];
  return {index, declared.name, declared.unit, &snapshot.samples[position]};
}

MetricArgument CheckMetric(lua_State* L, int argument, const char* function) {
  const Handle* handle = HandleAt(L, argument);
  if (handle == nullptr || handle->kind != HandleKind::kMetric) {
    PolicyError(L, "%s needs a metric, such as metric \"cpu\", but got a %s", function,
                luaL_typename(L, argument));
  }
  return MetricAt(L, handle->index);
}

double UsableValue(lua_State* L, const MetricArgument& metric) {
  if (metric.sample->state == SampleState::kFresh) return metric.sample->value;
  char text[512];
  DescribeTrouble(metric, text, sizeof text);
  Sandbox::Of(L).Raise(L, Stop::kMetric, text);
}

void PushMetric(lua_State* L, int index) {
  PushHandle(L, &metric_handles_key, HandleKind::kMetric, index);
}

void PushProposal(lua_State* L, int index) {
  PushHandle(L, &proposal_handles_key, HandleKind::kProposal, index);
}

void InstallPolicyApi(Sandbox& sandbox) {
  lua_State* L = sandbox.lua();
  AddHandles(L, &metric_handles_key, MetricField);
  AddHandles(L, &proposal_handles_key, ProposalField);
  PushSafeGlobals(L);
  lua_pushcfunction(L, GetMetric);
  lua_setfield(L, -2, "metric");
  lua_pushcfunction(L, GetParam);
  lua_setfield(L, -2, "param");
  lua_pushcfunction(L, Require);
  lua_setfield(L, -2, "require");
  AddProposalFunctions(L);
  AddCalendar(L);
  lua_pushlightuserdata(L, &globals_meta_key);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -3);
  lua_pushcclosure(L, GetGlobal, 1);
  lua_setfield(L, -2, "__index");
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_pop(L, 1);
}

void PushGlobals(lua_State* L) {
  lua_createtable(L, 0, 4);
  PushRegistry(L, &globals_meta_key);
  lua_setmetatable(L, -2);
}

}  // namespace autoscale
