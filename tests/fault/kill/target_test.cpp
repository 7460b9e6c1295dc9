// The daemon dies by SIGKILL at each fault point that a target with a capacity passes, on the way
// out and on the way in; started again it must go on as if nothing had been. The providers differ
// in how they ask, not in what is stored before and looked at after it: here it is the provider
// `http`.
#include <csignal>
#include <set>
#include <sstream>

#include "net/fault_point.h"
#include "tests/fault/kill/judge.h"
#include "tests/integration/http_target.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

constexpr int kFew = 2, kMany = 4;

class TargetKillTest : public HttpTargetTest {
 protected:
  // Starts a daemon that dies at the point while the capacity moves; whether it did.
  bool Dies(const std::string& point, int to) {
    const auto daemon = StartArmed(rig_, point);
    Load(to);
    const auto ended = daemon->Wait(seconds(3));
    if (!ended) daemon->Signal(SIGKILL);
    EXPECT_EQ(daemon->Wait(), 128 + SIGKILL) << daemon->Errors();
    return ended.has_value();
  }
};

TEST_F(TargetKillTest, LosesNothingAtAnyPoint) {
  // What has to be passed, else this shows nothing.
  std::set<std::string> unmet = {"services-taken-up", "first-observation", "tick-decided",
                                 "batch-composed",    "batch-written",     "batch-committed",
                                 "before-launch",     "launch-answered",   "before-publish",
                                 "published",         "confirmed",         "drain-entered",
                                 "drain-finished"};
  const std::set<std::string> points = unmet;
  manager_.Resize(kFew);
  Load(kFew);
  rig_.Start();
  Await(kFew);
  for (const std::string& point : points) {
    SCOPED_TRACE(point);
    for (const int to : {kMany, kFew}) {
      Kill(rig_);
      if (Dies(point, to)) unmet.erase(point);
      rig_.Start();
      Await(static_cast<size_t>(to));
      ASSERT_FALSE(HasFailure());
      EXPECT_EQ(manager_.undrained(), 0);
      EXPECT_LE(manager_.most(), static_cast<size_t>(kMany));
    }
  }
  EXPECT_EQ(unmet, std::set<std::string>{});
}

}  // namespace
}  // namespace autoscale
