// The daemon dies by SIGKILL at each of its fault points, on the way out and on the way in, while
// requests flow; started again it must go on as if nothing had been. The points are those that the
// daemon lists: a new one is tried without a change here, and one that is never reached fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <sstream>
#include <utility>

#include "net/fault_point.h"
#include "tests/fault/kill/kill_rig.h"

namespace autoscale {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kFew = 2, kMany = 4;
// Long enough that returning load finds an instance still draining.
constexpr milliseconds kSettle{400};
// A point that is passed less often than asked for is waited for so long.
constexpr seconds kPassedLessOften{2};

std::vector<std::string> Points() {
  std::vector<std::string> points;
  std::istringstream lines(ListFaultPoints());
  for (std::string line; std::getline(lines, line);)
    points.push_back(line.substr(0, line.find(' ')));
  return points;
}

bool IsOneOf(const std::string& point, const std::vector<std::string>& points) {
  return std::find(points.begin(), points.end(), point) != points.end();
}

// How often the point is passed before the daemon dies, in each run one number; more where the
// second time is another situation.
std::vector<int> CountsOf(const std::string& point) {
  if (point.starts_with("batch-")) return {1, 2, 3, 4};
  if (IsOneOf(point, {"folder-made", "claim-written", "spawned", "ready", "published", "confirmed",
                      "stop-signalled", "instance-ended", "retired"})) {
    return {1, 2};
  }
  return {1};
}

// Nothing of the kind happens in the other direction.
bool OnlyOut(const std::string& point) {
  return point.starts_with("launch") ||
         IsOneOf(point, {"before-launch", "folder-made", "claim-written", "spawned", "ready"});
}
bool OnlyIn(const std::string& point) {
  return IsOneOf(point, {"drain-entered", "drain-finished", "before-terminate", "stop-signalled",
                         "instance-ended", "before-forget", "retired"});
}

class KillTest : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    if (const auto root = NginxRoot()) {
      rig_ = std::make_unique<KillRig>(*root, kSettle);
      rig_->Start(kFew);
      wanted_ = kFew;
    }
  }
  static void TearDownTestSuite() {
    if (!rig_) return;
    const nlohmann::json load = rig_->EndLoad();
    EXPECT_TRUE(load.is_object());
    if (load.is_object()) {
      std::printf("requests=%d failed=%d\n", load["arrived"].get<int>(), load["failed"].get<int>());
      EXPECT_GT(load["succeeded"], 0);
      EXPECT_EQ(load["failed"], 0) << load;
    }
    rig_.reset();
  }
  void SetUp() override {
    if (!rig_) GTEST_SKIP() << kNoNginx;
    if (broken_) FAIL() << "not tried: an earlier point has left the fleet astray";
  }
  void TearDown() override { broken_ = broken_ || HasFailure(); }

  static bool Reached(const Child& daemon, const std::string& point) {
    return daemon.Errors().find("reached fault point " + point + "\n") != std::string::npos;
  }
  static bool Answers() { return rig_->daemon().Ctl({"status"}).code == 0; }
  static void Want(int instances) { rig_->Want(wanted_ = instances); }
  // Starts the daemon again, and lets the observer judge.
  static void Recover(const std::vector<std::string>& options) {
    rig_->daemon().Start();
    ASSERT_TRUE(rig_->Judge(wanted_, options)) << rig_->daemon().daemon().Errors();
    EXPECT_TRUE(rig_->NothingLost());
  }
  // Whatever provokes the point has been done; the daemon dies of it, or passes it less often.
  static bool Dies(Child& daemon, const std::string& point, int count) {
    if (IsOneOf(point, {"launcher-started", "launcher-recorded"})) {
      const bool reached = Eventually([&] { return Reached(daemon, point); }, seconds(5));
      daemon.Signal(SIGKILL);  // the launcher has died; now the daemon does
      EXPECT_EQ(daemon.Wait(), 128 + SIGKILL);
      return reached;
    }
    if (!daemon.Wait(count == 1 ? seconds(5) : kPassedLessOften)) daemon.Signal(SIGKILL);
    EXPECT_EQ(daemon.Wait(), 128 + SIGKILL) << daemon.Errors();
    return Reached(daemon, point);
  }

  // Starts a daemon in place of the one that runs, which dies too.
  static std::unique_ptr<Child> Arm(const std::string& point) {
    rig_->daemon().End(SIGKILL);
    return rig_->StartArmed(point);
  }

  // The daemon finds another load than it left, so that its first tick decides.
  static bool RunScaling(const std::string& point, int count, int instances) {
    rig_->daemon().End(SIGKILL);
    Want(instances);
    auto daemon = rig_->StartArmed(point + ":" + std::to_string(count));
    if (point.starts_with("shutdown-") && Eventually(Answers)) daemon->Signal(SIGTERM);
    const bool reached = Dies(*daemon, point, count);
    std::vector<std::string> options = {"--changes", "1"};
    if (IsOneOf(point, {"launcher-started", "launcher-recorded"})) {
      options.emplace_back("--may-fail-starts");
    }
    Recover(options);
    return reached;
  }

  // By a daemon that lives.
  static void Move(int instances) {
    if (wanted_ == instances) return;
    Want(instances);
    ASSERT_TRUE(rig_->Judge(instances, {"--changes", "1", "--same-epoch"}));
  }

  // Load returns while an instance drains. After the restart it may come too late for that one.
  static bool RunReturningLoad(const std::string& point) {
    Move(kMany);
    auto daemon = Arm(point);
    Want(kFew);
    EXPECT_TRUE(Eventually([] { return rig_->Drains(); }));
    Want(kMany);
    const bool reached = Dies(*daemon, point, 1);
    Recover({"--changes", "2", "--may-replace"});
    return reached;
  }

  // Load that comes while a person has paused the service waits for the end of the pause.
  static bool RunPause(const std::string& point) {
    const bool pause = point == "pause-stored";
    const std::string service = rig_->service();
    if (!pause) {
      EXPECT_EQ(rig_->daemon().Ctl({"pause", service, "--reason", "a test"}).code, 0);
    }
    auto daemon = Arm(point);
    EXPECT_TRUE(Eventually(Answers));
    rig_->daemon().Ctl({pause ? "pause" : "resume", service});
    const bool reached = Dies(*daemon, point, 1);
    const int before = std::exchange(wanted_, wanted_ == kFew ? kMany : kFew);
    rig_->Want(wanted_);
    rig_->daemon().Start();
    if (pause) {
      AwaitMoreTicks(3);
      EXPECT_TRUE(rig_->Judge(before, {"--paused", "--changes", "0"}));
      EXPECT_EQ(rig_->daemon().Ctl({"resume", service}).code, 0);
      EXPECT_TRUE(rig_->Judge(wanted_, {"--changes", "1", "--same-epoch"}));
    } else {
      EXPECT_TRUE(rig_->Judge(wanted_, {"--changes", "1"}));
    }
    return reached;
  }

  // A changed file and a changed load at once.
  static bool RunReload(const std::string& point, int instances, int max) {
    auto daemon = Arm(point);
    EXPECT_TRUE(Eventually(Answers));
    rig_->SetMax(max);
    Want(instances);
    rig_->daemon().Ctl({"reload"});
    const bool reached = Dies(*daemon, point, 1);
    Recover({"--changes", "1"});
    EXPECT_EQ(rig_->daemon().Metric("autoscaled_service_max_instances{service=\"" +
                                    rig_->service() + "\"}"),
              max);
    return reached;
  }

  // A service is removed; what it had must be gone in the end, whoever finishes that.
  static bool RunRemoval(const std::string& point) {
    EXPECT_TRUE(rig_->AddLeaver(kFew));
    auto daemon = Arm(point);
    EXPECT_TRUE(Eventually(Answers));
    rig_->RemoveLeaver();
    const bool reached = Dies(*daemon, point, 1);
    rig_->daemon().Start();
    if (point == "removal-begun") {
      // It was not stored and nobody was told that it is done: what runs is left alone, until the
      // service is configured again and removed again.
      EXPECT_TRUE(rig_->JudgeLeaver(kFew, {}));
      rig_->daemon().End(SIGKILL);
      rig_->ReturnLeaver();
      rig_->daemon().Start();
      EXPECT_TRUE(rig_->JudgeLeaver(kFew, {}));
      rig_->RemoveLeaver();
    }
    EXPECT_TRUE(rig_->JudgeLeaver(0, {"--removed"})) << rig_->daemon().daemon().Errors();
    EXPECT_TRUE(rig_->Judge(wanted_, {"--changes", "0"}));
    return reached;
  }

  static void AwaitMoreTicks(int count) {
    const double until = rig_->daemon().Metric("autoscaled_ticks_total") + count;
    EXPECT_TRUE(
        Eventually([&] { return rig_->daemon().Metric("autoscaled_ticks_total") >= until; }));
  }

  // All runs of a point; whether the daemon came by in one of them.
  static bool RunAll(const std::string& point) {
    if (point == "taken-back") return RunReturningLoad(point);
    if (point == "pause-stored" || point == "resume-stored") return RunPause(point);
    if (point == "removal-begun") return RunRemoval(point);
    bool reached = false;
    if (point == "removal-finished") {
      for (const char* step : {"drain-finished", "stop-signalled", "before-forget"}) {
        SCOPED_TRACE(std::string("in a removal, at ") + step);
        EXPECT_TRUE(RunRemoval(step));
      }
      return RunRemoval(point);
    }
    for (const int count : CountsOf(point)) {
      for (const int instances : {kMany, kFew}) {
        const bool out = instances == kMany;
        if (out ? OnlyIn(point) : OnlyOut(point)) continue;
        Move(out ? kFew : kMany);
        SCOPED_TRACE(std::to_string(count) + (out ? ", out" : ", in"));
        reached |= point == "reloaded" ? RunReload(point, instances, instances + 5)
                                       : RunScaling(point, count, instances);
        if (HasFailure()) return reached;
      }
    }
    return reached;
  }

  static std::unique_ptr<KillRig> rig_;
  static int wanted_;
  static bool broken_;  // what follows would only fail of it
};

std::unique_ptr<KillRig> KillTest::rig_;
int KillTest::wanted_ = 0;
bool KillTest::broken_ = false;

TEST_P(KillTest, LosesNothing) {
  EXPECT_TRUE(RunAll(GetParam())) << "the daemon never came by " << GetParam();
  EXPECT_TRUE(rig_->NothingLost());
}

INSTANTIATE_TEST_SUITE_P(At, KillTest, testing::ValuesIn(Points()), [](const auto& one) {
  std::string name = one.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace autoscale
