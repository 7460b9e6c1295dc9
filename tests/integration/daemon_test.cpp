// What the daemon does for its users while all is well, and what it refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

// As many instances as the load says; returned at line 3.
constexpr const char* kFollow =
    "local load = metric \"load\"\n"
    "\n"
    "return scale_to(load.value, \"so many are asked for\")\n";

class DaemonTest : public testing::Test {
 protected:
  void Load(double value, const std::string& service = "web") {
    rig_.prometheus().Set("load", service, value);
  }
  // The daemon with one service, that has come to `instances`.
  void StartWith(int instances) {
    Load(instances);
    rig_.WriteService("web", kFollow);
    rig_.Start();
    AwaitSettled(instances);
  }
  void AwaitSettled(int instances, const std::string& service = "web") {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled(service, instances); }))
        << rig_.Ctl({"status", service}).out << rig_.Explain(service);
  }

  DaemonRig rig_;
};

TEST_F(DaemonTest, FollowsTheLoadOutAndInAndExplainsIt) {
  StartWith(1);
  const std::set<pid_t> first = rig_.BackendPids();
  Load(3);
  AwaitSettled(3);
  EXPECT_EQ(rig_.Backends().size(), 3u);
  EXPECT_TRUE(rig_.BackendPids().count(*first.begin())) << "a scale-out replaced an instance";

  const DaemonRig::Ended history = rig_.Ctl({"history", "web", "-o", "json"});
  const auto records = nlohmann::json::parse(history.out, nullptr, false)["records"];
  ASSERT_FALSE(records.empty()) << history.out << history.err;
  // A later tick may have been kept too: that it holds.
  const auto scaled = std::find_if(records.begin(), records.end(), [](const auto& record) {
    return record["decision"]["before"] == 1 && record["decision"]["desired"] == 3;
  });
  ASSERT_NE(scaled, records.end()) << history.out;
  const std::string id = std::to_string((*scaled)["id"].get<int>());
  const std::string text = rig_.Ctl({"explain", "--decision", id}).out;
  EXPECT_TRUE(Says(text, {"1 → 3 instances", "so many are asked for", "web.lua:3"}));
  EXPECT_TRUE(Says(text, {"load", "fresh", "100 %"}));
  for (const char* stage : {"stabilization", "rate", "cooldown", "bounds"}) {
    EXPECT_TRUE(Says(text, {stage}));
  }
  const nlohmann::json web = rig_.Service("web");
  for (const auto& instance : web["instances"]) {
    if (instance["endpoint"].get<std::string>().ends_with(
            std::to_string(rig_.Backends()[*first.begin()]))) {
      continue;
    }
    EXPECT_TRUE(Says(text, {instance["id"], instance["endpoint"]}));
  }

  Load(1);
  AwaitSettled(1);
  EXPECT_TRUE(Eventually([&] { return rig_.Backends().size() == 1; }));
}

TEST_F(DaemonTest, KeepsWithinTheBounds) {
  StartWith(1);
  Load(1000);
  AwaitSettled(6);
  EXPECT_TRUE(Says(rig_.Explain("web"), {"bounds"}));
  Load(0);
  AwaitSettled(1);
}

TEST_F(DaemonTest, AnswersOverHttp) {
  StartWith(2);
  EXPECT_EQ(rig_.Get("/healthz").status, 200);
  EXPECT_EQ(rig_.Get("/readyz").status, 200);
  EXPECT_EQ(rig_.Get("/nothing").status, 404);
  EXPECT_EQ(rig_.Metric("autoscaled_service_desired_instances{service=\"web\"}"), 2);
  EXPECT_EQ(rig_.Metric("autoscaled_service_ready_instances{service=\"web\"}"), 2);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_started_total"), 2);
  EXPECT_GT(rig_.Metric("autoscaled_ticks_total"), 0);
  EXPECT_TRUE(
      Says(rig_.Get("/metrics").body, {"autoscaled_instance_cpu_seconds_total{service=\"web\""}));
}

TEST_F(DaemonTest, APausedServiceStaysUntilItIsResumed) {
  StartWith(1);
  ASSERT_EQ(rig_.Ctl({"pause", "web", "--reason", "a deploy"}).code, 0);
  Load(3);
  ASSERT_TRUE(Eventually([&] {
    const std::string text = rig_.Explain("web");
    return text.find("PAUSED") != std::string::npos && text.find("scale to 3") != std::string::npos;
  })) << rig_.Explain("web");
  EXPECT_TRUE(rig_.Settled("web", 1));
  EXPECT_TRUE(Says(rig_.Ctl({"status"}).out, {"paused: a deploy"}));

  EXPECT_EQ(rig_.End(SIGTERM), 0);  // a pause survives
  rig_.Start();
  EXPECT_TRUE(Eventually([&] { return rig_.Settled("web", 1); }));
  EXPECT_EQ(rig_.Service("web")["paused"], true);
  ASSERT_EQ(rig_.Ctl({"resume", "web"}).code, 0);
  AwaitSettled(3);
  EXPECT_EQ(rig_.Ctl({"pause", "nobody"}).code, 1);
}

TEST_F(DaemonTest, ABrokenReloadChangesNothing) {
  StartWith(1);
  const std::string good = ReadWhole(rig_.folder() / "services.d/web.yaml");
  rig_.Write("services.d/web.yaml", good + "minimum: 2\nstart_timeuot: 5s\n");
  const DaemonRig::Ended refused = rig_.Ctl({"reload"});
  EXPECT_EQ(refused.code, 1);
  const auto last = std::count(good.begin(), good.end(), '\n');
  for (const auto line : {last + 1, last + 2}) {
    EXPECT_TRUE(Says(refused.err, {"services.d/web.yaml:" + std::to_string(line) + ": "}));
  }
  Load(2);
  AwaitSettled(2);

  rig_.Write("services.d/web.yaml", good + "min: 3\n");
  const DaemonRig::Ended taken = rig_.Ctl({"reload"});
  EXPECT_EQ(taken.code, 0) << taken.err;
  EXPECT_TRUE(Says(taken.out, {"1 changed"}));
  AwaitSettled(3);
}

TEST_F(DaemonTest, AReloadBySignalTellsTheLogWhatItWarnsOf) {
  StartWith(1);
  const std::string good = ReadWhole(rig_.folder() / "autoscaled.yaml");
  rig_.Write("autoscaled.yaml", good + "protection: {changes_per_minute: 7}\n");
  rig_.daemon().Signal(SIGHUP);
  EXPECT_TRUE(Eventually([&] {
    return Says(rig_.daemon().Errors(),
                {"the configuration has a warning", "autoscaled.yaml", "only after a restart"});
  }));
}

TEST_F(DaemonTest, ChecksAConfigurationWithoutUsingIt) {
  rig_.WriteService("web", "return scale_to(metric(\"laod\").value)\n");
  const auto check = rig_.Launch({"--check-config"});
  EXPECT_EQ(check->Wait(), 2);
  EXPECT_TRUE(Says(check->Errors(), {"services.d/web.yaml:1: ", "laod"}));
  const auto start = rig_.Launch({});
  EXPECT_EQ(start->Wait(), 2);
  EXPECT_EQ(start->Errors(), check->Errors());

  rig_.Write("policies/web.lua", kFollow);
  const auto fine = rig_.Launch({"--check-config"});
  EXPECT_EQ(fine->Wait(), 0) << fine->Errors();
  EXPECT_FALSE(std::filesystem::exists(rig_.folder() / "state"));
}

TEST_F(DaemonTest, ADryRunStartsNothing) {
  Load(4);
  rig_.WriteService("web", kFollow);
  rig_.Start({"--dry-run"});
  ASSERT_TRUE(Eventually([&] {
    return rig_.Explain("web").find("scale to 4") != std::string::npos;
  })) << rig_.Explain("web");
  EXPECT_TRUE(Says(rig_.Explain("web"), {"DRY RUN"}));
  EXPECT_EQ(rig_.Service("web")["dry_run"], true);
  EXPECT_TRUE(rig_.Backends().empty());
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  EXPECT_TRUE(rig_.Backends().empty());
}

TEST_F(DaemonTest, ASecondDaemonIsRefused) {
  StartWith(1);
  const auto second = rig_.Launch({});
  EXPECT_EQ(second->Wait(), 1);
  EXPECT_TRUE(
      Says(second->Errors(), {"another autoscaled (process " + std::to_string(rig_.daemon().pid()) +
                                  ") uses the state folder",
                              "stop it, or give this one a state_dir of its own"}));
  EXPECT_TRUE(rig_.Settled("web", 1));
}

TEST_F(DaemonTest, APolicyThatLoopsCostsOnlyItsService) {
  Load(1);
  Load(1, "other");
  rig_.WriteService("web", kFollow);
  rig_.WriteService("other",
                    "local load = metric \"load\"\n"
                    "while load.value == 4321 do end\n"
                    "return scale_to(load.value)\n");
  rig_.Start();
  AwaitSettled(1, "other");
  Load(4321, "other");
  ASSERT_TRUE(Eventually([&] {
    return rig_.Explain("other").find("other.lua:2: more than 200000 instructions") !=
           std::string::npos;
  })) << rig_.Explain("other");
  Load(3);
  AwaitSettled(3);
  EXPECT_TRUE(rig_.Settled("other", 1));
  EXPECT_GT(rig_.Metric("autoscaled_policy_faults_total"), 0);

  Load(2, "other");
  AwaitSettled(2, "other");
}

}  // namespace
}  // namespace autoscale
