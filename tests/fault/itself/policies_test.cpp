// Policies that hang, hundreds of them, and the thread that decides.
#include <chrono>

#include "tests/fault/itself/itself.h"
#include "tests/fault/itself/supervisor.h"
#include "tests/sanitized.h"

namespace autoscale {
namespace {

class PoliciesTest : public ItselfTest {
 protected:
  // Half of what the unit asks for; without a bound a tick would take twice as long.
  static constexpr std::chrono::seconds kWatchdog{15 * kSlower};

  PoliciesTest() {
    rig_.RunUnder({"/usr/bin/env", "NOTIFY_SOCKET=" + Socket(),
                   "WATCHDOG_USEC=" + std::to_string(kWatchdog / std::chrono::microseconds(1))});
  }
  std::string Socket() const { return rig_.folder() / "notify"; }

  // Services in dry run whose policies, each another, hang within their instructions; not in the
  // times that a check makes up.
  void WriteHanging(const std::string& prefix, int count) {
    std::string yaml = "services:\n";
    for (int i = 0; i < count; ++i) {
      const std::string name = prefix + std::to_string(i);
      rig_.Write("policies/" + name + ".lua",
                 "-- " + name + "\nif now > 1.75e9 then while true do end end\nreturn hold()\n");
      yaml += "- {service: " + name + ", policy: ../policies/" + name +
              ".lua, interval: 250ms, dry_run: true, min: 0, max: 1, "
              "limits: {instructions: 1000000000, wall: 100ms}, "
              "provider: {type: process, command: [./none, \"{port}\"], ports: " +
              std::to_string(port_) + "-" + std::to_string(port_) + "}}\n";
      ++port_;
    }
    rig_.Write("services.d/" + prefix + ".yaml", yaml);
  }
  // Every tick ends for at least one of those that hang what is not known of it.
  void AwaitSettledWithin(int ticks, int instances) {
    for (int i = 0; i < ticks && !rig_.Settled("web", instances); ++i) AwaitMoreTicks(1);
    EXPECT_TRUE(rig_.Settled("web", instances)) << rig_.Explain("web");
  }

  int port_ = 3000;  // nothing is started there
  Supervisor supervisor_{Socket()};
};

TEST_F(PoliciesTest, ThreeHundredThatHangKeepNeitherSystemdNorTheOthersWaiting) {
  WriteHanging("a-", 30);
  WriteHanging("z-", 270);
  Load(2);
  WriteWeb();  // of the same interval, between them
  rig_.Start();
  AwaitSettledWithin(400, 2);
  Load(4);
  AwaitSettledWithin(400, 4);
  EXPECT_GT(rig_.Metric("autoscaled_policy_unserved_total"), 0) << "or nobody had to wait";
  EXPECT_EQ(rig_.Get("/healthz").status, 200);
  EXPECT_LT(supervisor_.LongestSilence(), kWatchdog) << "systemd would have ended it";
  EXPECT_TRUE(Says(rig_.daemon().Errors(), {"more than 100 ms in one evaluation (limits.wall of "
                                            "service a-0)"}));
  EXPECT_EQ(rig_.Metric("autoscaled_worker_restarts_total"), 0);
}

}  // namespace
}  // namespace autoscale
