// The daemon killed at random moments while it scales out and in under load, over and over.
//
//   AUTOSCALED_KILLS   how often (50); `make nightly` asks for 1,000
//   AUTOSCALED_SEED    of the moments; a run prints the one it took
#include "tests/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <random>
#include <thread>
#include <utility>

#include "tests/fault/kill/kill_rig.h"

namespace autoscale {
namespace {

using std::chrono::milliseconds;

constexpr int kKills = 50;
constexpr int kFewest = 1, kMost = 6;
constexpr milliseconds kSettle{50};
// A tick comes every 250 ms, and what it decides is done in a few hundred.
constexpr int kLongestLife = 900, kLongestStart = 250;  // ms

class RandomKillTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto root = NginxRoot();
    if (!root) GTEST_SKIP() << kNoNginx;
    rig_ = std::make_unique<KillRig>(*root, kSettle);
    rig_->Start(wanted_);
  }
  int Between(int least, int greatest) {
    return std::uniform_int_distribution<int>(least, greatest)(random_);
  }
  void SleepAtMost(int ms) { std::this_thread::sleep_for(milliseconds(Between(0, ms))); }
  // Out and in by turns, by one or by several.
  int Next() {
    return wanted_ <= 2 ? Between(wanted_ + 1, kMost) : Between(kFewest, std::min(2, wanted_ - 1));
  }

  // One change of load, and a daemon that is killed somewhere in it; sometimes killed again while
  // it starts, or told to pause just before.
  void Round() {
    const int before = std::exchange(wanted_, Next());
    const bool paused = Between(1, 10) == 1;
    if (paused) {
      ASSERT_EQ(rig_->daemon().Ctl({"pause", rig_->service()}).code, 0);
    }
    rig_->Want(wanted_);
    SleepAtMost(kLongestLife);
    Kill(rig_->daemon().daemon());
    if (Between(1, 4) == 1) {
      const auto another = rig_->daemon().Launch({});
      SleepAtMost(kLongestStart);
      Kill(*another);
    }
    rig_->daemon().Start();
    if (paused) {
      ASSERT_TRUE(rig_->Judge(before, {"--paused", "--changes", "0"}));
      ASSERT_EQ(rig_->daemon().Ctl({"resume", rig_->service()}).code, 0);
      ASSERT_TRUE(rig_->Judge(wanted_, {"--changes", "1", "--same-epoch"}));
    } else {
      ASSERT_TRUE(rig_->Judge(wanted_, {"--changes", "1"})) << rig_->daemon().daemon().Errors();
    }
    ASSERT_TRUE(rig_->NothingLost());
  }
  void Kill(Child& daemon) {
    daemon.Signal(SIGKILL);
    ASSERT_EQ(daemon.Wait(), 128 + SIGKILL) << daemon.Errors();
    ++kills_;
  }

  std::mt19937_64 random_;
  std::unique_ptr<KillRig> rig_;
  int wanted_ = 2;
  uint64_t kills_ = 0;
};

TEST_F(RandomKillTest, LosesNothingUnderLoad) {
  const uint64_t kills = FromEnvironment("AUTOSCALED_KILLS", kKills);
  const uint64_t seed = FromEnvironment("AUTOSCALED_SEED", std::random_device()());
  random_.seed(seed);
  std::printf("AUTOSCALED_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  while (kills_ < kills) {
    SCOPED_TRACE("after " + std::to_string(kills_) + " kills, seed " + std::to_string(seed));
    Round();
    if (HasFailure()) return;
  }
  const nlohmann::json load = rig_->EndLoad();
  ASSERT_TRUE(load.is_object());
  std::printf("kills=%llu requests=%d failed=%d\n", static_cast<unsigned long long>(kills_),
              load["arrived"].get<int>(), load["failed"].get<int>());
  EXPECT_GT(load["succeeded"], 0);
  EXPECT_EQ(load["failed"], 0) << load;
}

}  // namespace
}  // namespace autoscale
