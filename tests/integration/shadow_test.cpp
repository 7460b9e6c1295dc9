// A policy tried beside the live one, in the real daemon.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

using nlohmann::json;

constexpr const char* kFollow = "return scale_to(metric(\"load\").value, \"load\")\n";

class ShadowDaemonTest : public testing::Test {
 protected:
  void Load(double value) { rig_.prometheus().Set("load", "web", value); }
  void AwaitSettled(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); }))
        << rig_.Ctl({"status", "web"}).out << rig_.Explain("web");
  }
  json Shadow() {
    return json::parse(rig_.Ctl({"shadow", "web", "-o", "json"}).out, nullptr, false);
  }
  void AwaitEvaluations(int64_t least) {
    ASSERT_TRUE(Eventually([&] {
      const json shadow = Shadow();
      return shadow.is_object() && shadow["evaluations"] >= least;
    })) << rig_.Ctl({"shadow", "web"}).err;
  }

  DaemonRig rig_;
};

TEST_F(ShadowDaemonTest, IsNeverActedOnAndItsFaultsAreItsOwn) {
  rig_.Write("try.lua", "return scale_to(metric('load').value + param('more'), 'more')\n");
  rig_.WriteService("web", kFollow, "max: 6\nshadow: {policy: ../try.lua, params: {more: 2}}\n");
  Load(2);
  rig_.Start();
  AwaitSettled(2);
  AwaitEvaluations(4);
  const json shadow = Shadow();
  EXPECT_EQ(shadow["agreed"].get<int64_t>() + shadow["more"].get<int64_t>() +
                shadow["fewer"].get<int64_t>(),
            shadow["evaluations"].get<int64_t>());
  EXPECT_GT(shadow["more"], 0);
  EXPECT_TRUE(rig_.Settled("web", 2));
  EXPECT_TRUE(Says(rig_.Ctl({"shadow", "web"}).out,
                   {"try.lua is tried beside", "LATEST DIFFERENCES", "\u2192 4", "more"}));
  EXPECT_LT(rig_.Metric("autoscaled_shadow_agreement_ratio{service=\"web\"}"), 1);

  // A restart goes on with it.
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  const int64_t known = shadow["evaluations"];
  rig_.Start();
  AwaitEvaluations(known);
  EXPECT_EQ(Shadow()["since"], shadow["since"]);

  // One that is broken is told at the reload and harms nobody.
  rig_.Write("try.lua", "while true do end\n");
  const DaemonRig::Ended reloaded = rig_.Ctl({"reload"});
  EXPECT_EQ(reloaded.code, 0) << reloaded.err;
  EXPECT_TRUE(Says(reloaded.out + reloaded.err, {"shadow policy"}));
  Load(4);
  AwaitSettled(4);
  AwaitEvaluations(1);
  const json broken = Shadow();
  EXPECT_NE(broken["since"], shadow["since"]);
  EXPECT_EQ(broken["faults"], broken["evaluations"]);
  EXPECT_EQ(rig_.Metric("autoscaled_policy_faults_total"), 0);
  EXPECT_EQ(rig_.Service("web")["problem"], "");
}

TEST_F(ShadowDaemonTest, WithoutOneItSaysHowToHaveOne) {
  rig_.WriteService("web", kFollow);
  Load(1);
  rig_.Start();
  const DaemonRig::Ended none = rig_.Ctl({"shadow", "web"});
  EXPECT_EQ(none.code, 1);
  EXPECT_TRUE(Says(none.err, {"service 'web' has no shadow", "shadow: {policy: FILE}"}));
}

}  // namespace
}  // namespace autoscale
