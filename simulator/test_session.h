// TestSession: what the parts of a run of one *_test.lua share: its tests, its simulations.
#pragma once

#include <lua.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/policy/host.h"
#include "engine/policy/sandbox.h"
#include "simulator/reading.h"
#include "simulator/setup.h"
#include "simulator/simulation.h"

namespace autoscale {

// Of one test. Generous: a test that needs more tests too much.
inline constexpr PolicyLimits kTestLimits{.instructions = 50'000'000,
                                          .memory_bytes = 64u << 20,
                                          .wall = std::chrono::seconds(60),
                                          .state_bytes = 16u << 20};

// The sandbox's client.
struct TestSession {
  struct Simulated {
    Setup setup;
    PolicyHost* host = nullptr;
    std::unique_ptr<Simulation> simulation;
    std::vector<std::optional<Reading>> readings;  // parallel to the service's metrics
    TimePoint now, until;                          // the clock, and where it is run to
    bool allow_faults = false;
    bool ticked = false;
  };

  struct Declared {
    std::string name;
    int line = 0;
    int ref = LUA_NOREF;
  };

  struct Module {
    std::string file;        // as messages name it
    int ref = LUA_NOREF;     // its chunk
    int answer = LUA_NOREF;  // what it returned, once it ran
  };

  explicit TestSession(std::string file_path) : path(std::move(file_path)), sandbox(kTestLimits) {
    sandbox.client = this;
  }
  std::string path, file;
  std::shared_ptr<const PolicySource> source;
  Sandbox sandbox;
  std::vector<std::pair<PolicyLimits, std::unique_ptr<PolicyHost>>> hosts;  // one for all alike
  std::vector<Declared> tests;
  bool declaring = true;
  std::vector<std::unique_ptr<Simulated>> simulations;  // of the running test
  std::string state;                                    // the policy's, of the evaluation that runs
  std::string last;  // the last decision of the running test, in words
  std::map<std::string, Module, std::less<>> modules;  // that the file requires, by name
  int methods_ref = LUA_NOREF, meta_ref = LUA_NOREF, decision_meta_ref = LUA_NOREF;
  int run_ref = LUA_NOREF;  // takes a test and runs it
};

// Inside Lua: globals for the file from the compiled library. Stack: the library's chunk.
int OpenTestLibrary(lua_State* L);

// Empty for what is no text.
inline std::string_view TextAt(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TSTRING) return {};
  size_t length = 0;
  const char* text = lua_tolstring(L, index, &length);
  return {text, length};
}

}  // namespace autoscale
