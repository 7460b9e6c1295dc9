// The daemon is out of file descriptors.
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <thread>

#include "tests/fault/itself/itself.h"

namespace autoscale {
namespace {

class DescriptorsTest : public ItselfTest {
 protected:
  // Not one descriptor more, or as many as before. What is freed meanwhile lowers the limit again:
  // a single free number would let every caller in, one after the other.
  void Exhaust() {
    rlim_t limit = LowestFree();
    int looks_alike = 0;
    ASSERT_TRUE(Eventually([&] {
      Limit(limit);
      const rlim_t lowest = LowestFree();
      looks_alike = lowest < limit ? 0 : looks_alike + 1;
      limit = std::min(limit, lowest);
      return looks_alike == 10;
    })) << "it frees one descriptor after the other";
  }
  void Relieve() { Limit(4096); }

 private:
  rlim_t LowestFree() {
    const std::filesystem::path open = "/proc/" + std::to_string(rig_.daemon().pid()) + "/fd";
    rlim_t lowest = 0;
    while (std::filesystem::is_symlink(open / std::to_string(lowest))) ++lowest;
    return lowest;
  }
  void Limit(rlim_t count) {
    rlimit limit{};
    ASSERT_EQ(prlimit(rig_.daemon().pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
    limit.rlim_cur = std::min(count, limit.rlim_max);
    ASSERT_EQ(prlimit(rig_.daemon().pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
  }
};

// Everything that needs one fails: health checks, starts, scrapes, calls of autoscalectl. Nobody is
// judged by it, and everything works again as soon as there are some.
TEST_F(DescriptorsTest, OutOfThemItHoldsTellsAndRecovers) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  Exhaust();
  Load(4);  // the connection to Prometheus is there: it is decided, and cannot be done
  ASSERT_TRUE(Eventually([&] {
    const std::string log = rig_.daemon().Errors();
    return log.find("out of file descriptors") != std::string::npos ||
           log.find("Too many open files") != std::string::npos ||
           log.find("could not write to") != std::string::npos;  // the launcher, which inherits it
  })) << rig_.daemon().Errors();
  // Its listeners are knocked at meanwhile, and the health checks are due several times over.
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) callers.emplace_back([&] { (void)rig_.Get("/metrics"); });
  Child ctl(
      {BuiltProgram("bin/autoscalectl"), "--socket", rig_.folder() / "control.sock", "status"},
      rig_.folder() / "output/knocks");
  const double busy = FiguresOf(rig_.daemon().pid()).cpu_seconds;
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_LT(FiguresOf(rig_.daemon().pid()).cpu_seconds - busy, 1.0) << "it spins";
  const std::string log = rig_.daemon().Errors();
  EXPECT_EQ(log.find("is replaced"), std::string::npos) << log;
  EXPECT_EQ(log.find("health check"), std::string::npos) << log;
  EXPECT_TRUE(std::ranges::includes(rig_.BackendPids(), before));

  Relieve();
  for (std::thread& caller : callers) caller.join();
  ExpectWell(before, 4);
  EXPECT_EQ(rig_.Ctl({"status"}).code, 0);
}

TEST_F(DescriptorsTest, AWorkerThatEndsMeanwhileIsReplacedAfterwards) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  Exhaust();
  SignalWorker(SIGKILL);
  AwaitLog({"not evaluated", "Too many open files"});
  EXPECT_EQ(rig_.BackendPids(), before);
  Relieve();
  ExpectWell(before, 3);
}

}  // namespace
}  // namespace autoscale
