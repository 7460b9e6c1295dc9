#include "net/fault_point.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace autoscale {
namespace {

class FaultPointTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  void TearDown() override { unsetenv(kFaultPointVariable); }
  static Status Arm(const char* text) {
    setenv(kFaultPointVariable, text, 1);
    return ArmFaultPoint();
  }
};

using FaultPointDeathTest = FaultPointTest;

TEST_F(FaultPointTest, NothingIsArmedUnlessNamed) {
  EXPECT_TRUE(ArmFaultPoint().ok());
  EXPECT_FALSE(IsFaultPointArmed());
  EXPECT_TRUE(Arm("").ok());
  EXPECT_FALSE(IsFaultPointArmed());
  ReachFaultPoint(FaultPoint::kStateOpened);  // and lives on
}

TEST_F(FaultPointTest, WhatIsNoPointIsRefused) {
  for (const char* text : {"nowhere", "ready:0", "ready:-1", "ready:x", "ready:1x", "ready:", ":1",
                           "READY", "ready:99999999999"}) {
    const Status armed = Arm(text);
    ASSERT_FALSE(armed.ok()) << text;
    EXPECT_EQ(armed.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(armed.error().message.find("autoscaled --fault-points"), std::string::npos);
    EXPECT_FALSE(IsFaultPointArmed()) << text;
  }
}

TEST_F(FaultPointDeathTest, DiesThatManyTimesLater) {
  const auto run = [](int times) {
    if (!Arm("ready:3").ok()) std::exit(1);
    for (int i = 0; i < times; ++i) {
      ReachFaultPoint(FaultPoint::kReady);
      ReachFaultPoint(FaultPoint::kStateOpened);  // another one
    }
    std::exit(0);
  };
  EXPECT_EXIT(run(2), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(run(3), testing::KilledBySignal(SIGKILL), "reached fault point ready\n");
}

TEST_F(FaultPointTest, OnlyTheLaunchersPointsAreForTheLauncher) {
  setenv(kFaultPointVariable, "launcher-recorded:2", 1);
  EXPECT_EQ(LauncherFaultPoint(), "launcher-recorded:2");
  for (const char* text : {"spawned", "nowhere", ""}) {
    setenv(kFaultPointVariable, text, 1);
    EXPECT_EQ(LauncherFaultPoint(), std::nullopt) << text;
  }
}

TEST_F(FaultPointTest, TheListNamesEachWithWhatItStandsBetween) {
  const std::string list = ListFaultPoints();
  EXPECT_NE(list.find("batch-written       inside the transaction, before COMMIT\n"),
            std::string::npos)
      << list;
  EXPECT_NE(list.find("launcher-started    the launcher has not said who it is (in "
                      "autoscaled-launch)\n"),
            std::string::npos);
}

}  // namespace
}  // namespace autoscale
