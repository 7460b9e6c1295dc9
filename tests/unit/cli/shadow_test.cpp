#include "cli/shadow.h"

#include <gtest/gtest.h>

namespace autoscale::cli {
namespace {

v1::Shadow Tried() {
  v1::Shadow shadow;
  shadow.set_service("web");
  shadow.set_live_policy("web.lua");
  shadow.set_policy("try.lua");
  shadow.mutable_since()->set_seconds(1'767'312'000);
  return shadow;
}

const Style kStyle{.now = TimePoint(std::chrono::seconds(1'767'319'200)), .width = 120};

TEST(RenderShadow, ShowsSharesCostAndDifferences) {
  v1::Shadow shadow = Tried();
  shadow.set_evaluations(200);
  shadow.set_agreed(190);
  shadow.set_more(2);
  shadow.set_fewer(8);
  shadow.set_stays(6);
  shadow.set_moves(4);
  shadow.set_hours(2);
  shadow.set_live_instance_hours(10);
  shadow.set_instance_hours(9.5);
  v1::ShadowExample* example = shadow.add_examples();
  example->mutable_at()->set_seconds(1'767'319'000);
  example->set_before(2);
  example->set_live(5);
  example->set_shadow(4);
  example->set_live_reason("load\x1b[31m");
  example->set_shadow_reason("less load");
  EXPECT_EQ(RenderShadow(shadow, kStyle),
            "web: try.lua is tried beside web.lua, and never acted on\n"
            "  since              2026-01-02 00:00:00 UTC (2 h ago), 200 evaluations\n"
            "  the same capacity  190 (95.0 %)\n"
            "  more instances     2 (1.0 %)\n"
            "  fewer instances    8 (4.0 %)\n"
            "  stays, live moves  6 (3.0 %)\n"
            "  moves, live stays  4 (2.0 %)\n"
            "  it asked for       9.5 instance-hours instead of 10 (-5.0 %), over 2 hours\n"
            "\n"
            "  LATEST DIFFERENCES          WANTED  BECAUSE\n"
            "  01:56:40 UTC        live    2 → 5   load [31m\n"
            "                      shadow  2 → 4   less load\n");
}

TEST(RenderShadow, ShowsWhatIsWrongWithIt) {
  v1::Shadow shadow = Tried();
  EXPECT_EQ(RenderShadow(shadow, kStyle),
            "web: try.lua is tried beside web.lua, and never acted on\n"
            "  since  2026-01-02 00:00:00 UTC (2 h ago), 0 evaluations\n");
  shadow.set_evaluations(4);
  shadow.set_faults(4);
  shadow.set_fault("try.lua:1: more than 200000 instructions");
  shadow.set_hours(1);
  shadow.set_live_instance_hours(2);
  shadow.set_instance_hours(3);
  shadow.set_cost_per_hour(0.5);
  const std::string text = RenderShadow(shadow, kStyle);
  EXPECT_NE(text.find("  faults             4 (100.0 %)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("1.5 instead of 1"), std::string::npos) << text;
  EXPECT_NE(text.find("  fails now          try.lua:1: more than 200000 instructions\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace autoscale::cli
