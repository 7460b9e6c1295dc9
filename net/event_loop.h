// EventLoop: the one I/O thread. Everything that waits for the outside (HTTP, health checks,
// pidfds) runs on it; everything that decides runs elsewhere and talks to it through Post.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/model/result.h"
#include "engine/model/time.h"

namespace autoscale {

class EventLoop {
 public:
  using TimerId = uint64_t;
  using Task = std::function<void()>;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs until Stop. The calling thread becomes the loop's thread.
  void Run();
  // From any thread or a signal-safe context of the loop; Run returns after the current task.
  void Stop();
  // Runs the task on the loop's thread, after those posted before. From any thread.
  void Post(Task task);

  // The rest: on the loop's thread only (or before Run).
  // Runs the task once after the delay; Cancel of an id that has run or is unknown does nothing.
  TimerId After(Millis delay, Task task);
  void Cancel(TimerId id);
  // Calls back with the epoll events that occurred. A second Watch of an fd replaces the first.
  // The caller owns the fd and calls Unwatch before closing it.
  void Watch(int fd, uint32_t epoll_events, std::function<void(uint32_t)> on_event);
  void Unwatch(int fd);
  [[nodiscard]] bool InLoopThread() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
