// What happens to instances that behave, and to those that have to be made to.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/signal_one.h"
#include "tests/unit/process/rig.h"

namespace autoscale {
namespace {

std::string Endpoint(int port) { return "127.0.0.1:" + std::to_string(port); }

TEST(ProcessLifecycle, LaunchedInstanceBecomesReady) {
  Rig rig;
  const auto answers = rig.Launch(rig.Target(), {"a"});
  ASSERT_EQ(answers.size(), 1u);
  ASSERT_TRUE(answers[0].ok());
  const auto ready = rig.Await("a", InstanceState::kReady);
  EXPECT_EQ(ready.endpoint, Endpoint(rig.first_port()));
  const auto observed = rig.Observe(rig.Target());
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].state, InstanceState::kReady);
  EXPECT_EQ(observed[0].endpoint, ready.endpoint);
}

TEST(ProcessLifecycle, TcpCheckMakesReadyToo) {
  Rig rig;
  auto target = rig.Target();
  target->health.path.clear();
  rig.Launch(target, {"a"});
  rig.Await("a", InstanceState::kReady);
}

TEST(ProcessLifecycle, AskingTwiceStartsOnce) {
  Rig rig;
  rig.Launch(rig.Target(), {"a", "a"});
  rig.Await("a", InstanceState::kReady);
  const pid_t pid = rig.Pid("a");
  EXPECT_TRUE(rig.Launch(rig.Target(), {"a"})[0].ok());
  EXPECT_EQ(rig.Observe(rig.Target()).size(), 1u);
  EXPECT_EQ(rig.Pid("a"), pid);
}

TEST(ProcessLifecycle, InstancesAndServicesGetPortsOfTheirOwn) {
  Rig rig;
  rig.Launch(rig.Target(), {"a", "b"}, "web");
  rig.Launch(rig.Target(), {"a"}, "shop");
  EXPECT_EQ(rig.Await("a", InstanceState::kReady).endpoint, Endpoint(rig.first_port()));
  EXPECT_EQ(rig.Await("b", InstanceState::kReady).endpoint, Endpoint(rig.first_port() + 1));
  EXPECT_EQ(rig.Await("a", InstanceState::kReady, "shop").endpoint, Endpoint(rig.first_port() + 2));
  EXPECT_EQ(rig.Observe(rig.Target(), "web").size(), 2u);
  EXPECT_EQ(rig.Observe(rig.Target(), "shop").size(), 1u);
  rig.Terminate(rig.Target(), {"a"}, "shop");
  rig.Await("a", InstanceState::kGone, "shop");
  EXPECT_TRUE(Lives(rig.Pid("a", "web")));
}

TEST(ProcessLifecycle, StopsGracefullyAndIsForgotten) {
  Rig rig;
  rig.Launch(rig.Target(), {"a", "b"});
  rig.Await("a", InstanceState::kReady);
  rig.Await("b", InstanceState::kReady);
  const pid_t pid = rig.Pid("a");
  rig.Terminate(rig.Target(), {"a", "never-there"});
  rig.Await("a", InstanceState::kStopping);
  const auto gone = rig.Await("a", InstanceState::kGone);
  EXPECT_NE(gone.detail.find("ended by SIGTERM"), std::string::npos) << gone.detail;
  EXPECT_NE(gone.detail.find("after being asked to stop"), std::string::npos) << gone.detail;
  EXPECT_FALSE(Lives(pid));
  EXPECT_TRUE(Lives(rig.Pid("b")));
  rig.Terminate(rig.Target(), {"a"});  // harmless
  // Until it is forgotten, it is told of and not started again.
  EXPECT_TRUE(rig.Launch(rig.Target(), {"a"})[0].ok());
  ASSERT_EQ(rig.Observe(rig.Target()).size(), 2u);
  EXPECT_EQ(rig.Observe(rig.Target())[0].state, InstanceState::kGone);
  rig.Forget("b");  // lives: not to be forgotten
  rig.Forget("a");
  ASSERT_EQ(rig.Observe(rig.Target()).size(), 1u);
  EXPECT_EQ(rig.Observe(rig.Target())[0].id, "b");
}

TEST(ProcessLifecycle, KeepsTheLastFiveForgotten) {
  Rig rig;
  auto target = rig.Target({"--exit", "0"});
  for (const char* id : {"a", "b", "c", "d", "e", "f"}) {
    rig.Launch(target, {id});
    rig.Await(id, InstanceState::kGone);
    rig.Forget(id);
  }
  EXPECT_FALSE(std::filesystem::exists(rig.Folder(".gone/a")));
  for (const char* id : {"b", "c", "d", "e", "f"}) {
    EXPECT_NE(rig.File(std::string(".gone/") + id, "stderr.log"), "") << id;
  }
}

TEST(ProcessLifecycle, KilledAfterTheGrace) {
  Rig rig;
  auto target = rig.Target({"--ignore-term"});
  target->stop.grace = Millis(30);
  rig.Launch(target, {"a"});
  rig.Await("a", InstanceState::kReady);
  rig.Terminate(target, {"a"});
  EXPECT_EQ(rig.Await("a", InstanceState::kGone).detail,
            "killed: still running 30ms after SIGTERM");
}

TEST(ProcessLifecycle, EndsItsWorkersWithIt) {
  Rig rig;
  rig.Launch(rig.Target({"--ignore-term", "--fork"}), {"a"});
  rig.Await("a", InstanceState::kReady);
  const pid_t parent = rig.Pid("a");
  const std::string path =
      "/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children";
  const pid_t worker = std::stoi(ReadWhole(path));
  ASSERT_TRUE(Lives(worker));
  SignalOne(parent, SIGKILL);
  const auto gone = rig.Await("a", InstanceState::kGone);
  EXPECT_NE(gone.detail.find("ended by SIGKILL"), std::string::npos) << gone.detail;
  EXPECT_TRUE(Eventually([&] { return !Lives(worker); }));
}

TEST(ProcessLifecycle, UnreadyWhileSickAndBack) {
  Rig rig;
  const std::string sick = rig.root() + "/sick";
  auto target = rig.Target({"--sick-file", sick});
  target->health.unhealthy_after = 2;
  rig.Launch(target, {"a"});
  rig.Await("a", InstanceState::kReady);
  std::ofstream(sick) << "cough";
  EXPECT_EQ(rig.Await("a", InstanceState::kUnready).detail, "GET /healthz answered 503");
  std::filesystem::remove(sick);
  rig.Await("a", InstanceState::kReady);
}

TEST(ProcessLifecycle, SickFromTheStartIsStarting) {
  Rig rig;
  const std::string sick = rig.root() + "/sick";
  std::ofstream(sick) << "cough";
  rig.Launch(rig.Target({"--sick-file", sick}), {"a"});
  EXPECT_TRUE(Eventually(
      [&] { return rig.Observe(rig.Target())[0].detail == "GET /healthz answered 503"; }));
  EXPECT_EQ(rig.Observe(rig.Target())[0].state, InstanceState::kStarting);
}

TEST(ProcessLifecycle, TellsCommandAndEnvironment) {
  Rig rig;
  setenv("AUTOSCALED_TEST_SECRET", "hush", 1);
  auto target = rig.Target();
  target->command = {"sh", "-c",
                     "echo $GREETING {port} $AUTOSCALED_SERVICE/{id} $PWD "
                     "[$AUTOSCALED_TEST_SECRET]; exec " +
                         BesideTest("process_backend") + " --port {port}"};
  target->environment = {{"GREETING", "hello-{service}-{unknown}"}};
  rig.Launch(target, {"a"});
  rig.Await("a", InstanceState::kReady);
  EXPECT_EQ(rig.File("a", "stdout.log"), "hello-web-{unknown} " + std::to_string(rig.first_port()) +
                                             " web/a " + rig.root() + " []\n");
}

TEST(ProcessLifecycle, TellsWhatItUses) {
  Rig rig;
  rig.Launch(rig.Target({"--burn", "--fork"}), {"a"});
  rig.Await("a", InstanceState::kReady);
  const auto usages = rig.ReadUsage();
  ASSERT_EQ(usages.size(), 1u);
  EXPECT_EQ(usages[0].service, "web");
  EXPECT_EQ(usages[0].instance, "a");
  EXPECT_EQ(usages[0].endpoint, Endpoint(rig.first_port()));
  EXPECT_GE(usages[0].cpu_seconds, 0.05);  // it burnt 0.06 s
  EXPECT_LT(usages[0].cpu_seconds, 60);
  EXPECT_GT(usages[0].memory_bytes, 100e3);
  rig.Terminate(rig.Target(), {"a"});
  rig.Await("a", InstanceState::kGone);
  EXPECT_TRUE(rig.ReadUsage().empty());
}

TEST(ProcessLifecycle, HealthFollowsChangedOptions) {
  Rig rig;
  auto target = rig.Target();
  rig.Launch(target, {"a"});
  rig.Await("a", InstanceState::kReady);
  auto changed = rig.Target();
  changed->host = "127.0.0.1";
  changed->health.timeout = Millis(10);
  changed->health.unhealthy_after = 1;
  SignalOne(rig.Pid("a"), SIGSTOP);  // answers nothing any more
  rig.Observe(changed);
  const auto unready = rig.Await("a", InstanceState::kUnready);
  EXPECT_NE(unready.detail.find("timed out after 10ms"), std::string::npos) << unready.detail;
  SignalOne(rig.Pid("a"), SIGCONT);
}

}  // namespace
}  // namespace autoscale
