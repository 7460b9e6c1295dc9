#include "engine/policy/host.h"

#include <cctype>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/model/text.h"
#include "engine/policy/api.h"
#include "engine/policy/callers.h"
#include "engine/policy/library.h"
#include "engine/policy/modules.h"
#include "engine/policy/sandbox.h"
#include "engine/policy/state_codec.h"

namespace autoscale {
namespace {

// A full collection of 10,000 policies in one state takes 31-39 ms (measured); of so many, one.
constexpr int kPoliciesAState = 256;
// Editing files for months must not fill the memory: at this many, all are forgotten and compiled
// again as they are needed.
constexpr size_t kMaxLoaded = 20'000;
constexpr size_t kMaxMessage = 500;  // bytes; Lua's quote the policy

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// One Lua state with the policies compiled in it.
struct Cell {
  explicit Cell(const PolicyLimits& limits);
  EvaluationScope scope;
  Sandbox sandbox;
  int policies = 0;                                         // and modules
  std::unordered_map<std::string, CompiledModule> modules;  // by name and hash
  int run_ref = LUA_NOREF;                                  // the function Run
  int empty_ref = LUA_NOREF;  // the globals of a policy that does not run
};

struct Loaded {
  Cell* cell = nullptr;
  int ref = LUA_NOREF;
  std::string file;   // the path's last part, as messages show it
  std::string error;  // why it cannot run; empty: it can
  std::vector<const CompiledModule*> modules;
};

// An evaluation inside Lua: what it needs and what came of it.
struct Evaluating {
  int ref = LUA_NOREF;
  std::string* state = nullptr;
  bool has_state = false;
  int proposal = -1;
};

int Run(lua_State* L) {
  auto& run = *static_cast<Evaluating*>(lua_touserdata(L, 1));
  lua_rawgeti(L, LUA_REGISTRYINDEX, run.ref);
  PushGlobals(L);
  BeginModules(L, 3);
  lua_pushvalue(L, 3);
  lua_setfenv(L, 2);
  lua_pushvalue(L, 2);
  lua_call(L, 0, 1);
  const Handle* handle = HandleAt(L, 4);
  if (handle == nullptr || handle->kind != HandleKind::kProposal) {
    const bool is_metric = handle != nullptr && handle->kind == HandleKind::kMetric;
    PolicyError(L,
                "the policy returned %s; end it with return hold(...), scale_up(...), "
                "scale_down(...), scale_to(...), track(...) or threshold(...)",
                is_metric         ? "a metric"
                : lua_isnil(L, 4) ? "nothing"
                                  : luaL_typename(L, 4));
  }
  run.proposal = handle->index;
  lua_pushliteral(L, "state");
  lua_rawget(L, 3);
  if (lua_isnil(L, 5)) return 0;  // not touched
  if (!lua_istable(L, 5)) PolicyError(L, "state must be a table, not a %s", luaL_typename(L, 5));
  EncodeState(L, 5, *run.state);
  run.has_state = true;
  return 0;
}

Cell::Cell(const PolicyLimits& limits) : sandbox(limits) {
  sandbox.client = &scope;
  lua_State* L = sandbox.lua();
  InstallPolicyApi(sandbox);
  lua_pushcfunction(L, Run);
  run_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  empty_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

// "file:12" when the message begins so, else nothing.
std::string PlaceOf(const std::string& message, const std::string& file) {
  if (message.compare(0, file.size() + 1, file + ":") != 0) return {};
  size_t end = file.size() + 1;
  while (end < message.size() && std::isdigit(static_cast<unsigned char>(message[end])) != 0) ++end;
  return end > file.size() + 1 ? message.substr(0, end) : std::string();
}

// The file that the message begins with: the policy's or one of its modules'.
const std::string* FileOf(const Loaded& policy, const std::string& message) {
  const auto begins_with = [&](const std::string& file) { return message.starts_with(file + ":"); };
  if (begins_with(policy.file)) return &policy.file;
  for (const CompiledModule* module : policy.modules) {
    if (begins_with(module->file)) return &module->file;
  }
  return nullptr;
}

Evaluation Fault(const Snapshot& snapshot, const Loaded& policy, std::string message) {
  message = OneLine(message, kMaxMessage);
  const std::string* file = FileOf(policy, message);
  if (file == nullptr) {
    file = &policy.file;
    message.insert(0, policy.file + ": ");
  }
  Evaluation out;
  out.proposal = {.kind = ProposalKind::kHold,
                  .cause = HoldCause::kFault,
                  .capacity = snapshot.capacity.desired,
                  .at = PlaceOf(message, *file)};
  out.proposal.reason = std::move(message);
  return out;
}

}  // namespace

class PolicyHost::State {
 public:
  explicit State(PolicyLimits limits) : limits_(limits) {}

  const Loaded& Load(const PolicySource& source) {
    const std::string_view file = BaseName(source.path);
    // Messages name the file, so that one text under two names is compiled twice.
    const uint64_t key = source.hash ^ (std::hash<std::string_view>()(file) * 0x9e3779b97f4a7c15u) ^
                         (source.text.size() << 1);
    const auto found = loaded_.find(key);
    if (found != loaded_.end()) return found->second;
    if (loaded_.size() >= kMaxLoaded) {
      loaded_.clear();
      cells_.clear();
    }
    return loaded_.emplace(key, Compile(source, std::string(file))).first->second;
  }

  Evaluation Evaluate(const PolicySource& source, const Snapshot& snapshot) {
    const Loaded& policy = Load(source);
    if (!policy.error.empty()) return Fault(snapshot, policy, policy.error);
    Cell& cell = *policy.cell;
    cell.scope.snapshot = &snapshot;
    cell.scope.modules = policy.modules;
    cell.scope.made_count = 0;
    cell.scope.misfit = cell.scope.named = false;
    Evaluating run{.ref = policy.ref, .state = &encoded_};
    lua_State* L = cell.sandbox.lua();
    cell.sandbox.Begin(policy.file, snapshot.limits, snapshot.service);
    lua_rawgeti(L, LUA_REGISTRYINDEX, cell.run_ref);
    lua_pushlightuserdata(L, &run);
    const int status = lua_pcall(L, 1, 0, 0);
    Evaluation out = Outcome(policy, snapshot, run, status);
    out.misfit = cell.scope.misfit;
    out.named = cell.scope.named;
    Rest(policy);
    return out;
  }

 private:
  Cell& CellWithRoom() {
    if (cells_.empty() || cells_.back()->policies >= kPoliciesAState) {
      cells_.push_back(std::make_unique<Cell>(limits_));
    }
    return *cells_.back();
  }

  Loaded Compile(const PolicySource& source, std::string file) {
    Loaded out{.file = std::move(file)};
    size_t bytes = source.text.size();
    for (const auto& module : source.modules) {
      if (!module->name.starts_with(kLibraryPrefix)) bytes += module->text.size();
    }
    if (bytes > limits_.source_bytes) {
      out.error = out.file + ": has " + std::to_string(bytes) + " bytes" +
                  (bytes > source.text.size() ? " with its modules" : "") + ", more than " +
                  std::to_string(limits_.source_bytes) + " (policy_limits.source)";
      return out;
    }
    out.cell = &CellWithRoom();
    out.error = CompileText(*out.cell, source.text, out.file, out.ref);
    for (size_t i = 0; i < source.modules.size() && out.error.empty(); ++i) {
      out.modules.push_back(&Compiled(*out.cell, *source.modules[i]));
      out.error = out.modules.back()->error;
    }
    return out;
  }

  const CompiledModule& Compiled(Cell& cell, const PolicyModule& module) {
    const auto [entry, is_new] = cell.modules.try_emplace(
        module.name + ' ' + std::to_string(std::hash<std::string>()(module.text)));
    CompiledModule& out = entry->second;
    if (is_new) {
      out.name = module.name;
      out.file = ModuleFile(module.name);
      out.error = CompileText(cell, module.text, out.file, out.ref);
    }
    return out;
  }

  // Why it cannot be compiled; empty when it can: then `ref` is the function.
  static std::string CompileText(Cell& cell, const std::string& text, const std::string& file,
                                 int& ref) {
    if (!text.empty() && text.front() == '\x1b') {
      return file + ": is bytecode; a policy is Lua source text";
    }
    lua_State* L = cell.sandbox.lua();
    std::string error;
    // In the text as written: what is put in for callers must not show in messages.
    if (cell.sandbox.Compile(KeepCallers(text), file) == 0 ||
        cell.sandbox.Compile(text, file) == 0) {
      ref = luaL_ref(L, LUA_REGISTRYINDEX);
      ++cell.policies;
    } else {
      const char* message = lua_tostring(L, -1);
      error = cell.sandbox.stop() != Stop::kNone ? cell.sandbox.stop_text()
              : message != nullptr               ? OneLine(message, kMaxMessage)
                                                 : file + ": cannot be compiled";
    }
    lua_settop(L, 0);
    return error;
  }

  Evaluation Outcome(const Loaded& policy, const Snapshot& snapshot, const Evaluating& run,
                     int status) {
    const Sandbox& sandbox = policy.cell->sandbox;
    if (sandbox.stop() == Stop::kMetric) {
      Evaluation out;
      out.proposal = {.kind = ProposalKind::kHold,
                      .cause = HoldCause::kMetric,
                      .capacity = snapshot.capacity.desired,
                      .reason = sandbox.stop_text(),
                      .at = sandbox.stop_at()};
      return out;
    }
    if (sandbox.stop() != Stop::kNone) {
      Evaluation out = Fault(snapshot, policy, sandbox.stop_text());
      out.at_limit = true;
      out.outside = sandbox.stop() == Stop::kWall;  // another machine, another outcome
      return out;
    }
    if (status != 0) {
      lua_State* L = sandbox.lua();
      const int type = lua_type(L, -1);
      return Fault(snapshot, policy,
                   type == LUA_TSTRING ? lua_tostring(L, -1)
                                       : std::string("error was called with a ") +
                                             lua_typename(L, type) + " instead of a message");
    }
    Evaluation out;
    out.proposal = policy.cell->scope.made[static_cast<size_t>(run.proposal)];
    if (run.has_state && encoded_ != snapshot.state) out.state = encoded_;
    return out;
  }

  // Lets go of everything the evaluation made.
  static void Rest(const Loaded& policy) {
    lua_State* L = policy.cell->sandbox.lua();
    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, policy.ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, policy.cell->empty_ref);
    lua_setfenv(L, 1);
    EndModules(L, policy.cell->empty_ref);
    lua_settop(L, 0);
    policy.cell->sandbox.End();
  }

  const PolicyLimits limits_;
  std::vector<std::unique_ptr<Cell>> cells_;
  std::unordered_map<uint64_t, Loaded> loaded_;
  std::string encoded_;
};

PolicyHost::PolicyHost(PolicyLimits limits) : state_(std::make_unique<State>(limits)) {}
PolicyHost::~PolicyHost() = default;

Status PolicyHost::Load(const PolicySource& source) {
  const Loaded& policy = state_->Load(source);
  if (policy.error.empty()) return Ok{};
  return Error{ErrorKind::kInvalid, WithWholePath(source, policy.error)};
}

Evaluation PolicyHost::Evaluate(const PolicySource& source, const Snapshot& snapshot) {
  return state_->Evaluate(source, snapshot);
}

}  // namespace autoscale
