// Courier: carries work between the tick thread, which decides, and the loop's thread, which does
// all calls out. Values cross; nothing is shared.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "daemon/clock.h"
#include "net/event_loop.h"

namespace autoscale {

class Courier {
 public:
  using Task = std::function<void()>;
  virtual ~Courier() = default;
  // Runs the task on the loop's thread / on the tick thread, each in the order given. Any thread.
  virtual void ToLoop(Task task) = 0;
  virtual void ToTick(Task task) = 0;
};

// The tick thread's end of the line.
class Inbox {
 public:
  void Post(Courier::Task task) {
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    arrived_.notify_one();
  }

  // Waits until something has arrived or the time has passed, then runs all that is there.
  void RunFor(Millis patience) {
    std::vector<Courier::Task> tasks;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait_for(lock, patience, [this] { return !tasks_.empty(); });
      tasks.swap(tasks_);
    }
    for (Courier::Task& task : tasks) task();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Courier::Task> tasks_;
};

class ThreadCourier final : public Courier {
 public:
  ThreadCourier(EventLoop& loop, Inbox& inbox) : loop_(loop), inbox_(inbox) {}
  void ToLoop(Task task) override { loop_.Post(std::move(task)); }
  void ToTick(Task task) override { inbox_.Post(std::move(task)); }

 private:
  EventLoop& loop_;
  Inbox& inbox_;
};

}  // namespace autoscale
