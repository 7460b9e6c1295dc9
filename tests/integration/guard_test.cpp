// What stops a mistake: the breaker, the step, the budget, and a folder of services that is gone.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

constexpr const char* kFollow = "return scale_to(metric(\"load\").value, \"load\")\n";

class GuardTest : public testing::Test {
 protected:
  void Load(double value) { rig_.prometheus().Set("load", "web", value); }
  void AwaitSettled(int instances) {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled("web", instances); }))
        << rig_.Ctl({"status", "web"}).out << rig_.Explain("web");
  }

  DaemonRig rig_;
};

TEST_F(GuardTest, ABreakerOpensAndAReloadWithTheRemedyClosesIt) {
  rig_.ConfigureDaemon("protection: {failures: 3}\n");
  rig_.WriteService("web", kFollow);
  Load(2);
  rig_.Start();
  AwaitSettled(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const std::string good = ReadWhole(rig_.folder() / "services.d/web.yaml");
  std::string bad = good;
  const std::string program = BuiltProgram("demo/demo-backend");
  bad.replace(bad.find(program), program.size(), "/bin/false");
  rig_.Write("services.d/web.yaml", bad);
  ASSERT_EQ(rig_.Ctl({"reload"}).code, 0);
  Load(3);
  ASSERT_TRUE(Eventually([&] {
    return rig_.Metric("autoscaled_service_breaker_open{service=\"web\"}") == 1;
  })) << rig_.Ctl({"status", "web"}).out;
  Load(1);
  ASSERT_TRUE(Eventually([&] {
    return Says(rig_.Explain("web"), {"scale to 1", "breaker open: 3 actions in a row have failed",
                                      "exited with status 1"});
  })) << rig_.Explain("web");
  EXPECT_TRUE(Says(rig_.Service("web")["problem"],
                   {"breaker open, a person is needed", "`autoscalectl resume web`"}));
  EXPECT_TRUE(Says(rig_.daemon().Errors(), {"nothing is acted on until a person has looked"}));
  EXPECT_EQ(rig_.BackendPids(), before);

  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);  // nor does a crash make it try again
  rig_.Start();
  EXPECT_EQ(rig_.Metric("autoscaled_service_breaker_open{service=\"web\"}"), 1);
  EXPECT_EQ(rig_.BackendPids(), before);

  Load(3);
  rig_.Write("services.d/web.yaml", good);
  ASSERT_EQ(rig_.Ctl({"reload"}).code, 0);
  AwaitSettled(3);
  EXPECT_EQ(rig_.Metric("autoscaled_service_breaker_open{service=\"web\"}"), 0);
}

TEST_F(GuardTest, TheBudgetOfAllServicesIsKeptOverACrash) {
  rig_.ConfigureDaemon("protection: {changes_per_minute: 4}\n");
  rig_.WriteService("web", kFollow);
  Load(6);
  rig_.Start();
  AwaitSettled(4);
  ASSERT_TRUE(Eventually([&] {
    return Says(rig_.Explain("web"), {"0 of 4 changes a minute are left over all services"});
  })) << rig_.Explain("web");
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  ASSERT_TRUE(Eventually([&] { return rig_.Metric("autoscaled_ticks_total") >= 4; }));
  EXPECT_TRUE(rig_.Settled("web", 4));
}

TEST_F(GuardTest, AFolderOfServicesThatIsGoneMustBeMeant) {
  rig_.WriteService("web", kFollow);
  Load(2);
  rig_.Start();
  AwaitSettled(2);
  std::filesystem::remove(rig_.folder() / "services.d/web.yaml");
  const DaemonRig::Ended refused = rig_.Ctl({"reload"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(Says(refused.err, {"no service is configured any more", "reload --remove-all"}));
  EXPECT_TRUE(rig_.Settled("web", 2));
  EXPECT_EQ(rig_.Ctl({"reload", "--remove-all"}).code, 0);
  EXPECT_TRUE(Eventually([&] { return rig_.Backends().empty(); }));
}

TEST_F(GuardTest, ScaleInsAreCutByWhatIsProtectedAndWhatThePolicyWouldTakeBack) {
  rig_.WriteService("web",
                    "local v = metric('load').value\n"
                    "if v > 0.8 then return scale_up(1, 'hot') end\n"
                    "if v < 0.5 then return scale_down(3, 'cold') end\n"
                    "return hold('fine')\n",
                    "max: 4\n");
  std::string text = ReadWhole(rig_.folder() / "services.d/web.yaml");
  const std::string shared = "load: shared";
  ASSERT_NE(text.find(shared), std::string::npos) << text;
  text.replace(text.find(shared), shared.size(),
               "load: {query: load, unit: count, match: {service: web}, series: load, "
               "spread: true}");
  rig_.Write("services.d/web.yaml", text);
  Load(0.9);
  rig_.Start();
  AwaitSettled(4);
  Load(0.45);  // of 4, at 1: 1.8, at 2: 0.9, at 3: 0.6; of 3, at 2: 0.675; of 2, at 1: 0.9
  AwaitSettled(2);
  EXPECT_TRUE(Says(rig_.Ctl({"history", "web", "-o", "json"}).out,
                   {"at 1 instance load would be 1.8 and the policy would ask for 2: cut to 3"}));
  const std::string id = rig_.Service("web")["instances"][1]["id"];
  const DaemonRig::Ended kept =
      rig_.Ctl({"protect", "web", id, "--for", "1h", "--reason", "a debugger is on it"});
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_EQ(rig_.Ctl({"protect", "web", "web-0"}).code, 1);
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  Load(0.1);
  rig_.Start();
  AwaitSettled(1);
  EXPECT_EQ(rig_.Service("web")["instances"][0]["id"], id);
  EXPECT_TRUE(Says(rig_.Ctl({"status", "web"}).out, {"protected until", "debugger"}));
}

}  // namespace
}  // namespace autoscale
