#include "net/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace autoscale {
namespace {

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] int reader() const { return ends_[0]; }
  [[nodiscard]] int writer() const { return ends_[1]; }
  void Write() const { EXPECT_EQ(::write(writer(), "x", 1), 1); }
  void Read() const {
    char c = 0;
    EXPECT_EQ(::read(reader(), &c, 1), 1);
  }

 private:
  std::array<int, 2> ends_{};
};

TEST(EventLoop, RunsPostedTasksInOrder) {
  EventLoop loop;
  std::string order;
  loop.Post([&] { order += 'a'; });
  loop.Post([&] {
    order += 'b';
    loop.Post([&] {
      order += 'd';
      loop.Stop();
    });
  });
  loop.Post([&] { order += 'c'; });
  loop.Run();
  EXPECT_EQ(order, "abcd");
}

TEST(EventLoop, RunsTasksPostedByManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kEach = 2000;
  EventLoop loop;
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop.Post([&, t, i] {
          seen[t].push_back(i);
          if (++total == kThreads * kEach) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int>& one : seen) {
    ASSERT_EQ(one.size(), static_cast<size_t>(kEach));
    EXPECT_TRUE(std::is_sorted(one.begin(), one.end()));  // a thread's own posts keep their order
  }
}

TEST(EventLoop, StopFromAnotherThreadWakesAWaitingLoop) {
  EventLoop loop;
  std::promise<void> running;
  loop.Post([&] { running.set_value(); });
  std::thread other([&] {
    running.get_future().wait();
    loop.Stop();
  });
  loop.Run();
  other.join();
}

TEST(EventLoop, StopLeavesTheRestForTheNextRun) {
  EventLoop loop;
  std::string order;
  loop.Post([&] {
    order += 'a';
    loop.Stop();
  });
  loop.Post([&] {
    order += 'b';
    loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(order, "a");
  loop.Run();
  EXPECT_EQ(order, "ab");
}

TEST(EventLoop, StopBeforeRunReturnsAtOnce) {
  EventLoop loop;
  loop.Post([] { FAIL() << "must not run"; });
  loop.Stop();
  loop.Run();
}

TEST(EventLoop, KnowsItsThread) {
  EventLoop loop;
  EXPECT_FALSE(loop.InLoopThread());
  bool inside = false;
  bool elsewhere = true;
  loop.Post([&] {
    inside = loop.InLoopThread();
    std::thread([&] { elsewhere = loop.InLoopThread(); }).join();
    loop.Stop();
  });
  loop.Run();
  EXPECT_TRUE(inside);
  EXPECT_FALSE(elsewhere);
  EXPECT_FALSE(loop.InLoopThread());
}

TEST(EventLoop, TimersRunWhenDueAndEqualOnesInTheirOrder) {
  EventLoop loop;
  std::string order;
  loop.After(Millis(20), [&] {
    order += 'd';
    loop.Stop();
  });
  loop.After(Millis(5), [&] { order += 'c'; });
  loop.After(Millis(0), [&] { order += 'a'; });
  loop.After(Millis(-5), [&] { order += 'b'; });  // counts as now
  loop.Run();
  EXPECT_EQ(order, "abcd");
}

TEST(EventLoop, ATimerNeverRunsEarly) {
  EventLoop loop;
  const auto start = std::chrono::steady_clock::now();
  loop.After(Millis(7), [&] { loop.Stop(); });
  loop.Run();
  EXPECT_GE(std::chrono::steady_clock::now() - start, Millis(7));
}

TEST(EventLoop, CancelledTimersDoNotRun) {
  EventLoop loop;
  EventLoop::TimerId second = 0;
  loop.After(Millis(0), [&] { loop.Cancel(second); });  // due together, and still in time
  second = loop.After(Millis(0), [] { FAIL() << "cancelled"; });
  const EventLoop::TimerId ran = loop.After(Millis(1), [] {});
  loop.After(Millis(5), [&] {
    loop.Cancel(ran);
    loop.Cancel(123456);
    loop.Stop();
  });
  loop.Run();
}

TEST(EventLoop, ATimerThatSetsItselfDoesNotStarvePosts) {
  EventLoop loop;
  bool stopped = false;
  std::function<void()> again = [&] {
    if (!stopped) loop.After(Millis(0), again);
  };
  loop.After(Millis(0), again);
  loop.After(Millis(1), [&] {
    loop.Post([&] {
      stopped = true;
      loop.Stop();
    });
  });
  loop.Run();
  EXPECT_TRUE(stopped);
}

TEST(EventLoop, ReportsReadableDescriptors) {
  EventLoop loop;
  const Pipe pipe;
  int events = 0;
  loop.Watch(pipe.reader(), EPOLLIN, [&](uint32_t occurred) {
    EXPECT_TRUE((occurred & EPOLLIN) != 0);
    pipe.Read();
    if (++events == 2) return loop.Stop();
    pipe.Write();
  });
  loop.Post([&] { pipe.Write(); });
  loop.Run();
  EXPECT_EQ(events, 2);
  loop.Unwatch(pipe.reader());
}

TEST(EventLoop, ASecondWatchReplacesTheFirst) {
  EventLoop loop;
  const Pipe pipe;
  loop.Watch(pipe.writer(), EPOLLOUT, [](uint32_t) { FAIL() << "replaced"; });
  loop.Watch(pipe.writer(), EPOLLOUT, [&](uint32_t) { loop.Stop(); });
  loop.Run();
  loop.Unwatch(pipe.writer());
}

TEST(EventLoop, AWatchMayEndItselfAndOthersOfTheSameRound) {
  EventLoop loop;
  const Pipe first;
  const Pipe second;
  int events = 0;
  const auto end_both = [&](uint32_t) {
    ++events;
    loop.Unwatch(first.writer());
    loop.Unwatch(second.writer());
    loop.After(Millis(2), [&] { loop.Stop(); });
  };
  loop.Watch(first.writer(), EPOLLOUT, end_both);
  loop.Watch(second.writer(), EPOLLOUT, end_both);
  loop.Run();
  EXPECT_EQ(events, 1);
}

TEST(EventLoop, AnEventOfAClosedDescriptorDoesNotReachItsSuccessor) {
  EventLoop loop;
  const Pipe first;
  const Pipe second;
  bool replaced = false;
  const auto replace = [&](int other) {
    return [&loop, &replaced, other](uint32_t) {
      if (replaced) return;
      replaced = true;
      // The other's event of this round is on its way already.
      loop.Unwatch(other);
      loop.Watch(other, 0, [](uint32_t) { FAIL() << "an event of the watch before"; });
      loop.After(Millis(2), [&loop] { loop.Stop(); });
    };
  };
  loop.Watch(first.writer(), EPOLLOUT, replace(second.writer()));
  loop.Watch(second.writer(), EPOLLOUT, replace(first.writer()));
  loop.Run();
  EXPECT_TRUE(replaced);
}

TEST(EventLoop, DropsWhatIsLeftWhenDestroyed) {
  const auto owned = std::make_shared<int>(1);
  {
    EventLoop loop;
    loop.Post([owned] { FAIL() << "never run"; });
    loop.After(Millis(0), [owned] { FAIL() << "never run"; });
    EXPECT_EQ(owned.use_count(), 3);
  }
  EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
}  // namespace autoscale
