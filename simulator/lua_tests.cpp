// Runs NAME_test.lua: a sandbox of its own for the file, the engine for what it tests.
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "config/policy_files.h"
#include "engine/policy/modules.h"
#include "simulator/test_library.h"
#include "simulator/test_report.h"
#include "simulator/test_session.h"

namespace autoscale {
namespace {

constexpr size_t kMaxFileBytes = 1u << 20;

// Runs what is on the stack (a function and its arguments); what went wrong, or nothing.
std::string Protected(TestSession& session, int arguments, int results) {
  lua_State* L = session.sandbox.lua();
  session.sandbox.Begin(session.file);
  const int status = lua_pcall(L, arguments, results, 0);
  std::string problem;
  if (session.sandbox.stop() != Stop::kNone) {
    problem = session.sandbox.stop_text();
  } else if (status != 0) {
    problem = lua_type(L, -1) == LUA_TSTRING ? std::string(TextAt(L, -1))
                                             : "an error that is no text was raised";
  }
  session.sandbox.End();
  return problem;
}

std::string CompileProblem(lua_State* L) {
  const std::string_view text = TextAt(L, -1);
  return text.empty() ? "cannot be compiled" : std::string(text);
}

// Compiles a chunk whose globals are the table on top of the stack, which stays; leaves it there.
std::string CompileChunk(TestSession& session, std::string_view text, const std::string& file) {
  lua_State* L = session.sandbox.lua();
  if (text.starts_with('\x1b')) return file + ": is bytecode, not Lua source";
  if (session.sandbox.Compile(text, file) != 0) return CompileProblem(L);
  lua_pushvalue(L, -2);
  lua_setfenv(L, -2);
  return {};
}

// Leaves the file's tests in the session.
std::string LoadTests(TestSession& session) {
  lua_State* L = session.sandbox.lua();
  lua_pushcfunction(L, OpenTestLibrary);
  if (session.sandbox.Compile(kTestLibrary, kTestLibraryName) != 0) return CompileProblem(L);
  if (auto problem = Protected(session, 1, 1); !problem.empty()) return problem;
  for (const auto& module : session.source->modules) {
    const std::string file = ModuleFile(module->name);
    if (auto problem = CompileChunk(session, module->text, file); !problem.empty()) return problem;
    session.modules[module->name] = {.file = file, .ref = luaL_ref(L, LUA_REGISTRYINDEX)};
  }
  if (auto problem = CompileChunk(session, session.source->text, session.file); !problem.empty()) {
    return problem;
  }
  return Protected(session, 0, 0);
}

// The text of the line that a message begins with, so that it need not be looked up.
std::string SourceLine(const TestSession& session, const std::string& message) {
  const std::string prefix = session.file + ":";
  if (message.compare(0, prefix.size(), prefix) != 0) return {};
  const int line = std::atoi(message.c_str() + prefix.size());
  size_t at = 0;
  for (int i = 1; i < line && at != std::string::npos; ++i) {
    at = session.source->text.find('\n', at);
    if (at != std::string::npos) ++at;
  }
  if (line < 1 || at >= session.source->text.size()) return {};
  const std::string text =
      session.source->text.substr(at, session.source->text.find('\n', at) - at);
  const size_t begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? std::string() : "\n    " + text.substr(begin, 200);
}

TestCase RunOne(TestSession& session, const TestSession::Declared& test) {
  TestCase out{.name = test.name, .file = session.path, .line = test.line};
  lua_State* L = session.sandbox.lua();
  session.simulations.clear();
  session.last.clear();
  lua_settop(L, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, session.run_ref);
  lua_rawgeti(L, LUA_REGISTRYINDEX, test.ref);
  out.failure = Protected(session, 1, 0);
  if (out.failure.empty()) return out;
  out.failure += SourceLine(session, out.failure);
  if (!session.last.empty()) out.failure += "\nthe last decision:\n" + session.last;
  return out;
}

TestReport Broken(const std::string& path, std::string why) {
  return {{.name = "can be run", .file = path, .failure = std::move(why)}};
}

}  // namespace

TestReport RunLuaTests(const std::string& path) {
  const auto source = PolicyFiles(kMaxFileBytes).Read(path);
  if (!source) return Broken(path, source.error().message);
  TestSession session(path);
  session.file = std::filesystem::path(path).filename().string();
  session.source = *source;
  if (auto problem = LoadTests(session); !problem.empty()) return Broken(path, problem);
  session.declaring = false;
  if (session.tests.empty()) {
    return Broken(path, "there is no test in it: test(\"what it shows\", function() ... end)");
  }
  TestReport report;
  for (const TestSession::Declared& test : session.tests) report.push_back(RunOne(session, test));
  return report;
}

}  // namespace autoscale
