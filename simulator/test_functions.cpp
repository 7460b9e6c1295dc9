// What *_test.lua files call, as far as it is written in C++.
#include <algorithm>
#include <exception>
#include <filesystem>
#include <tuple>

#include "engine/policy/library.h"
#include "engine/policy/state_codec.h"
#include "simulator/describe.h"
#include "simulator/lua_values.h"
#include "simulator/test_library.h"
#include "simulator/test_session.h"

namespace autoscale {
namespace {

constexpr size_t kMaxTests = 10'000;        // of one file
constexpr size_t kMaxSimulations = 10'000;  // of one test
constexpr size_t kChargeOfSetup = 2'000;    // in instructions: reading a service's settings
constexpr size_t kChargeOfTick = 1'000;     // an evaluation and a decision
// Of an evaluation's table, besides what a service's file has.
constexpr const char* kOwnKeys[] = {"values", "ready", "now", "state", "allow_faults"};

using Simulated = TestSession::Simulated;

TestSession& SessionOf(lua_State* L) { return *static_cast<TestSession*>(Sandbox::Of(L).client); }

// A function in C++: what it pushed, or what went wrong.
using Function = Result<int> (*)(lua_State* L, TestSession& session);

// Where the test file, or a module of it, is: "web_test.lua:12".
void PushPlace(lua_State* L) {
  lua_Debug frame;
  for (int level = 1; level < 30 && lua_getstack(L, level, &frame) != 0; ++level) {
    if (lua_getinfo(L, "Sl", &frame) == 0 || frame.currentline <= 0) continue;
    if (std::string_view(frame.short_src) == kTestLibraryName) continue;
    lua_pushfstring(L, "%s:%d: ", frame.short_src, frame.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

// Nothing with a destructor lives where the error is raised, and no exception crosses Lua's frames.
template <Function function>
int Call(lua_State* L) {
  bool failed = false;
  int pushed = 0;
  {
    std::string problem;
    try {
      const Result<int> result = function(L, SessionOf(L));
      failed = !result.ok();
      if (failed) problem = result.error().message;
      if (!failed) pushed = *result;
    } catch (const std::exception& error) {
      failed = true;
      problem = error.what();
    }
    if (failed) {
      PushPlace(L);
      lua_pushlstring(L, problem.data(), problem.size());
      lua_concat(L, 2);
    }
  }
  return failed ? lua_error(L) : pushed;
}

Error Wrong(std::string message) { return {ErrorKind::kInvalid, std::move(message)}; }

// The one that keeps the limits of the daemon whose service it is.
PolicyHost* HostOf(TestSession& session, const PolicyLimits& limits) {
  const auto parts = [](const PolicyLimits& one) {
    return std::tie(one.instructions, one.memory_bytes, one.wall, one.state_bytes);
  };
  for (const auto& [had, host] : session.hosts) {
    if (parts(had) == parts(limits)) return host.get();
  }
  session.hosts.emplace_back(limits, std::make_unique<PolicyHost>(limits));
  return session.hosts.back().second.get();
}

Result<Simulated*> SimulatedAt(lua_State* L, int index, TestSession& session) {
  if (lua_istable(L, index)) {
    lua_rawgeti(L, index, 1);
    const auto number = static_cast<size_t>(lua_tointeger(L, -1));
    lua_pop(L, 1);
    if (number >= 1 && number <= session.simulations.size()) {
      return session.simulations[number - 1].get();
    }
  }
  return Wrong("this is no simulation of this test; call it as sim:run(...)");
}

// test(name, function)
Result<int> Test(lua_State* L, TestSession& session) {
  const std::string_view name = TextAt(L, 1);
  if (name.empty() || !lua_isfunction(L, 2)) {
    return Wrong("a test is written: test(\"what it shows\", function() ... end)");
  }
  if (!session.declaring) return Wrong("a test cannot hold another");
  if (session.tests.size() >= kMaxTests) return Wrong("too many tests in one file");
  lua_Debug frame;
  lua_pushvalue(L, 2);
  const bool known = lua_getinfo(L, ">S", &frame) != 0;
  lua_pushvalue(L, 2);
  session.tests.push_back({.name = std::string(name),
                           .line = known ? frame.linedefined : 0,
                           .ref = luaL_ref(L, LUA_REGISTRYINDEX)});
  return 0;
}

std::string FaultsOf(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics) {
    if (diagnostic.severity != Diagnostic::Severity::kError) continue;
    text += (text.empty() ? "" : "; ") + diagnostic.message;
  }
  return text;
}

// NAME_test.lua tests NAME.lua when that is beside it.
std::string PolicyBeside(const std::string& path) {
  const std::string policy =
      path.substr(0, path.size() - std::string_view("_test.lua").size()) + ".lua";
  std::error_code error;
  return std::filesystem::exists(policy, error) ? std::filesystem::path(policy).filename().string()
                                                : std::string();
}

// create(settings, allow_faults) -> the simulation
Result<int> Create(lua_State* L, TestSession& session) {
  if (session.declaring) return Wrong("simulate and evaluate are called within a test");
  if (session.simulations.size() >= kMaxSimulations)
    return Wrong("too many simulations in one test");
  const auto yaml = YamlOf(L, 1);
  if (!yaml) return yaml.error();
  std::vector<Diagnostic> diagnostics;
  auto setup = ReadSetup(session.path, *yaml, PolicyBeside(session.path), &diagnostics, kOwnKeys);
  if (!setup) return Wrong(FaultsOf(diagnostics));
  auto made = std::make_unique<Simulated>();
  made->setup = *std::move(setup);
  made->readings.resize(made->setup.service.metrics.size());
  made->host = HostOf(session, made->setup.limits);
  made->simulation =
      std::make_unique<Simulation>(*made->host, made->setup.service, made->setup.start);
  made->now = made->setup.start.start;
  made->allow_faults = lua_toboolean(L, 2) != 0;
  session.simulations.push_back(std::move(made));
  lua_createtable(L, 1, 0);
  lua_pushinteger(L, static_cast<lua_Integer>(session.simulations.size()));
  lua_rawseti(L, -2, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, session.meta_ref);
  lua_setmetatable(L, -2);
  return 1;
}

// set(sim, metric, reading)
Result<int> Set(lua_State* L, TestSession& session) {
  const auto sim = SimulatedAt(L, 1, session);
  if (!sim) return sim.error();
  const std::string_view name = TextAt(L, 2);
  const auto& declared = (*sim)->setup.service.declared;
  const auto metric = std::find_if(declared.begin(), declared.end(),
                                   [&](const DeclaredMetric& m) { return m.name == name; });
  if (metric == declared.end()) {
    std::string known;
    for (const DeclaredMetric& one : declared) known += (known.empty() ? "" : ", ") + one.name;
    return Wrong("unknown metric \"" + std::string(name.substr(0, 60)) +
                 "\"; declared: " + (known.empty() ? "none" : known));
  }
  auto reading = ReadingOf(L, 3);
  if (!reading) return Wrong("metric " + std::string(name) + ": " + reading.error().message);
  (*sim)->readings[static_cast<size_t>(metric - declared.begin())] = std::move(reading).value();
  return 0;
}

std::map<std::string, Sample> SamplesOf(const Simulated& sim, const Capacity& capacity) {
  std::map<std::string, Sample> samples;
  const auto& metrics = sim.setup.service.metrics;
  for (size_t i = 0; i < metrics.size(); ++i) {
    if (!sim.readings[i]) continue;
    samples[metrics[i].spec->name] = MakeSample(*sim.readings[i], *metrics[i].spec, capacity);
  }
  return samples;
}

Status RefuseFault(const SimulatedTick& tick, const Simulated& sim) {
  if (tick.outcome.proposal.cause != HoldCause::kFault || sim.allow_faults) return Ok{};
  return Wrong("the policy faults: " + tick.outcome.proposal.reason);
}

// Of a decision, a name that it does not have: nil would pass for what it is not.
Result<int> NoField(lua_State* L, TestSession&) {
  return Wrong("a decision has no '" + std::string(TextAt(L, 2).substr(0, 60)) +
               "': kind, capacity, cause, reason, at, before, desired, decided, ready, stages; "
               "of evaluate also state");
}

void PushDecision(lua_State* L, const TestSession& session, const SimulatedTick& tick) {
  PushOutcome(L, tick);
  lua_rawgeti(L, LUA_REGISTRYINDEX, session.decision_meta_ref);
  lua_setmetatable(L, -2);
}

Result<int> TickOnce(Simulated& sim, TestSession& session) {
  const SimulatedTick& tick = sim.simulation->Tick(
      [&sim](TimePoint, const Capacity& capacity) { return SamplesOf(sim, capacity); });
  sim.ticked = true;
  session.last = Describe(tick, sim.setup.service, "");
  if (auto sound = RefuseFault(tick, sim); !sound) return sound.error();
  return 0;
}

// tick(sim): the next one, and the clock to where the one after it is
Result<int> Tick(lua_State* L, TestSession& session) {
  const auto sim = SimulatedAt(L, 1, session);
  if (!sim) return sim.error();
  auto ticked = TickOnce(**sim, session);
  (*sim)->now = (*sim)->simulation->next();
  return ticked;
}

// run(sim, duration): only says how far; tick_before does it
Result<int> RunTo(lua_State* L, TestSession& session) {
  const auto sim = SimulatedAt(L, 1, session);
  if (!sim) return sim.error();
  const auto duration = ParseDuration(TextAt(L, 2));
  if (!duration) return Wrong("run takes a duration: sim:run(\"5m\"); " + duration.error().message);
  (*sim)->until = (*sim)->now + *duration;
  return 0;
}

// tick_before(sim) -> whether there was one
Result<int> TickBefore(lua_State* L, TestSession& session) {
  const auto sim = SimulatedAt(L, 1, session);
  if (!sim) return sim.error();
  const bool due = (*sim)->simulation->next() < (*sim)->until;
  (*sim)->now = due ? (*sim)->simulation->next() : (*sim)->until;
  if (due) {
    if (auto ticked = TickOnce(**sim, session); !ticked) return ticked;
  }
  lua_pushboolean(L, due ? 1 : 0);
  return 1;
}

// find(text, part) -> whether it is in it
Result<int> Find(lua_State* L, TestSession&) {
  lua_pushboolean(L, TextAt(L, 1).find(TextAt(L, 2)) != std::string_view::npos ? 1 : 0);
  return 1;
}

// place() -> where the test file calls its library
int PlaceHere(lua_State* L) {
  PushPlace(L);
  return 1;
}

// fail(message)
Result<int> FailHere(lua_State* L, TestSession&) { return Wrong(std::string(TextAt(L, 1))); }

// evaluate(sim, ready, now) -> what came of it; the state is the session's, before and after
Result<int> Evaluate(lua_State* L, TestSession& session) {
  const auto found = SimulatedAt(L, 1, session);
  if (!found) return found.error();
  const Simulated& sim = **found;
  SimulatedTick tick{.at = sim.now};
  if (lua_type(L, 3) == LUA_TNUMBER) {
    tick.at = FromUnixSeconds(std::clamp(lua_tonumber(L, 3), 0.0, 1e11));
  } else if (lua_type(L, 3) == LUA_TSTRING) {
    const auto time = ParseTime(TextAt(L, 3));
    if (!time) return Wrong("now: " + time.error().message);
    tick.at = *time;
  }
  tick.capacity.desired = tick.capacity.ready = sim.setup.start.desired;
  if (lua_type(L, 2) == LUA_TNUMBER) {
    tick.capacity.ready = static_cast<int>(std::clamp(lua_tonumber(L, 2), 0.0, 1e6));
  }
  tick.outcome = Step(*sim.host, sim.setup.service,
                      {.now = tick.at,
                       .capacity = tick.capacity,
                       .metrics = SamplesOf(sim, tick.capacity),
                       .state = session.state});
  session.last = Describe(tick, sim.setup.service, "");
  session.state = tick.outcome.state;
  if (auto sound = RefuseFault(tick, sim); !sound) return sound.error();
  PushDecision(L, session, tick);
  return 1;
}

// `state` is taken as a table, and shown as one. Encoding may raise an error: what it fills is the
// session's.
int EvaluateOnce(lua_State* L) {
  Sandbox::Of(L).Charge(L, kChargeOfTick);
  std::string& state = SessionOf(L).state;
  state.clear();
  lua_settop(L, 4);
  if (lua_istable(L, 4)) EncodeState(L, 4, state);
  Call<Evaluate>(L);
  DecodeState(L, state);
  lua_setfield(L, -2, "state");
  return 1;
}

template <Function function, size_t charge>
int Charged(lua_State* L) {
  Sandbox::Of(L).Charge(L, charge);
  return Call<function>(L);
}

// sim.NAME
Result<int> Field(lua_State* L, TestSession& session) {
  const auto found = SimulatedAt(L, 1, session);
  if (!found) return found.error();
  const Simulated& sim = **found;
  const std::string_view name = TextAt(L, 2);
  const Capacity capacity = sim.simulation->CapacityAt(sim.now);
  if (name == "desired") {
    lua_pushinteger(L, capacity.desired);
  } else if (name == "ready") {
    lua_pushinteger(L, capacity.ready);
  } else if (name == "pending") {
    lua_pushinteger(L, capacity.pending());
  } else if (name == "now") {
    lua_pushnumber(L, ToUnixSeconds(sim.now));
  } else if (name == "time") {
    lua_pushnumber(L, ToSeconds(sim.now - sim.setup.start.start));
  } else if (name == "changes") {
    lua_pushinteger(L, static_cast<lua_Integer>(sim.simulation->totals().changes));
  } else if (name == "ticks") {
    lua_pushinteger(L, static_cast<lua_Integer>(sim.simulation->totals().ticks));
  } else if (name == "highest") {
    lua_pushinteger(L, sim.simulation->totals().highest);
  } else if (name == "lowest") {
    lua_pushinteger(L, sim.simulation->totals().lowest);
  } else if (name == "instance_hours") {
    lua_pushnumber(L, sim.simulation->totals().instance_seconds / 3600);
  } else if (name == "decision") {
    if (!sim.ticked) return Wrong("there is no decision yet; call sim:run or sim:tick first");
    PushDecision(L, session, sim.simulation->last());
  } else {
    lua_rawgeti(L, LUA_REGISTRYINDEX, session.methods_ref);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1)) {
      return Wrong("a simulation has no '" + std::string(name.substr(0, 60)) +
                   "': set, load, run, tick; desired, ready, pending, decision, now, time, ticks, "
                   "changes, highest, lowest, instance_hours");
    }
  }
  return 1;
}

// require "name": as policies do; each module runs once a file. Its own errors are Lua's.
int Require(lua_State* L) {
  TestSession& session = SessionOf(L);
  const auto found = session.modules.find(TextAt(L, 1));
  if (found == session.modules.end()) {
    PolicyError(L, "require needs the name of a module as it is: require \"lib.smooth\"");
  }
  TestSession::Module& module = found->second;
  if (module.answer == LUA_NOREF) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, module.ref);
    lua_call(L, 0, 1);
    module.answer = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, module.answer);
  return 1;
}

void AddFunction(lua_State* L, const char* name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_setfield(L, -2, name);
}

// Inside Lua: a metatable whose reads of what is not there go to the function.
int MetaOf(lua_State* L, lua_CFunction index) {
  lua_newtable(L);
  AddFunction(L, "__index", index);
  lua_pushliteral(L, "locked");
  lua_setfield(L, -2, "__metatable");
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

}  // namespace

int OpenTestLibrary(lua_State* L) {
  TestSession& session = SessionOf(L);
  session.meta_ref = MetaOf(L, Call<Field>);
  session.decision_meta_ref = MetaOf(L, Call<NoField>);
  PushSafeGlobals(L);
  lua_setfenv(L, 1);
  lua_pushvalue(L, 1);
  lua_createtable(L, 0, 8);
  AddFunction(L, "create", Charged<Create, kChargeOfSetup>);
  AddFunction(L, "evaluate", EvaluateOnce);
  AddFunction(L, "set", Call<Set>);
  AddFunction(L, "tick", Charged<Tick, kChargeOfTick>);
  AddFunction(L, "run", Call<RunTo>);
  AddFunction(L, "tick_before", Charged<TickBefore, kChargeOfTick>);
  AddFunction(L, "find", Call<Find>);
  AddFunction(L, "fail", Call<FailHere>);
  AddFunction(L, "place", PlaceHere);
  lua_call(L, 1, 3);
  session.run_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  session.methods_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  AddFunction(L, "test", Call<Test>);
  AddFunction(L, "require", Require);
  PushSafeGlobals(L);
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}

}  // namespace autoscale
