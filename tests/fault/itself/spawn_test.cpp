// No more processes may be started.
#include <cstdlib>

#include "tests/fault/itself/itself.h"

namespace autoscale {
namespace {

class SpawnTest : public ItselfTest {
 protected:
  SpawnTest() {
    rig_.RunUnder({"/usr/bin/env", "LD_PRELOAD=" + BuiltProgram("tests/libspawn_shim.so"),
                   "SPAWN_FAILS=" + Marker(), "ASAN_OPTIONS=verify_asan_link_order=0"});
  }
  void Forbid() { rig_.Write("no-more-processes", ""); }
  void Allow() { std::filesystem::remove(Marker()); }

 private:
  std::string Marker() const { return rig_.folder() / "no-more-processes"; }
};

TEST_F(SpawnTest, WithoutProcessesItHoldsTellsAndRecovers) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  Forbid();
  Load(3);
  AwaitLog({"could not start an instance: cannot start ", "no more processes may be started"});
  ASSERT_TRUE(Eventually([&] {
    return rig_.Metric("autoscaled_service_problem{service=\"web\"}") == 1;
  })) << rig_.Ctl({"status", "web"}).out;
  SignalWorker(SIGKILL);
  AwaitLog({"not evaluated: policy worker: cannot start "});
  EXPECT_EQ(rig_.BackendPids(), before);
  Allow();
  ExpectWell(before, 4);
}

}  // namespace
}  // namespace autoscale
