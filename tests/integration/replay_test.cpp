// Stored decisions of the real daemon, made again by autoscalectl: identical, whatever they were
// of.
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

using nlohmann::json;

constexpr const char* kFollow =
    "local load = metric \"load\"\n"
    "return scale_to(load.value, string.format(\"%.17g are asked for\", load.value))\n";
// Keeps what it saw, bytes that are no text too, and looks at it again.
constexpr const char* kMemory =
    "local load = metric \"load\"\n"
    "state.ticks = (state.ticks or 0) + 1\n"
    "state.seen = { sum = ((state.seen or {}).sum or 0) + load.value / 3, raw = \"\\255\\0\" }\n"
    "if load.value > 2.5 then return scale_up(param(\"step\"), \"more than 2.5\") end\n"
    "return scale_down(param(\"step\"), string.format(\"%.17g so far\", state.seen.sum))\n";

class ReplayTest : public testing::Test {
 protected:
  void Load(double value, const std::string& service = "web") {
    rig_.prometheus().Set("load", service, value);
  }
  void AwaitSettled(int instances, const std::string& service = "web") {
    ASSERT_TRUE(Eventually([&] { return rig_.Settled(service, instances); }))
        << rig_.Ctl({"status", service}).out << rig_.Explain(service);
  }
  void AwaitReason(const std::string& service, const std::string& part) {
    ASSERT_TRUE(Eventually([&] { return Says(rig_.Explain(service), {part}); }))
        << rig_.Explain(service);
  }
  json Records(const std::string& service) {
    return json::parse(rig_.Ctl({"history", service, "--limit", "1000", "-o", "json"}).out, nullptr,
                       false)["records"];
  }
  // Every decision of the service that can be made again comes out identical; what they were of
  // goes into seen_.
  void ExpectAllIdentical(const std::string& service) {
    for (const json& record : Records(service)) {
      const std::string id = std::to_string(record["id"].get<int64_t>());
      const DaemonRig::Ended replayed = rig_.Ctl({"replay", id, "-o", "json"});
      if (record["stages"].empty()) {
        EXPECT_TRUE(Says(replayed.err, {"nothing was decided"})) << record.dump(2);
        EXPECT_EQ(replayed.code, 1);
        continue;
      }
      EXPECT_EQ(replayed.code, 0) << replayed.out << replayed.err << record.dump(2);
      const json answer = json::parse(replayed.out, nullptr, false);
      EXPECT_TRUE(answer.value("identical", false));
      ++replays_;
      seen_.insert(record["proposal"]["kind"].get<std::string>());
      seen_.insert(record["proposal"]["cause"].get<std::string>());
      for (const json& stage : record["stages"]) {
        if (stage["before"] != stage["after"]) seen_.insert(stage["name"].get<std::string>());
      }
    }
  }

  DaemonRig rig_;
  std::set<std::string> seen_;
  int replays_ = 0;
};

TEST_F(ReplayTest, DecisionsOfEveryKindComeOutIdenticalAlsoAfterACrash) {
  rig_.WriteService("web", kFollow, "max: 6\n");
  rig_.WriteService("sum", kMemory, "max: 4\nparams: {step: 1, label: \"ä\"}\n");
  std::string yaml = ReadWhole(rig_.folder() / "services.d/sum.yaml");
  const std::string rules = "scaling: {down: {stabilization: 0s, max_step_percent: 100}}";
  yaml.replace(yaml.find(rules), rules.size(),
               "scaling: {up: {cooldown: 1s}, down: {stabilization: 1s, max_step_percent: 100, "
               "limits: [{instances: 1, "
               "period: 1s}]}}");
  rig_.Write("services.d/sum.yaml", yaml);
  Load(1);
  Load(3.1, "sum");
  rig_.Start();
  AwaitSettled(4, "sum");
  AwaitSettled(1);
  Load(3);
  AwaitSettled(3);
  Load(0.1, "sum");
  AwaitSettled(1, "sum");
  ASSERT_EQ(rig_.Ctl({"pause", "web", "--reason", "a release"}).code, 0);
  Load(2);
  AwaitReason("web", "scale to 2");
  EXPECT_EQ(rig_.End(SIGKILL), 128 + SIGKILL);
  rig_.Start();
  ASSERT_EQ(rig_.Ctl({"resume", "web"}).code, 0);
  AwaitSettled(2);
  rig_.prometheus().Stop();
  AwaitReason("web", "metric 'load' is error");

  ExpectAllIdentical("web");
  ExpectAllIdentical("sum");
  for (const char* kind : {"scale_to", "scale_up", "scale_down", "hold", "metric", "pause"}) {
    EXPECT_TRUE(seen_.contains(kind)) << kind;
  }
  EXPECT_GE(replays_, 10);
  // The last tick, which is not stored.
  const DaemonRig::Ended last = rig_.Ctl({"replay", "--last", "sum"});
  EXPECT_EQ(last.code, 0) << last.out << last.err;
  EXPECT_TRUE(Says(last.out, {"identical"}));
}

TEST_F(ReplayTest, WhatTheBudgetGrantedIsPartOfIt) {
  rig_.ConfigureDaemon("protection: {changes_per_minute: 4}\n");
  rig_.WriteService("web", kFollow, "max: 6\n");
  Load(6);
  rig_.Start();
  AwaitSettled(4);
  ExpectAllIdentical("web");
  EXPECT_TRUE(seen_.contains("budget"));
}

TEST_F(ReplayTest, AnotherPolicyOrParameterShowsWhatItWouldHaveDone) {
  rig_.WriteService("web", kFollow);
  Load(2);
  rig_.Start();
  AwaitSettled(2);
  Load(4);
  AwaitSettled(4);
  const json records = Records("web");
  std::string id;
  for (const json& record : records) {
    if (record["decision"]["desired"] == 4 && record["decision"]["before"] == 2) {
      id = std::to_string(record["id"].get<int64_t>());
    }
  }
  ASSERT_FALSE(id.empty()) << records.dump(2);
  rig_.Write("other.lua", "return scale_to(metric('load').value + param('more', 1), 'more')\n");
  const std::string other = rig_.folder() / "other.lua";
  const DaemonRig::Ended differs = rig_.Ctl({"replay", id, "--policy", other});
  EXPECT_EQ(differs.code, 1);
  EXPECT_TRUE(
      Says(differs.out, {"it would", "proposal.capacity", "decision.desired", "4", "5", "more"}));
  const json changed = json::parse(
      rig_.Ctl({"replay", id, "--policy", other, "--param", "more=2", "-o", "json"}).out, nullptr,
      false);
  EXPECT_EQ(changed["result"]["desired"], 6) << changed.dump(2);

  const DaemonRig::Ended misspelt =
      rig_.Ctl({"replay", id, "--policy", other, "--param", "mroe=2"});
  EXPECT_EQ(misspelt.code, 1);
  EXPECT_TRUE(Says(misspelt.err, {"asks for no parameter 'mroe'"}));

  // The policy as it was then, when the file has changed since.
  rig_.Write("policies/web.lua", "return hold('changed')\n");
  ASSERT_EQ(rig_.Ctl({"reload"}).code, 0);
  AwaitReason("web", "changed");
  EXPECT_EQ(rig_.Ctl({"replay", id}).code, 0);

  const DaemonRig::Ended unknown = rig_.Ctl({"replay", "999999"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_TRUE(Says(unknown.err, {"no decision 999999 is stored"}));
}

}  // namespace
}  // namespace autoscale
