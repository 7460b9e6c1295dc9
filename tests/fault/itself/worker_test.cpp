// The policy worker is killed, stopped, starved, or not there any more.
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/fault/itself/itself.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

class WorkerTest : public ItselfTest {
 protected:
  // Bounds the present worker alone.
  void Limit(__rlimit_resource resource, rlim_t value) {
    rlimit limit{.rlim_cur = value, .rlim_max = value};
    const pid_t worker = rig_.Worker();
    ASSERT_GT(worker, 1);  // 0 would be this test
    ASSERT_EQ(prlimit(worker, resource, &limit, nullptr), 0);
  }
  double Restarts() { return rig_.Metric("autoscaled_worker_restarts_total"); }
};

// As the kernel does it when memory is out.
TEST_F(WorkerTest, KilledAgainAndAgainItIsReplacedAndTheFleetHolds) {
  StartWith(3);
  const std::set<pid_t> before = rig_.BackendPids();
  for (int killed = 1; killed <= 10; ++killed) {
    SignalWorker(SIGKILL);
    ASSERT_TRUE(Eventually([&] { return Restarts() >= killed; }));
  }
  // Before it is of use, too.
  for (int i = 0; i < 10; ++i) {
    const pid_t worker = SignalWorker(SIGKILL);
    ASSERT_TRUE(Eventually([&] { return rig_.Worker() != worker; }));
  }
  AwaitLog({"the policy worker was lost; another one takes its place"});
  EXPECT_EQ(rig_.Metric("autoscaled_decisions_in_total"), 0);
  ExpectWell(before, 4);
}

TEST_F(WorkerTest, StoppedItIsReplaced) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const pid_t worker = SignalWorker(SIGSTOP);
  ASSERT_TRUE(Eventually([&] { return Restarts() >= 1; }));
  EXPECT_NE(rig_.Worker(), worker);
  AwaitLog({"it did not run: stopped, or starved"});
  ExpectWell(before, 3);
}

TEST_F(WorkerTest, WithoutMemoryItHoldsOrIsReplaced) {
  Load(2);
  // Memory in proportion to the load.
  rig_.WriteService("web",
                    "local load = metric(\"load\").value\n"
                    "local ballast = string.rep(\"x\", load * 100000)\n"
                    "return scale_to(load, \"with \" .. #ballast)\n");
  rig_.Start();
  AwaitSettled(2);
  const std::set<pid_t> before = rig_.BackendPids();
  Limit(RLIMIT_AS, 1 << 20);  // less than it has: not a page more
  Load(4);
  // It holds and says so, or has ended and is replaced by one without this bound.
  ASSERT_TRUE(Eventually([&] {
    return Restarts() >= 1 || rig_.Settled("web", 4) ||
           rig_.Metric("autoscaled_policy_faults_total") >= 1;
  }));
  SignalWorker(SIGKILL);
  ExpectWell(before, 4);
}

TEST_F(WorkerTest, WithoutDescriptorsItGoesOn) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  Limit(RLIMIT_NOFILE, 0);
  ExpectWell(before, 3);
  EXPECT_EQ(Restarts(), 0);
}

// An upgrade gone wrong: the daemon runs, and its helper is not there when it is needed.
TEST_F(WorkerTest, MissingItMeansHoldAndATraceOfWhy) {
  rig_.CopyPrograms();
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const auto there = rig_.folder() / "libexec/autoscaled/autoscaled-policy-worker";
  const auto away = rig_.folder() / "away";
  const pid_t worker = rig_.Worker();
  ASSERT_GT(worker, 1);
  std::filesystem::rename(there, away);
  SignalOne(worker, SIGKILL);
  Load(1);
  ASSERT_TRUE(Eventually([&] {
    return bool{Says(rig_.Explain("web"), {"cannot start", "is it installed beside autoscaled"})};
  })) << rig_.Explain("web");
  AwaitMoreTicks(4);
  EXPECT_EQ(rig_.BackendPids(), before);
  EXPECT_EQ(rig_.Metric("autoscaled_service_problem{service=\"web\"}"), 1);
  std::filesystem::rename(away, there);
  ExpectWell(before, 3);
}

}  // namespace
}  // namespace autoscale
