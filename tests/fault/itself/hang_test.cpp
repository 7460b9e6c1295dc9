// The thread that decides hangs, as in a disk that does not answer, and all others go on.
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "tests/fault/itself/itself.h"
#include "tests/fault/itself/supervisor.h"

namespace autoscale {
namespace {

// Stops the first thread of a child of ours, which is the one that ticks, and no other.
class Hang {
 public:
  explicit Hang(pid_t pid) : pid_(pid) {
    if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return;
    seized_ = true;
    ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
    int status = 0;
    stopped_ =
        Eventually([&] { return waitpid(pid, &status, WNOHANG) == pid; }) && WIFSTOPPED(status);
  }
  ~Hang() { End(); }
  Hang(const Hang&) = delete;
  Hang& operator=(const Hang&) = delete;

  [[nodiscard]] bool stopped() const { return stopped_; }
  void End() {
    if (std::exchange(seized_, false)) ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
  }

 private:
  const pid_t pid_;
  bool seized_ = false, stopped_ = false;
};

class HangTest : public ItselfTest {
 protected:
  // Beats come twice as often as asked.
  static constexpr std::chrono::milliseconds kWatchdog{1000 * kSlower};

  HangTest() {
    rig_.RunUnder({"/usr/bin/env", "NOTIFY_SOCKET=" + Socket(),
                   "WATCHDOG_USEC=" + std::to_string(kWatchdog / std::chrono::microseconds(1))});
  }
  std::string Socket() const { return rig_.folder() / "notify"; }

  Supervisor supervisor_{Socket()};
};

TEST_F(HangTest, SystemdAndHealthzSeeIt) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const std::vector<std::string> news = supervisor_.News();
  ASSERT_FALSE(news.empty());
  EXPECT_TRUE(news.front().starts_with("READY=1\n")) << news.front();
  const auto began = std::chrono::steady_clock::now();
  int beats = 0;
  ASSERT_TRUE(Eventually([&] { return (beats += supervisor_.Beats()) >= 6; }));
  EXPECT_LE(beats, (std::chrono::steady_clock::now() - began) / (kWatchdog / 2) + 2)
      << "more than were asked for";

  Hang hang(rig_.daemon().pid());
  if (!hang.stopped()) GTEST_SKIP() << "this test may not stop a thread of its child";
  (void)supervisor_.Beats();
  const HttpProbe::Answer health = rig_.Get("/healthz");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.body, "the daemon is busy and did not answer within 5s\n");
  EXPECT_EQ(supervisor_.Beats(), 0) << "systemd would never restart it";
  EXPECT_EQ(rig_.BackendPids(), before);

  hang.End();
  ASSERT_TRUE(Eventually([&] { return rig_.Get("/healthz").status == 200; }));
  ASSERT_TRUE(Eventually([&] { return supervisor_.Beats() > 0; }));
  ExpectWell(before, 3);
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  EXPECT_TRUE(Eventually([&] {
    const std::vector<std::string> last = supervisor_.News();
    return !last.empty() && last.back() == "STOPPING=1";
  }));
}

TEST_F(HangTest, SigtermEndsItAllTheSame) {
  StartWith(2);
  const std::map<pid_t, int> before = rig_.Backends();
  const Hang hang(rig_.daemon().pid());
  if (!hang.stopped()) GTEST_SKIP() << "this test may not stop a thread of its child";
  rig_.daemon().Signal(SIGTERM);
  EXPECT_EQ(rig_.daemon().Wait(), 0);
  EXPECT_TRUE(Says(rig_.daemon().Errors(), {"something hangs; left without it"}));
  EXPECT_EQ(rig_.Backends(), before);
  rig_.Start();
  AwaitSettled(2);
  EXPECT_EQ(rig_.Backends(), before);
}

}  // namespace
}  // namespace autoscale
