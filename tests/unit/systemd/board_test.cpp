#include "providers/systemd/board.h"

#include <gtest/gtest.h>

#include "tests/unit/systemd/fake_unit_bus.h"

namespace autoscale {
namespace {

TEST(SystemdBoard, AsksForNothingWhileNothingIsFollowed) {
  EventLoop loop;
  FakeSystemd systemd(loop);
  UnitBoard board(loop, systemd.Connect(),
                  {.changed = [&] { loop.Stop(); }, .job_ended = [](const auto&, const auto&) {}});
  systemd.Set("other@1.service", "activating", "start");
  board.Refresh();
  const EventLoop::TimerId end = loop.After(Millis(50), [&] { loop.Stop(); });  // after its own
  loop.Run();
  loop.Cancel(end);
  EXPECT_EQ(systemd.lists, 0);
  EXPECT_TRUE(board.units().empty());
  EXPECT_EQ(board.asked(), 0u);

  systemd.Set("web@1.service", "activating", "start");
  board.Follow({"web@*.service"});
  board.Refresh();
  loop.Run();
  EXPECT_EQ(systemd.lists, 1);
  EXPECT_EQ(board.units().size(), 1u);
  EXPECT_EQ(board.PhaseOf("web@1.service"), UnitPhase::kStarting);
}

}  // namespace
}  // namespace autoscale
