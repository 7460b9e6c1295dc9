// The daemon killed in its very first start, when there is no database yet and no instance.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "tests/fault/kill/judge.h"

namespace autoscale {
namespace {

using std::chrono::milliseconds;

constexpr int kInstances = 2;

class FirstStartTest : public testing::Test {
 protected:
  FirstStartTest() {
    rig_.WriteService(service_, "return scale_to(metric(\"load\").value)\n");
    SetLine(rig_, service_, std::string("scaling: {up: {") + kRemember + "}}");
    rig_.prometheus().Set("load", service_, kInstances);
  }
  // Whether a second start makes of it what a first one would have.
  testing::AssertionResult Recovers() {
    rig_.Start();
    return Judge(rig_, service_, kInstances);
  }

  const std::string service_ = OwnName("first");
  DaemonRig rig_;
};

class FirstStartPointTest : public FirstStartTest,
                            public testing::WithParamInterface<const char*> {};

TEST_P(FirstStartPointTest, IsBegunAgain) {
  const std::string point = GetParam();
  auto daemon = StartArmed(rig_, point);
  ASSERT_EQ(daemon->Wait(), 128 + SIGKILL) << daemon->Errors();
  EXPECT_TRUE(Says(daemon->Errors(), {"reached fault point " + point}));
  EXPECT_TRUE(Recovers());
}

INSTANTIATE_TEST_SUITE_P(Killed, FirstStartPointTest,
                         testing::Values("state-opened", "epoch-raised", "services-taken-up",
                                         "first-observation", "tick-decided", "batch-written",
                                         "batch-committed", "folder-made"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Between the points, too: while the database is made, say.
class FirstStartMomentTest : public FirstStartTest, public testing::WithParamInterface<int> {};

TEST_P(FirstStartMomentTest, IsBegunAgain) {
  {
    const auto daemon = rig_.Launch({});
    std::this_thread::sleep_for(milliseconds(GetParam()));
    daemon->Signal(SIGKILL);
    EXPECT_EQ(daemon->Wait(), 128 + SIGKILL);
  }
  EXPECT_TRUE(Recovers());
}

INSTANTIATE_TEST_SUITE_P(KilledAfterMilliseconds, FirstStartMomentTest,
                         testing::Values(5, 10, 15, 20, 25, 30, 40, 60),
                         [](const auto& one) { return std::to_string(one.param); });

TEST_F(FirstStartTest, NoPolicyWorkerOutlivesTheDaemon) {
  ASSERT_TRUE(Recovers());
  const pid_t worker = rig_.Worker();
  ASSERT_GT(worker, 0);
  Kill(rig_);
  const std::string status = "/proc/" + std::to_string(worker) + "/status";
  EXPECT_TRUE(Eventually([&] {
    const std::string text = ReadWhole(status);
    return text.empty() || text.find("State:\tZ") != std::string::npos;
  }));
}

}  // namespace
}  // namespace autoscale
