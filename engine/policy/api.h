// PolicyApi: what a policy calls. One per Lua state; reads the snapshot of the running evaluation
// and collects the proposals that the policy makes.
#pragma once

#include <deque>
#include <lua.hpp>
#include <span>
#include <string>
#include <string_view>

#include "engine/model/decision.h"
#include "engine/model/snapshot.h"

namespace autoscale {

class Sandbox;

// A module as compiled once in a Lua state, for all policies in it.
struct CompiledModule {
  std::string name;   // as required
  std::string file;   // as messages show it
  int ref = 0;        // of the function, in the registry
  std::string error;  // why it cannot run; empty: it can
};

// What one evaluation made. Proposal handles are indexes into `made`.
struct EvaluationScope {
  const Snapshot* snapshot = nullptr;
  std::span<const CompiledModule* const> modules;  // that the policy may require
  std::deque<Proposal> made;  // reused: the first `made_count` are of this evaluation
  int made_count = 0;
  bool misfit = false;  // the policy and its service's configuration do not fit each other
  bool named = false;   // the policy asked for the service's name
};

// Adds the API to the state's safe globals. The sandbox's client is an EvaluationScope from then
// on.
void InstallPolicyApi(Sandbox& sandbox);
// Pushes fresh globals for one evaluation.
void PushGlobals(lua_State* L);
// Makes modules run anew, with the globals at stack index `globals`.
void BeginModules(lua_State* L, int globals);
// Lets go of what they made; `empty_globals` is a reference in the registry.
void EndModules(lua_State* L, int empty_globals);
// The Lua function `require`.
int Require(lua_State* L);
// Adds hold ... threshold to the table on top of the stack.
void AddProposalFunctions(lua_State* L);
// Adds local_time and time_at to it.
void AddCalendar(lua_State* L);

EvaluationScope& ScopeOf(lua_State* L);

// A metric as an API function's argument.
struct MetricArgument {
  int index = 0;
  std::string_view name;
  Unit unit = Unit::kRatio;
  const Sample* sample = nullptr;
};
// The metric at stack index `argument`; raises an error that names `function` when it is none.
MetricArgument CheckMetric(lua_State* L, int argument, const char* function);
// The metric with index `index` of the snapshot.
MetricArgument MetricAt(lua_State* L, int index);
// Its value; ends the evaluation as a hold when it may not be acted on.
double UsableValue(lua_State* L, const MetricArgument& metric);

// Pushes the handle {kind, index}; the same one each time.
void PushMetric(lua_State* L, int index);
void PushProposal(lua_State* L, int index);

}  // namespace autoscale
