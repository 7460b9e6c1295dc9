// The wall clock is set while the daemon runs, and ticks overrun.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <map>

#include "tests/fault/itself/itself.h"

namespace autoscale {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

// The daemon's wall clock, which a library preloaded into it bends.
class WallClock {
 public:
  explicit WallClock(const std::filesystem::path& file) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(int64_t)) != 0) std::abort();
    offset_ = static_cast<volatile int64_t*>(
        mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    close(fd);
    setenv("WALL_CLOCK_OFFSET", file.c_str(), 1);
    // Sanitizers wish to be the first library; the shim needs nothing of them.
    const char* options = std::getenv("ASAN_OPTIONS");
    setenv("ASAN_OPTIONS",
           (std::string(options == nullptr ? "" : options) + ":verify_asan_link_order=0").c_str(),
           1);
  }
  ~WallClock() { munmap(const_cast<int64_t*>(offset_), sizeof(int64_t)); }

  // Off by so much from now on.
  void Set(seconds offset) { *offset_ = std::chrono::nanoseconds(offset).count(); }

 private:
  volatile int64_t* offset_;
};

class TimeTest : public ItselfTest {
 protected:
  // Only the daemon is to see the clock bent.
  void Start() {
    setenv("LD_PRELOAD", BuiltProgram("tests/libwall_clock_shim.so").c_str(), 1);
    rig_.Start();
    unsetenv("LD_PRELOAD");
  }
  // Three instances that were four; no other may be taken away for an hour.
  void StartInCooldown() {
    Load(4);
    WriteWeb();
    const std::string yaml = ReadWhole(rig_.folder() / "services.d/web.yaml");
    const std::string from = "down: {stabilization: 0s, max_step_percent: 100}";
    ASSERT_NE(yaml.find(from), std::string::npos);
    rig_.Write("services.d/web.yaml",
               std::string(yaml).replace(yaml.find(from), from.size(),
                                         "down: {stabilization: 0s, cooldown: 1h}"));
    Start();
    AwaitSettled(4);
    Load(3);
    AwaitSettled(4);  // the scale-out to 4 binds already
  }
  // By how many seconds the daemon's time is ahead of the real one, as its last tick shows.
  double Ahead() {
    const nlohmann::json service = rig_.Service("web");
    const std::string text = service.is_object() ? service["last_tick"].get<std::string>() : "";
    tm utc{};
    if (strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc) == nullptr) return NAN;
    return std::difftime(timegm(&utc), time(nullptr));
  }
  void ExpectCooldownBinds() {
    ASSERT_TRUE(Eventually([&] {
      return bool{Says(rig_.Explain("web"), {"cooldown", "scale to 3"})};
    })) << rig_.Explain("web");
    AwaitMoreTicks(4);
    EXPECT_TRUE(rig_.Settled("web", 4)) << rig_.Explain("web");
  }

  WallClock wall_{rig_.folder() / "wall"};
};

// Forward would end the cooldown, back would stretch it; the daemon's time does neither.
TEST_F(TimeTest, SettingTheWallClockChangesNothingButOneLine) {
  StartInCooldown();
  ExpectCooldownBinds();
  const std::map<pid_t, int> before = rig_.Backends();
  for (const seconds jump : std::vector<seconds>{hours(1), -hours(1), hours(24)}) {
    wall_.Set(jump);
    ASSERT_TRUE(Eventually([&] {
      return std::abs(rig_.Metric("autoscaled_clock_offset_seconds") +
                      static_cast<double>(jump.count())) < 60;
    })) << rig_.Metric("autoscaled_clock_offset_seconds");
    ExpectCooldownBinds();
    EXPECT_LT(std::abs(Ahead()), 60) << jump.count();
    EXPECT_EQ(rig_.Backends(), before);
    EXPECT_EQ(rig_.Get("/healthz").status, 200);
  }
  const std::string log = rig_.daemon().Errors();
  const std::string line = "the wall clock was set";
  EXPECT_EQ(log.find(line), log.rfind(line)) << "told more than once";
  EXPECT_NE(log.find(line), std::string::npos);

  wall_.Set(seconds(0));
  AwaitLog({"the daemon's time is that of the wall clock again"});
  Load(5);
  AwaitSettled(5);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_stopped_total"), 0);
}

TEST_F(TimeTest, ARestartAfterTheWallClockWentBackGoesOnFromTheStoredTime) {
  StartInCooldown();
  ExpectCooldownBinds();
  const std::map<pid_t, int> before = rig_.Backends();
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  wall_.Set(-hours(2));
  Start();
  ExpectCooldownBinds();
  EXPECT_LT(std::abs(Ahead()), 60);
  EXPECT_GT(rig_.Metric("autoscaled_clock_offset_seconds"), 7000);
  AwaitLog({"the wall clock was set"});
  EXPECT_EQ(rig_.Backends(), before);
  Load(5);
  AwaitSettled(5);
}

// A stopped worker costs a tick more time than it has.
TEST_F(TimeTest, ATickThatOverrunsIsSkippedNotStacked) {
  StartWith(2);
  AwaitMoreTicks(2);
  const double skipped = rig_.Metric("autoscaled_ticks_skipped_total");
  SignalWorker(SIGSTOP);
  ASSERT_TRUE(
      Eventually([&] { return rig_.Metric("autoscaled_ticks_skipped_total") >= skipped + 3; }));
  const double ticks = Ticks(), queries = rig_.Metric("autoscaled_queries_total");
  AwaitMoreTicks(4);
  // One question a tick: those that were skipped are not made up for.
  EXPECT_LE(rig_.Metric("autoscaled_queries_total") - queries, Ticks() - ticks + 2);
  Load(3);
  AwaitSettled(3);
}

}  // namespace
}  // namespace autoscale
