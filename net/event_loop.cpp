#include "net/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_map>

namespace autoscale {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr int kEventsPerWait = 64;  // more wait for the next round; timers get their turn between

// An epoll event carries the fd and the watch's generation, so that an event that was already
// fetched does not reach a later watch of a reused fd.
struct Watched {
  uint32_t generation = 0;
  std::function<void(uint32_t)> on_event;
};

uint64_t Token(int fd, uint32_t generation) {
  return uint64_t{generation} << 32 | static_cast<uint32_t>(fd);
}

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

}  // namespace

struct EventLoop::State {
  int epoll = -1;
  int wakeup = -1;
  std::atomic<bool> stop{false};
  std::atomic<std::thread::id> thread{};

  std::mutex mutex;  // of `posted` only; all else belongs to the loop's thread
  std::deque<Task> posted;

  std::map<std::pair<SteadyTime, TimerId>, Task> timers;  // in the order they are due
  std::unordered_map<TimerId, SteadyTime> due;
  TimerId last_timer = 0;

  std::unordered_map<int, std::shared_ptr<Watched>> watched;
  uint32_t last_generation = 0;

  void Wake() const {
    const uint64_t one = 1;
    // Fails only when the counter is full, and then the loop wakes anyway.
    [[maybe_unused]] const ssize_t n = ::write(wakeup, &one, sizeof one);
  }
  int WaitMillis() const;
  void Dispatch(std::span<const epoll_event> events);
  void RunPosted();
  void RunTimers();
};

int EventLoop::State::WaitMillis() const {
  if (timers.empty()) return -1;
  const auto left = timers.begin()->first.first - std::chrono::steady_clock::now();
  const int64_t ms = std::chrono::ceil<Millis>(left).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, INT_MAX));
}

void EventLoop::State::Dispatch(std::span<const epoll_event> events) {
  for (const epoll_event& event : events) {
    const int fd = static_cast<int>(event.data.u64 & UINT32_MAX);
    if (fd == wakeup) {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t n = ::read(wakeup, &count, sizeof count);
      continue;
    }
    const auto it = watched.find(fd);
    if (it == watched.end() || Token(fd, it->second->generation) != event.data.u64) continue;
    const auto keep = it->second;  // the callback may unwatch itself
    keep->on_event(event.events);
    if (stop) return;
  }
}

void EventLoop::State::RunPosted() {
  size_t left = SIZE_MAX;  // tasks that these tasks post wait for the next round
  while (left > 0 && !stop) {
    Task task;
    {
      const std::lock_guard lock(mutex);
      left = std::min(left, posted.size());
      if (left == 0) return;
      task = std::move(posted.front());
      posted.pop_front();
      if (--left == 0 && !posted.empty()) Wake();  // Post wakes only for the first
    }
    task();
  }
}

void EventLoop::State::RunTimers() {
  // Taken once: a timer that a timer sets is due later than this, and waits for the next round.
  const SteadyTime now = std::chrono::steady_clock::now();
  while (!stop && !timers.empty() && timers.begin()->first.first <= now) {
    const auto due_now = timers.extract(timers.begin());
    due.erase(due_now.key().second);
    due_now.mapped()();
  }
}

EventLoop::EventLoop() : state_(std::make_unique<State>()) {
  state_->epoll = ::epoll_create1(EPOLL_CLOEXEC);
  state_->wakeup = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (state_->epoll < 0 || state_->wakeup < 0) Die("event loop: cannot open its descriptors");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = Token(state_->wakeup, 0)}};
  if (::epoll_ctl(state_->epoll, EPOLL_CTL_ADD, state_->wakeup, &event) != 0) {
    Die("event loop: epoll_ctl");
  }
}

EventLoop::~EventLoop() {
  // What is dropped may own objects that still unwatch and cancel, so the tables outlive it.
  const auto watched = std::move(state_->watched);
  const auto timers = std::move(state_->timers);
  std::deque<Task> posted;
  {
    const std::lock_guard lock(state_->mutex);
    posted.swap(state_->posted);
  }
  state_->watched.clear();
  state_->timers.clear();
  ::close(state_->epoll);
  ::close(state_->wakeup);
  state_->epoll = state_->wakeup = -1;
}

void EventLoop::Run() {
  state_->thread = std::this_thread::get_id();
  state_->Wake();  // an earlier Run may have left tasks
  std::array<epoll_event, kEventsPerWait> events;
  while (!state_->stop) {
    const int n = ::epoll_wait(state_->epoll, events.data(), kEventsPerWait, state_->WaitMillis());
    if (n < 0 && errno != EINTR) Die("event loop: epoll_wait");
    state_->Dispatch(std::span(events.data(), static_cast<size_t>(std::max(n, 0))));
    if (!state_->stop) state_->RunPosted();
    if (!state_->stop) state_->RunTimers();
  }
  state_->stop = false;  // consumed: the loop may run again
  state_->thread = std::thread::id();
}

void EventLoop::Stop() {
  state_->stop = true;
  state_->Wake();
}

void EventLoop::Post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(state_->mutex);
    first = state_->posted.empty();
    state_->posted.push_back(std::move(task));
  }
  if (first) state_->Wake();
}

EventLoop::TimerId EventLoop::After(Millis delay, Task task) {
  const SteadyTime when = std::chrono::steady_clock::now() + std::max(delay, Millis(0));
  const TimerId id = ++state_->last_timer;
  state_->timers.emplace(std::pair(when, id), std::move(task));
  state_->due.emplace(id, when);
  return id;
}

void EventLoop::Cancel(TimerId id) {
  const auto it = state_->due.find(id);
  if (it == state_->due.end()) return;
  // The task is destroyed last: its captures may cancel in turn.
  const auto task = state_->timers.extract({it->second, id});
  state_->due.erase(it);
}

void EventLoop::Watch(int fd, uint32_t epoll_events, std::function<void(uint32_t)> on_event) {
  const uint32_t generation = ++state_->last_generation;
  auto& slot = state_->watched[fd];
  const auto replaced = std::move(slot);
  slot = std::make_shared<Watched>(Watched{generation, std::move(on_event)});
  epoll_event event{.events = epoll_events, .data = {.u64 = Token(fd, generation)}};
  if (::epoll_ctl(state_->epoll, EPOLL_CTL_MOD, fd, &event) == 0) return;
  // Not there yet, or closed without Unwatch and reused since.
  if (errno == ENOENT && ::epoll_ctl(state_->epoll, EPOLL_CTL_ADD, fd, &event) == 0) return;
  Die("event loop: epoll_ctl");  // not a descriptor that can be waited for: a bug
}

void EventLoop::Unwatch(int fd) {
  const auto it = state_->watched.find(fd);
  if (it == state_->watched.end()) return;
  const auto removed = std::move(it->second);
  state_->watched.erase(it);
  ::epoll_ctl(state_->epoll, EPOLL_CTL_DEL, fd, nullptr);
}

bool EventLoop::InLoopThread() const { return state_->thread == std::this_thread::get_id(); }

}  // namespace autoscale
