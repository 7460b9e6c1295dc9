// Sandbox: one LuaJIT state that hostile code cannot leave, crash or keep busy.
//
// JIT off: a compiled loop cannot be stopped. Every evaluation has a budget of VM instructions
// (repeatable), of memory (soft: a collection, then an error) and of time (a safety net). Not
// thread-safe. Functions that take a lua_State run inside Lua, may raise Lua errors and keep
// nothing that needs a destructor while they do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <lua.hpp>
#include <string>
#include <string_view>

#include "engine/policy/host.h"

namespace autoscale {

// Why an evaluation was ended from outside the policy. pcall does not swallow these.
enum class Stop : uint8_t { kNone, kMetric, kInstructions, kMemory, kWall };

class Sandbox {
 public:
  explicit Sandbox(const PolicyLimits& limits);
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  static Sandbox& Of(lua_State* L);
  [[nodiscard]] lua_State* lua() const { return lua_; }

  // Compiles `text` as `file`; leaves the function on the stack (0) or the message (else).
  int Compile(std::string_view text, const std::string& file);
  // Starts a new budget. `file` names the policy in messages, `service` whose limits `own` are;
  // both outlive the evaluation.
  void Begin(std::string_view file, const OwnLimits& own = {}, std::string_view service = {});
  // Ends it, and collects a share of the garbage.
  void End();

  // Pays for work done in C as if it were `units` instructions.
  void Charge(lua_State* L, size_t units);
  // Of the encoded state, in bytes; and the error when it is larger.
  [[nodiscard]] size_t state_limit() const {
    return own_.state_bytes.value_or(limits_.state_bytes);
  }
  [[noreturn]] void RaiseStateTooLarge(lua_State* L) const;
  // Ends the evaluation for good; `text` becomes stop_text().
  [[noreturn]] void Raise(lua_State* L, Stop stop, const char* text);
  [[nodiscard]] Stop stop() const { return stop_; }
  [[nodiscard]] const std::string& stop_text() const { return stop_text_; }
  [[nodiscard]] const std::string& stop_at() const { return stop_at_; }  // the user's "file:line"
  [[nodiscard]] std::string_view file() const { return file_; }

  // What the policy API keeps beside the state.
  void* client = nullptr;

 private:
  static void* Allocate(void* sandbox, void* block, size_t old_size, size_t new_size);
  static void Hook(lua_State* L, lua_Debug*);
  void Arm();
  void CheckMemory(lua_State* L);
  void CheckTime(lua_State* L);
  [[nodiscard]] int instructions() const {
    return own_.instructions.value_or(limits_.instructions);
  }
  [[nodiscard]] Millis wall() const { return own_.wall.value_or(limits_.wall); }
  [[noreturn]] void RaiseLimit(lua_State* L, Stop stop, const char* what);

  const PolicyLimits limits_;
  const int step_;  // instructions between two looks at the budget
  lua_State* lua_ = nullptr;
  size_t used_ = 0;
  size_t soft_ = SIZE_MAX, hard_ = SIZE_MAX;  // bounds of used_ in this evaluation
  size_t collect_at_;                         // used_ at which garbage is next looked for
  bool armed_ = false;                        // the hook comes at the next instruction
  OwnLimits own_;                             // of this evaluation
  size_t spent_ = 0;
  int64_t wall_deadline_ = 0, cpu_start_ = 0;  // ns; 0: not taken yet
  Stop stop_ = Stop::kNone;
  std::string stop_text_, stop_at_;
  std::string_view file_, service_;
};

// A line that is running; 0 when none is known, and the file is then the policy's.
struct Place {
  std::string_view file;  // valid while its function is on the stack
  int line = 0;
};
// The innermost one.
Place CurrentPlace(lua_State* L);
// The innermost one outside the shipped library: in what users wrote.
Place UsersPlace(lua_State* L);
// Appends "file:line", or the file alone.
void AppendPlace(std::string& out, const Place& place);
// Raises "file:line: message" with printf's formats; an error that pcall catches.
[[noreturn]] [[gnu::format(printf, 2, 3)]] void PolicyError(lua_State* L, const char* format, ...);

}  // namespace autoscale
