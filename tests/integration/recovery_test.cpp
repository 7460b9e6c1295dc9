// What the daemon does when something around it, or it itself, ends.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "tests/integration/daemon_rig.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

class RecoveryTest : public testing::Test {
 protected:
  void SetUp() override {
    rig_.WriteService("web",
                      "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
  }
  void Load(double value) { rig_.prometheus().Set("load", "web", value); }
  void StartWith(int instances) {
    Load(instances);
    rig_.Start();
    AwaitSettled(instances);
  }
  void AwaitSettled(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); }))
        << rig_.Ctl({"status", "web"}).out << rig_.Explain("web");
  }
  void AwaitMoreTicks(int count) {
    const double until = rig_.Metric("autoscaled_ticks_total") + count;
    ASSERT_TRUE(Eventually([&] { return rig_.Metric("autoscaled_ticks_total") >= until; }));
  }

  DaemonRig rig_;
};

TEST_F(RecoveryTest, HoldsWhilePrometheusIsDead) {
  StartWith(3);
  const std::set<pid_t> before = rig_.BackendPids();
  rig_.prometheus().Stop();
  Load(1);
  ASSERT_TRUE(Eventually([&] {
    const std::string text = rig_.Explain("web");
    return text.find("error") != std::string::npos &&
           text.find("why nothing changed") != std::string::npos;
  })) << rig_.Explain("web");
  EXPECT_TRUE(Says(rig_.Explain("web"), {"hold", "load"}));
  AwaitMoreTicks(8);
  EXPECT_TRUE(rig_.Settled("web", 3));
  EXPECT_EQ(rig_.BackendPids(), before);
  EXPECT_GE(rig_.Metric("autoscaled_holds_for_metrics_total"), 8);

  rig_.prometheus().Start();
  AwaitSettled(1);
}

// Each answer names its request, as those of a proxy in front of Prometheus do.
TEST_F(RecoveryTest, AFaultWhoseWordsChangeOnEachTickDoesNotFloodTheLog) {
  StartWith(1);
  rig_.prometheus().Break("load", [](double now) {
    return FakeAnswer{.status = 503,
                      .body = R"({"status":"error","errorType":"unavailable","error":"request )" +
                              std::to_string(now) + R"( failed"})"};
  });
  AwaitMoreTicks(20);
  const auto count = [this](const std::string& message) {
    const std::string log = rig_.daemon().Errors();
    int lines = 0;
    for (size_t at = log.find(message); at != std::string::npos; at = log.find(message, at + 1)) {
      ++lines;
    }
    return lines;
  };
  EXPECT_GE(count("queries fail"), 1);
  EXPECT_LE(count("queries fail"), 6);
}

// As a child does that a daemon was about to start when it was killed.
TEST_F(RecoveryTest, ALockThatIsHeldForAMomentIsWaitedFor) {
  StartWith(2);
  rig_.End(SIGKILL);
  const int file = open((rig_.folder() / "state" / "lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(file, LOCK_EX | LOCK_NB), 0);
  std::thread child([file] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    close(file);
  });
  rig_.Start();
  child.join();
  AwaitSettled(2);
}

// As after a start by hand as another user.
TEST_F(RecoveryTest, InstancesWhoseFolderCannotBeReadAreNotTakenForLost) {
  StartWith(2);
  const std::map<pid_t, int> before = rig_.Backends();
  rig_.End(SIGKILL);
  if (geteuid() == 0) rig_.RunUnder({"/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all"});
  const auto folders = rig_.folder() / "state/process/web";
  const auto permit = [&](std::filesystem::perms permissions) {
    for (const auto& folder : std::filesystem::directory_iterator(folders)) {
      std::filesystem::permissions(folder, permissions);
    }
  };
  permit(std::filesystem::perms::none);
  const auto refused = rig_.Launch({});
  EXPECT_EQ(refused->Wait(), 1);
  EXPECT_TRUE(Says(refused->Errors(), {"cannot read " + folders.string() + "/web-1-",
                                       "Permission denied", "must not be taken for lost"}));
  EXPECT_EQ(rig_.Backends(), before);
  permit(std::filesystem::perms::owner_all);
  rig_.Start();
  AwaitSettled(2);
  EXPECT_EQ(rig_.Backends(), before);
}

TEST_F(RecoveryTest, ARestartLeavesTheInstancesAlone) {
  StartWith(3);
  const std::map<pid_t, int> before = rig_.Backends();
  rig_.daemon().Signal(SIGTERM);
  EXPECT_EQ(rig_.daemon().Wait(std::chrono::seconds(5)), 0);
  EXPECT_EQ(rig_.Backends(), before);
  EXPECT_EQ(rig_.Ctl({"status"}).code, 3);

  rig_.Start();
  AwaitSettled(3);
  EXPECT_EQ(rig_.Backends(), before);
  EXPECT_EQ(rig_.Ctl({"status", "web"}).out.find("last change  never"), std::string::npos)
      << "what another daemon changed is a change";
  AwaitMoreTicks(4);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_started_total"), 0);
  Load(1);  // what another daemon started can be stopped
  AwaitSettled(1);
  EXPECT_TRUE(Eventually([&] { return rig_.Backends().size() == 1; }));
}

TEST_F(RecoveryTest, AfterAnyCrashNoInstanceIsLostOrStartedTwice) {
  StartWith(1);
  // Killed at another moment of a scale-out or scale-in each time.
  for (int round = 0; round < 8; ++round) {
    const int wanted = round % 2 == 0 ? 5 : 1;
    const std::set<pid_t> before = rig_.BackendPids();
    Load(wanted);
    if (round < 4) {  // as soon as it is decided, when little of it can have happened
      ASSERT_TRUE(Eventually([&] {
        return rig_.Metric("autoscaled_service_desired_instances{service=\"web\"}") == wanted;
      }));
    } else {  // as soon as something happens
      ASSERT_TRUE(Eventually([&] { return rig_.BackendPids() != before; }));
    }
    EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
    rig_.Start();
    AwaitSettled(wanted);
    ASSERT_TRUE(Eventually([&] { return static_cast<int>(rig_.Backends().size()) == wanted; }))
        << rig_.Backends().size() << " run in round " << round;
    const std::set<pid_t> after = rig_.BackendPids();
    const auto& [small, large] = wanted == 5 ? std::tie(before, after) : std::tie(after, before);
    EXPECT_TRUE(std::includes(large.begin(), large.end(), small.begin(), small.end()))
        << "an instance was replaced in round " << round;
  }
}

TEST_F(RecoveryTest, ReplacesAnInstanceThatDies) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  ASSERT_FALSE(before.empty());
  SignalOne(*before.begin(), SIGKILL);
  ASSERT_TRUE(Eventually(
      [&] { return rig_.BackendPids().count(*before.begin()) == 0 && rig_.Settled("web", 2); }));
  EXPECT_TRUE(rig_.BackendPids().count(*before.rbegin()));
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 1);
}

TEST_F(RecoveryTest, ReplacesAPolicyWorkerThatDies) {
  StartWith(1);
  const pid_t worker = rig_.Worker();
  ASSERT_GT(worker, 0);
  SignalOne(worker, SIGKILL);
  Load(2);
  AwaitSettled(2);
  EXPECT_GT(rig_.Worker(), 0);
  EXPECT_NE(rig_.Worker(), worker);
  EXPECT_EQ(rig_.Metric("autoscaled_worker_restarts_total"), 1);
}

}  // namespace
}  // namespace autoscale
