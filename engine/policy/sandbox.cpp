#include "engine/policy/sandbox.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>

#include "engine/policy/library.h"

namespace autoscale {
namespace {

// Fine enough that the dearest instructions (comparing strings of megabytes) keep the deadline
// within reach, coarse enough that most policies end before the first look.
constexpr int kStep = 250;
// A state's garbage is collected in small steps between evaluations, once it has grown by this.
constexpr size_t kCollectEvery = 16u << 10;
constexpr int kCollectKiB = 32;
constexpr size_t kRest = 512u << 10;  // least growth between two collections

// The wall-clock limit is the engine's only clock: it decides nothing but when to give up.
int64_t Now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Sandbox::Sandbox(const PolicyLimits& limits)
    : limits_(limits), step_(std::clamp(limits.instructions, 1, kStep)), collect_at_(kRest) {
  lua_ = lua_newstate(Allocate, this);
  if (lua_ == nullptr) throw std::bad_alloc();
  OpenSafeLibraries(lua_);
  luaJIT_setmode(lua_, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  // Collected by End() and the memory check only: an evaluation must not depend on its neighbours'
  // garbage.
  lua_gc(lua_, LUA_GCSTOP, 0);
}

Sandbox::~Sandbox() { lua_close(lua_); }

Sandbox& Sandbox::Of(lua_State* L) {
  void* sandbox = nullptr;
  lua_getallocf(L, &sandbox);
  return *static_cast<Sandbox*>(sandbox);
}

void* Sandbox::Allocate(void* sandbox, void* block, size_t old_size, size_t new_size) {
  auto& self = *static_cast<Sandbox*>(sandbox);
  if (new_size == 0) {
    std::free(block);
    self.used_ -= old_size;
    return nullptr;
  }
  const size_t next = self.used_ - old_size + new_size;
  if (next > self.used_ && next > self.soft_) {
    self.Arm();
    // Refusing memory has crashed LuaJIT; hence only far above the soft limit.
    if (next > self.hard_) {
      if (self.stop_ == Stop::kNone) {
        self.stop_ = Stop::kMemory;
        self.stop_text_.assign(self.file_)
            .append(": one value needs more memory than a policy may have (policy_limits.memory)");
      }
      return nullptr;
    }
  }
  void* grown = std::realloc(block, new_size);
  if (grown != nullptr) self.used_ = next;
  return grown;
}

void Sandbox::Arm() {
  if (armed_) return;
  armed_ = true;
  lua_sethook(lua_, Hook, LUA_MASKCOUNT, 1);
}

int Sandbox::Compile(std::string_view text, const std::string& file) {
  Begin(file);
  const std::string chunk_name = "=" + file;
  const int status = luaL_loadbufferx(lua_, text.data(), text.size(), chunk_name.c_str(), "t");
  End();
  return status;
}

void Sandbox::Begin(std::string_view file) {
  file_ = file;
  stop_ = Stop::kNone;
  stop_line_ = 0;
  spent_ = 0;
  wall_deadline_ = cpu_start_ = 0;
  armed_ = false;
  soft_ = used_ + limits_.memory_bytes;
  hard_ = used_ + 4 * limits_.memory_bytes + (16u << 20);
  lua_sethook(lua_, Hook, LUA_MASKCOUNT, step_);
}

void Sandbox::End() {
  soft_ = hard_ = SIZE_MAX;
  if (used_ < collect_at_) return;
  const bool cycle_ended = lua_gc(lua_, LUA_GCSTEP, kCollectKiB) != 0;
  lua_gc(lua_, LUA_GCSTOP, 0);
  collect_at_ = used_ + (cycle_ended ? std::max(used_, kRest) : kCollectEvery);
}

void Sandbox::Hook(lua_State* L, lua_Debug*) {
  Sandbox& self = Of(L);
  if (self.stop_ != Stop::kNone) {
    lua_pushliteral(L, "stopped");
    lua_error(L);
  }
  self.CheckMemory(L);
  self.Charge(L, static_cast<size_t>(self.step_));
  self.CheckTime(L);
}

void Sandbox::CheckMemory(lua_State* L) {
  if (!armed_) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  lua_gc(L, LUA_GCSTOP, 0);
  if (used_ > soft_) {
    char text[96];
    std::snprintf(text, sizeof text,
                  "more than %zu KiB of memory in one evaluation (policy_limits.memory)",
                  limits_.memory_bytes >> 10);
    RaiseLimit(L, Stop::kMemory, text);
  }
  armed_ = false;
  lua_sethook(L, Hook, LUA_MASKCOUNT, step_);
}

void Sandbox::Charge(lua_State* L, size_t units) {
  spent_ += units;
  if (spent_ < static_cast<size_t>(std::max(limits_.instructions, 1))) return;
  char text[96];
  std::snprintf(text, sizeof text,
                "more than %d instructions in one evaluation (policy_limits.instructions)",
                limits_.instructions);
  RaiseLimit(L, Stop::kInstructions, text);
}

// By wall clock, which is cheap to ask; but a machine that is busy elsewhere is not the policy's
// fault, so that only its own processor time counts in the end.
void Sandbox::CheckTime(lua_State* L) {
  const int64_t now = Now(CLOCK_MONOTONIC);
  const int64_t limit = std::chrono::nanoseconds(limits_.wall).count();
  if (wall_deadline_ == 0) {
    cpu_start_ = Now(CLOCK_THREAD_CPUTIME_ID);
    wall_deadline_ = now + limit;
    return;
  }
  if (now < wall_deadline_) return;
  const int64_t busy = Now(CLOCK_THREAD_CPUTIME_ID) - cpu_start_;
  if (busy < limit) {
    wall_deadline_ = now + std::max<int64_t>(limit - busy, 1'000'000);
    return;
  }
  char text[96];
  std::snprintf(text, sizeof text, "more than %lld ms in one evaluation (policy_limits.wall)",
                static_cast<long long>(limits_.wall.count()));
  RaiseLimit(L, Stop::kWall, text);
}

void Sandbox::RaiseLimit(lua_State* L, Stop stop, const char* what) {
  char text[256];
  std::snprintf(text, sizeof text, "%.*s:%d: %s", static_cast<int>(file_.size()), file_.data(),
                CurrentLine(L), what);
  Raise(L, stop, text);
}

void Sandbox::Raise(lua_State* L, Stop stop, const char* text) {
  stop_ = stop;
  stop_text_.assign(text);
  stop_line_ = CurrentLine(L);
  lua_sethook(L, Hook, LUA_MASKCOUNT, 1);  // whatever swallows the error meets it again
  lua_pushliteral(L, "stopped");
  lua_error(L);
  std::abort();
}

int CurrentLine(lua_State* L) {
  lua_Debug frame;
  for (int level = 0; level < 8 && lua_getstack(L, level, &frame) != 0; ++level) {
    if (lua_getinfo(L, "l", &frame) != 0 && frame.currentline > 0) return frame.currentline;
  }
  return 0;
}

void PolicyError(lua_State* L, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const std::string_view file = Sandbox::Of(L).file();
  lua_pushlstring(L, file.data(), file.size());
  if (const int line = CurrentLine(L); line > 0) {
    lua_pushfstring(L, "%s:%d: %s", lua_tostring(L, -1), line, text);
  } else {
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), text);
  }
  lua_error(L);
  std::abort();
}

}  // namespace autoscale
