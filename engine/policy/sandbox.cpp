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
constexpr int kMaxLevels = 100;       // of the stack that are searched for a line
constexpr size_t kRest = 512u << 10;  // least growth between two collections

// The wall-clock limit is the engine's only clock: it decides nothing but when to give up.
int64_t Now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// The innermost line that is running in a chunk whose name does not begin with `but`.
Place FindPlace(lua_State* L, std::string_view but) {
  lua_Debug frame;
  for (int level = 0; level < kMaxLevels && lua_getstack(L, level, &frame) != 0; ++level) {
    if (lua_getinfo(L, "Sl", &frame) == 0 || frame.currentline <= 0) continue;
    const std::string_view chunk = frame.source;  // "=file"
    if (but.empty() || !chunk.starts_with(but)) return {chunk.substr(1), frame.currentline};
  }
  return {Sandbox::Of(L).file(), 0};
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

void Sandbox::Begin(std::string_view file, const OwnLimits& own, std::string_view service) {
  file_ = file;
  service_ = service;
  own_ = own;
  stop_ = Stop::kNone;
  stop_at_.clear();
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
  if (spent_ < static_cast<size_t>(std::max(instructions(), 1))) return;
  const LimitName name("instructions", own_.instructions.has_value(), service_);
  char text[256];
  std::snprintf(text, sizeof text, "more than %d instructions in one evaluation (%s)",
                instructions(), name.text);
  RaiseLimit(L, Stop::kInstructions, text);
}

// By wall clock, which is cheap to ask; but a machine that is busy elsewhere is not the policy's
// fault, so that only its own processor time counts in the end.
void Sandbox::CheckTime(lua_State* L) {
  const int64_t now = Now(CLOCK_MONOTONIC);
  const int64_t limit = std::chrono::nanoseconds(wall()).count();
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
  const LimitName name("wall", own_.wall.has_value(), service_);
  char text[256];
  std::snprintf(text, sizeof text, "more than %lld ms in one evaluation (%s)",
                static_cast<long long>(wall().count()), name.text);
  RaiseLimit(L, Stop::kWall, text);
}

LimitName::LimitName(const char* key, bool own, std::string_view service) {
  const int length = static_cast<int>(service.size());
  if (own) {
    std::snprintf(text, sizeof text, "limits.%s of service %.*s", key, length, service.data());
  } else {
    std::snprintf(text, sizeof text, "policy_limits.%s", key);
  }
}

void Sandbox::RaiseStateTooLarge(lua_State* L) const {
  const LimitName name("state", own_.state_bytes.has_value(), service_);
  PolicyError(L, "state is larger than %zu bytes (%s)", state_limit(), name.text);
}

void Sandbox::RaiseLimit(lua_State* L, Stop stop, const char* what) {
  const Place place = CurrentPlace(L);
  char text[512];
  std::snprintf(text, sizeof text, "%.*s:%d: %s", static_cast<int>(place.file.size()),
                place.file.data(), place.line, what);
  Raise(L, stop, text);
}

void Sandbox::Raise(lua_State* L, Stop stop, const char* text) {
  stop_ = stop;
  stop_text_.assign(text);
  stop_at_.clear();
  AppendPlace(stop_at_, UsersPlace(L));
  lua_sethook(L, Hook, LUA_MASKCOUNT, 1);  // whatever swallows the error meets it again
  lua_pushliteral(L, "stopped");
  lua_error(L);
  std::abort();
}

Place CurrentPlace(lua_State* L) { return FindPlace(L, ""); }

Place UsersPlace(lua_State* L) { return FindPlace(L, "=autoscale/"); }

void AppendPlace(std::string& out, const Place& place) {
  out.append(place.file);
  if (place.line <= 0) return;
  char number[16];
  std::snprintf(number, sizeof number, ":%d", place.line);
  out.append(number);
}

void PolicyError(lua_State* L, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const Place place = CurrentPlace(L);
  lua_pushlstring(L, place.file.data(), place.file.size());
  if (place.line > 0) {
    lua_pushfstring(L, "%s:%d: %s", lua_tostring(L, -1), place.line, text);
  } else {
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), text);
  }
  lua_error(L);
  std::abort();
}

}  // namespace autoscale
