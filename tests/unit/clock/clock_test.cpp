#include "daemon/clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

namespace autoscale {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr TimePoint kStart = TimePoint(seconds(1'780'000'000));

// A machine's clocks, and the daemon's time on it.
class Machine {
 public:
  explicit Machine(TimePoint floor = {}) : time_(reading_, floor), last_(time_.At(reading_)) {}

  // Time passes, with a look every `step`; a suspend is a single one.
  void Pass(nanoseconds span, nanoseconds step = Millis(250)) {
    for (nanoseconds left = span; left > nanoseconds(0); left -= step) {
      const nanoseconds one = std::min(left, step);
      reading_.boot += one;
      reading_.wall += one;
      const TimePoint now = time_.At(reading_);
      ASSERT_GE(now, last_) << "went back";
      last_ = now;
    }
  }
  void Suspend(nanoseconds span) { Pass(span, span); }
  // Somebody sets the wall clock.
  void Set(nanoseconds by) { reading_.wall += by; }

  [[nodiscard]] TimePoint now() const { return last_; }
  [[nodiscard]] TimePoint wall() const {
    return TimePoint(std::chrono::floor<Millis>(reading_.wall));
  }
  [[nodiscard]] Millis offset() const { return time_.Offset(); }

 private:
  ClockReading reading_{.boot = hours(5), .wall = kStart.time_since_epoch()};
  SlewedTime time_;
  TimePoint last_;
};

TEST(SlewedTimeTest, FollowsTheWallClockThatNobodySets) {
  Machine machine;
  EXPECT_EQ(machine.now(), kStart);
  machine.Pass(hours(1));
  EXPECT_EQ(machine.now(), kStart + hours(1));
  EXPECT_EQ(machine.offset(), Millis(0));
}

// Whatever happens to the wall clock, a window of ten minutes lasts that long but for 5 %.
TEST(SlewedTimeTest, AJumpOfAnySizeNeverShowsInIt) {
  for (const nanoseconds jump : std::vector<nanoseconds>{seconds(1), seconds(-1), hours(1),
                                                         hours(-1), days(365), days(-365)}) {
    Machine machine;
    machine.Pass(minutes(1));
    const TimePoint before = machine.now();
    machine.Set(jump);
    machine.Pass(Millis(1));
    EXPECT_LE(machine.now() - before, Millis(2)) << jump.count();
    machine.Pass(minutes(10));
    EXPECT_LE(machine.now() - before, minutes(10) + seconds(30) + Millis(2)) << jump.count();
    EXPECT_GE(machine.now() - before, minutes(10) - seconds(30)) << jump.count();
  }
}

TEST(SlewedTimeTest, AMinutesCorrectionIsMadeUpForInTwenty) {
  for (const int sign : {1, -1}) {
    Machine machine;
    machine.Set(sign * minutes(1));
    machine.Pass(minutes(10));
    EXPECT_NEAR(ToSeconds(machine.offset()), -sign * 30, 0.01);
    machine.Pass(minutes(10) + seconds(1));
    EXPECT_EQ(machine.now(), machine.wall());
    machine.Pass(minutes(10));
    EXPECT_EQ(machine.now(), machine.wall());  // and it stays there
  }
}

TEST(SlewedTimeTest, ASuspendIsTimeThatHasPassed) {
  Machine machine;
  machine.Pass(minutes(1));
  machine.Suspend(hours(8));
  EXPECT_EQ(machine.now(), kStart + hours(8) + minutes(1));
  EXPECT_EQ(machine.offset(), Millis(0));
}

TEST(SlewedTimeTest, NeverStartsBeforeWhatWasPersisted) {
  Machine machine(kStart + hours(1));
  EXPECT_EQ(machine.now(), kStart + hours(1));
  EXPECT_EQ(machine.offset(), hours(1));
  machine.Pass(minutes(20));
  EXPECT_EQ(machine.now(), kStart + hours(1) + minutes(19));
  machine.Pass(hours(20));
  EXPECT_EQ(machine.now(), machine.wall());

  Machine later(kStart - hours(1));
  EXPECT_EQ(later.now(), kStart);
}

TEST(SlewedTimeTest, StandsStillForAReadingOutOfOrder) {
  const ClockReading first{.boot = hours(5), .wall = kStart.time_since_epoch()};
  SlewedTime time(first, {});
  EXPECT_EQ(time.At({.boot = hours(4), .wall = first.wall - hours(1)}), kStart);
}

// UTC has no summer time: the night of 2026-10-25 in Berlin has 25 hours, of which none is missing
// or there twice.
TEST(SlewedTimeTest, SummerTimeIsNobodysBusiness) {
  const char* const before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  setenv("TZ", "Europe/Berlin", 1);
  tzset();
  const TimePoint midnight = std::chrono::sys_days(std::chrono::year(2026) / 10 / 25);
  SlewedTime time({.boot = hours(1), .wall = midnight.time_since_epoch()}, {});
  TimePoint now = midnight;
  for (int minute = 1; minute <= 240; ++minute) {
    const TimePoint wall = midnight + minutes(minute);
    const TimePoint next =
        time.At({.boot = hours(1) + minutes(minute), .wall = wall.time_since_epoch()});
    EXPECT_EQ(next - now, minutes(1));
    now = next;
  }
  EXPECT_EQ(time.Offset(), Millis(0));
  const auto utc = std::chrono::system_clock::now();
  EXPECT_LT(std::chrono::abs(SteadyClock({}).Now() - utc), minutes(1));
  if (before == nullptr) {
    unsetenv("TZ");
  } else {
    setenv("TZ", kept.c_str(), 1);
  }
  tzset();
}

TEST(SteadyClockTest, NeverGoesBackOnAnyThread) {
  const TimePoint floor = std::chrono::floor<Millis>(std::chrono::system_clock::now()) + hours(1);
  const SteadyClock clock(floor);
  std::vector<std::thread> threads;
  std::vector<int> backwards(4, 0);
  for (int& count : backwards) {
    threads.emplace_back([&clock, &count, floor] {
      TimePoint last = floor;
      for (int i = 0; i < 20'000; ++i) {
        const TimePoint now = clock.Now();
        if (now < last) ++count;
        last = now;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(backwards, std::vector<int>(4, 0));
  EXPECT_GT(clock.Offset(), minutes(59));
}

TEST(OffsetWatchTest, TellsOnceThatItBeginsAndOnceThatItEnds) {
  using News = OffsetWatch::News;
  OffsetWatch watch;
  EXPECT_EQ(watch.Take(seconds(5)), News::kNone);
  EXPECT_EQ(watch.Take(seconds(-6)), News::kBegins);
  EXPECT_EQ(watch.Take(seconds(-7)), News::kNone);
  EXPECT_EQ(watch.Take(seconds(-2)), News::kNone);
  EXPECT_EQ(watch.Take(Millis(-900)), News::kEnds);
  EXPECT_EQ(watch.Take(Millis(-900)), News::kNone);
  EXPECT_EQ(watch.Take(seconds(6)), News::kBegins);
}

}  // namespace
}  // namespace autoscale
