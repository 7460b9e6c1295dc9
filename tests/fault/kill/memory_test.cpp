// What the daemon must still know after it was killed: cooldowns, windows, the policy's state, a
// pause, and what is not its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "providers/process/identity.h"
#include "tests/fault/kill/judge.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// Under a sanitizer a life of the daemon takes seconds.
constexpr std::chrono::seconds kManyLives{120};

int64_t WallClock() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class MemoryTest : public testing::Test {
 protected:
  // The service with these rules in one direction and the other, settled at so many instances.
  void StartWith(int instances, const std::string& up = "", const std::string& down = "",
                 const std::string& policy = "return scale_to(metric(\"load\").value)\n") {
    rig_.WriteService(service_, policy);
    SetLine(rig_, service_,
            "scaling: {up: {" + up + (up.empty() ? "" : ", ") + kRemember +
                "}, down: {max_step_percent: 100, " + (down.empty() ? "stabilization: 0s" : down) +
                "}}");
    Load(instances);
    rig_.Start();
    ASSERT_TRUE(Judged(instances));
  }
  void Load(double value) { rig_.prometheus().Set("load", service_, value); }
  testing::AssertionResult Judged(int instances, std::vector<std::string> options = {}) {
    options.insert(options.end(), {"--memory", rig_.folder() / "memory.json"});
    return Judge(rig_, service_, instances, options);
  }
  [[nodiscard]] double Desired() const {
    return rig_.Metric("autoscaled_service_desired_instances{service=\"" + service_ + "\"}");
  }
  // Killed and started again, and again, until the capacity is so much.
  void KillUntilDesiredIs(int instances) {
    const bool came = Eventually(
        [&] {
          Kill(rig_);
          rig_.Start();
          return Desired() == instances;
        },
        kManyLives);
    EXPECT_TRUE(came) << rig_.Explain(service_);
  }
  [[nodiscard]] fs::path Instances() const { return rig_.folder() / "state/process" / service_; }

  const std::string service_ = OwnName("memory");
  DaemonRig rig_;
};

TEST_F(MemoryTest, ACooldownBindsAcrossKills) {
  StartWith(1, "cooldown: 3s", "");
  Load(2);
  ASSERT_TRUE(Judged(2, {"--changes", "1", "--same-epoch"}));
  Load(4);
  KillUntilDesiredIs(4);
  EXPECT_TRUE(Judged(4, {"--changes", "1", "--cooldown-up", "3000"}));
}

TEST_F(MemoryTest, AStabilizationWindowGoesOnAcrossKills) {
  constexpr int64_t kWindow = 3000;
  constexpr int64_t kTicks = 1500;  // the last proposal of 4 may have been made so long before
  StartWith(4, "", "stabilization: 3s");
  const int64_t asked = WallClock();
  Load(1);
  KillUntilDesiredIs(1);
  EXPECT_TRUE(
      Judged(1, {"--changes", "1", "--not-before", std::to_string(asked + kWindow - kTicks)}));
}

TEST_F(MemoryTest, APolicyCountsOnAcrossKills) {
  // More evaluations than one of these lives has.
  StartWith(1, "", "",
            "state.seen = (state.seen or 0) + 1\n"
            "if state.seen < 8 then return hold(\"not yet\") end\n"
            "return scale_to(metric(\"load\").value)\n");
  Load(3);
  KillUntilDesiredIs(3);
  EXPECT_TRUE(Judged(3, {"--changes", "1"}));
}

TEST_F(MemoryTest, WhatDiedWithTheDaemonIsReplacedAndTheRestLeftAlone) {
  StartWith(3);
  const std::set<pid_t> before = rig_.BackendPids();
  Kill(rig_);
  ASSERT_FALSE(before.empty());
  SignalOne(*before.begin(), SIGKILL);
  rig_.Start();
  ASSERT_TRUE(Judged(3, {"--may-replace", "--changes", "0"}));
  const std::set<pid_t> after = rig_.BackendPids();
  EXPECT_FALSE(after.contains(*before.begin()));
  EXPECT_TRUE(std::includes(after.begin(), after.end(), std::next(before.begin()), before.end()));
}

// After a reboot every process is gone and its number may be another's: here a bystander's, whose
// start time even fits one record, and whose boot fits the other.
TEST_F(MemoryTest, AfterARebootTheFleetComesBackAndNobodyElseIsTouched) {
  StartWith(2);
  Kill(rig_);
  for (const pid_t pid : rig_.BackendPids()) SignalOne(pid, SIGKILL);
  ASSERT_TRUE(Eventually([this] { return rig_.BackendPids().empty(); }));
  Child bystander({"/bin/sleep", "1000"}, rig_.folder() / "output/bystander");
  const auto self = Identify(bystander.pid());
  ASSERT_TRUE(self);
  auto other_boot = *self, other_start = *self;
  other_boot.boot_id = "00000000-0000-0000-0000-000000000000";
  other_start.start_ticks += 1;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(Instances())) {
    if (!entry.path().filename().string().starts_with(".")) folders.push_back(entry.path());
  }
  ASSERT_EQ(folders.size(), 2u);
  std::ofstream(folders[0] / "record") << ToText(other_boot);
  std::ofstream(folders[1] / "record") << ToText(other_start);

  rig_.Start();
  ASSERT_TRUE(Judged(2, {"--may-replace", "--changes", "0"}));
  EXPECT_FALSE(bystander.Wait(std::chrono::seconds(0)));
  EXPECT_EQ(ReadWhole(Instances() / ".gone" / folders[0].filename() / "gone"),
            "ended when the machine restarted");
}

}  // namespace
}  // namespace autoscale
