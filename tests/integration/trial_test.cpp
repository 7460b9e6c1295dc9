// Policies that hang when they are tried: at a reload of the running daemon, and at a check.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

constexpr const char* kFollow = "return scale_to(metric(\"load\").value)\n";

class TrialDaemonTest : public testing::Test {
 protected:
  // With limits within which comparing strings of megabytes hangs.
  void SetUp() override {
    rig_.ConfigureDaemon("policy_limits: {instructions: 1000000, memory: 512MiB}\n");
    rig_.prometheus().Set("load", "web", 2);
    rig_.WriteService("web", kFollow);
  }
  void StartWith(int instances) {
    rig_.prometheus().Set("load", "web", instances);
    rig_.Start();
    AwaitSettled(instances);
  }
  void AwaitSettled(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); })) << rig_.Explain("web");
  }
  // Services in dry run whose policies, each another, hang where the host cannot end them. With the
  // time of `wall` for each.
  void WriteHanging(int count, const std::string& wall = "100ms") {
    std::string yaml = "services:\n";
    for (int i = 0; i < count; ++i) {
      const std::string name = "hangs-" + std::to_string(10 + i);  // in this order
      rig_.Write("policies/" + name + ".lua",
                 "-- " + name +
                     "\nlocal s = string.rep('x', 1000000)\nfor i = 1, 6 do s = s .. s end\n"
                     "local a, b = s .. 'a', s .. 'b'\nwhile true do if a < b then end end\n");
      const std::string port = std::to_string(3000 + i);  // nothing is started there
      yaml += "- {service: " + name + ", policy: ../policies/" + name +
              ".lua, interval: 250ms, dry_run: true, min: 0, max: 1, limits: {wall: " + wall +
              "}, provider: {type: process, command: [./none, \"{port}\"], ports: " + port + "-" +
              port + "}}\n";
    }
    rig_.Write("services.d/hanging.yaml", yaml);
  }
  [[nodiscard]] std::string Told(const std::string& name, const std::string& wall = "100") const {
    return "warning: service '" + name + "': policy " +
           (rig_.folder() / ("policies/" + name + ".lua")).string() +
           ": did not come back within " + wall +
           " ms, and the process running it was killed (limits.wall of service " + name +
           "); the service would hold";
  }

  DaemonRig rig_;
};

TEST_F(TrialDaemonTest, AReloadWithPoliciesThatHangIsAnsweredAndTicksGoOn) {
  StartWith(2);
  const std::set<pid_t> backends = rig_.BackendPids();
  WriteHanging(6);  // each takes its process's 250 ms
  const double before = rig_.Metric("autoscaled_ticks_total");
  const DaemonRig::Ended taken = rig_.Ctl({"reload", "--timeout", "60s"});
  EXPECT_GE(rig_.Metric("autoscaled_ticks_total") - before, 4);
  EXPECT_EQ(taken.code, 0) << taken.err;
  const std::string answer = taken.out + taken.err;
  EXPECT_TRUE(Says(answer, {"6 added", Told("hangs-10"), Told("hangs-15")}));
  // Whoever reloads by a signal reads it in the log.
  EXPECT_TRUE(Says(rig_.daemon().Errors(), {"the configuration has doubts", Told("hangs-12")}));

  rig_.prometheus().Set("load", "web", 3);
  AwaitSettled(3);
  const std::set<pid_t> after = rig_.BackendPids();
  EXPECT_TRUE(std::includes(after.begin(), after.end(), backends.begin(), backends.end()));
}

TEST_F(TrialDaemonTest, AfterTooManyThatHangTheReloadIsRefused) {
  StartWith(2);
  WriteHanging(34, "1ms");
  const DaemonRig::Ended refused = rig_.Ctl({"reload", "--timeout", "60s"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(
      Says(refused.err,
           {"autoscaled.yaml: 3 policies were not tried (the first is that of service "
            "'hangs-42'): the process that tries them was lost too often, the last time to ",
            "hangs-41.lua: did not come back within 1 ms"}))
      << refused.err;
  rig_.prometheus().Set("load", "web", 3);
  AwaitSettled(3);
}

TEST_F(TrialDaemonTest, SigtermEndsAReloadThatTriesWhatHangs) {
  StartWith(1);
  WriteHanging(60);  // for longer than an end may take
  rig_.daemon().Signal(SIGHUP);
  ASSERT_TRUE(Eventually([&] { return rig_.Workers().size() == 2; }));
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  EXPECT_EQ(rig_.daemon().Errors().find("left without it"), std::string::npos);
  EXPECT_TRUE(Says(rig_.daemon().Errors(), {"the policies cannot be tried: told to stop"}));
}

TEST_F(TrialDaemonTest, ACheckTellsWhatHangsAndTriesTheOthers) {
  WriteHanging(1);
  rig_.WriteService("last", "return track(metric \"laod\", 1)\n");
  const auto check = rig_.Launch({"--check-config"});
  EXPECT_EQ(check->Wait(), 2);
  EXPECT_TRUE(Says(check->Errors(), {"services.d/hanging.yaml:2: " + Told("hangs-10"),
                                     "services.d/last.yaml:1: ", "unknown metric 'laod'"}));
}

TEST_F(TrialDaemonTest, WithoutTheWorkersProgramNothingIsTakenUntried) {
  rig_.CopyPrograms();
  StartWith(1);
  const auto there = rig_.folder() / "libexec/autoscaled/autoscaled-policy-worker";
  const auto away = rig_.folder() / "away";
  std::filesystem::rename(there, away);
  const DaemonRig::Ended refused = rig_.Ctl({"reload", "--timeout", "60s"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(Says(refused.err,
                   {"autoscaled.yaml: the policies cannot be tried: policy worker: cannot start ",
                    "is it installed beside autoscaled"}));
  const auto check = rig_.Launch({"--check-config"});
  EXPECT_EQ(check->Wait(), 2);
  EXPECT_TRUE(
      Says(check->Errors(), {"the policies cannot be tried: policy worker: cannot start "}));
  rig_.prometheus().Set("load", "web", 2);
  AwaitSettled(2);  // the worker that it has goes on
  std::filesystem::rename(away, there);
  EXPECT_EQ(rig_.Ctl({"reload", "--timeout", "60s"}).code, 0);
}

}  // namespace
}  // namespace autoscale
