#include "simulator/scenario.h"

#include "simulator/test_report.h"
#include "tests/unit/simulator/files.h"

namespace autoscale {
namespace {

constexpr const char* kHeader = R"(policy: web.lua
params: {target: 0.6}
metrics: {cpu: ratio, errors: {unit: ratio, when_empty: 0}}
min: 2
max: 10
scaling: {down: {stabilization: 0s, max_step_percent: 100}}
---
)";
constexpr int kHeaderLines = 7;

class ScenarioTest : public FolderTest {
 protected:
  ScenarioTest() { Write("web.lua", "return track(metric \"cpu\", param \"target\")\n"); }

  // The cases of the header with these lines beneath.
  TestReport Run(const std::string& lines, const std::string& header = kHeader) {
    return RunScenarioFile(Write("web.scenario", header + lines));
  }
  // Their failures, one after the other; empty: all passed.
  std::string Failures(const std::string& lines, const std::string& header = kHeader) {
    std::string text;
    for (const TestCase& test : Run(lines, header)) {
      if (!test.failure.empty()) text += std::to_string(test.line) + ": " + test.failure + "\n";
    }
    return text;
  }
  // What is wrong with one line; empty: nothing.
  std::string Fault(const std::string& line) {
    std::vector<Diagnostic> diagnostics;
    ReadScenario(folder_ + "/web.scenario", kHeader + line + "\n", &diagnostics);
    for (const Diagnostic& diagnostic : diagnostics) {
      EXPECT_EQ(diagnostic.line, kHeaderLines + 1) << diagnostic.message;
    }
    return diagnostics.empty() ? "" : diagnostics[0].message;
  }
};

TEST_F(ScenarioTest, ExpectationsPassAndFailByThemselves) {
  const TestReport report =
      Run("at 0s cpu is 0.9\n"
          "at 0s expect desired is 3\n"  // 2 * 0.9 / 0.6 = 3
          "at 0s expect desired is 4\n");
  ASSERT_EQ(report.size(), 2u);
  EXPECT_EQ(report[0].name, "at 0s expect desired is 3");
  EXPECT_EQ(report[0].line, kHeaderLines + 2);
  EXPECT_EQ(report[0].failure, "");
  EXPECT_EQ(report[1].line, kHeaderLines + 3);
  EXPECT_NE(report[1].failure.find("desired 2 -> 3"), std::string::npos) << report[1].failure;
  EXPECT_NE(report[1].failure.find("cpu 0.9"), std::string::npos) << report[1].failure;
}

TEST_F(ScenarioTest, ATotalIsSharedByTheInstances) {
  EXPECT_EQ(Failures("at 0s cpu total is 3\n"
                     "at 1m expect desired is 5 and wanted is 5\n"
                     "from 1m to 10m expect always desired stays\n"),
            "");
}

TEST_F(ScenarioTest, RampsSpansAndWhatLasts) {
  Write("web.lua", "return scale_to(metric(\"cpu\").value * 10)\n");
  EXPECT_EQ(Failures("at 0s cpu is 0.2\n"
                     "from 1m to 2m cpu is 0.2 -> 0.6\n"  // where it ends it stays
                     "from 3m to 4m cpu is 1\n"           // then as before
                     "from 5m to 6m cpu is missing\n"
                     "at 7m cpu is 0.3, errors is 0.1\n"
                     "at 45s expect desired is 2\n"
                     "at 1m30s expect desired is 4\n"
                     "at 2m expect desired is 6\n"
                     "from 3m to 4m expect desired is 10\n"
                     "at 4m expect desired is 6\n"
                     "from 5m to 6m expect desired is 6 and cause is metric and proposal is hold\n"
                     "from 6m to 7m expect never cause is metric\n"
                     "from 7m expect desired = 3\n"
                     "at 8m expect changes is between 6 and 8\n"),
            "");
}

TEST_F(ScenarioTest, QuantifiersMeanWhatTheySay) {
  const std::string load = "at 0s cpu is 0.3\nat 2m cpu is 0.9\n";  // min 2, then up from 2m on
  EXPECT_EQ(Failures(load + "from 0s to 2m expect always desired is 2\n"
                            "from 0s to 2m expect never desired rises\n"
                            "from 0s to 5m expect sometime desired is above 4\n"
                            "at 2m expect desired is at least 7 within 2m\n"),
            "");
  EXPECT_NE(Failures(load + "from 0s to 5m expect always desired is 2\n"), "");
  EXPECT_NE(Failures(load + "from 0s to 5m expect never desired rises\n"), "");
  EXPECT_NE(Failures(load + "from 0s to 2m expect sometime desired is above 4\n"), "");
  EXPECT_NE(Failures(load + "at 1m expect desired is 10 within 30s\n").find("never came"),
            std::string::npos);
}

TEST_F(ScenarioTest, ReasonsAndStages) {
  const std::string header =
      std::string(kHeader).replace(std::string(kHeader).find("scaling"), std::string::npos,
                                   "scaling: {up: {limits: [{instances: 1, period: 1m}]}}\n---\n");
  EXPECT_EQ(Failures("at 0s cpu is 0.9\n"
                     "at 30s cpu is 1.2\n"
                     "at 30s expect stage rate changed and reason contains \"above its target\"\n"
                     "at 0s expect stage cooldown unchanged and reason lacks \"cooldown\"\n",
                     header),
            "");
  EXPECT_NE(Failures("at 0s cpu is 0.9\nat 0s expect stage rate changed\n", header), "");
}

TEST_F(ScenarioTest, InstancesAndStates) {
  Write("web.lua",
        "local c = metric 'cpu'; if not c.usable then return hold(c.state) end\n"
        "return scale_to(#c.instances)\n");
  EXPECT_EQ(Failures("at 0s cpu each is 0.1 0.2 0.3\n"
                     "at 1m cpu is stale\nat 2m cpu is partial\nat 3m cpu is error\n"
                     "at 4m cpu is nan\nat 5m cpu is implausible\n"
                     "at 0s expect desired is 3\n"
                     "at 1m expect reason contains \"stale\"\n"
                     "at 2m expect reason contains \"partial\"\n"
                     "at 3m expect reason contains \"error\"\n"
                     "at 4m expect reason contains \"nan\"\n"
                     "at 5m expect reason contains \"implausible\"\n"),
            "");
}

TEST_F(ScenarioTest, AFaultyPolicyIsNoQuietHold) {
  Write("web.lua",
        "local v = metric('cpu').value; if v > 0.8 then error('broken') end return hold()\n");
  const std::string text = "at 0s cpu is 0.1\nat 1m cpu is 0.9\nat 1m expect desired is 2\n";
  EXPECT_NE(Failures(text).find("broken"), std::string::npos);
  EXPECT_EQ(Failures(text + "at 1m expect cause is fault\n"), "");
}

TEST_F(ScenarioTest, APolicyThatTheDaemonWouldRefuseIsNotRun) {
  Write("web.lua", "return track(metric 'cpi', 0.5)\n");
  EXPECT_NE(Failures("at 0s expect desired is 2\n").find("the daemon would refuse this policy"),
            std::string::npos);
}

TEST_F(ScenarioTest, FaultsSayWhatWasMeant) {
  EXPECT_EQ(Fault(""), "");
  EXPECT_EQ(Fault("  # only a comment"), "");
  EXPECT_EQ(Fault("when 5m cpu is 1"),
            "a line begins with 'at TIME' or 'from TIME to TIME', not 'when'");
  EXPECT_EQ(Fault("at 5 cpu is 1"),
            "a time is written such as 0s, 90s, 5m, 1h30m or 2026-03-29T08:00:00Z, not '5'");
  EXPECT_EQ(Fault("at 5m"), "expected a metric or 'expect', and the line ends");
  EXPECT_EQ(Fault("at 5m cpy is 1"),
            "unknown metric 'cpy'; did you mean 'cpu'?; the header declares cpu, errors");
  EXPECT_EQ(Fault("at 5m cpu 1"), "expected 'is' and a value, not '1'");
  EXPECT_EQ(Fault("at 5m cpu is high"),
            "expected a number or missing, stale, partial, nan, error or implausible, not 'high'");
  EXPECT_EQ(Fault("at 5m cpu is 1 -> 2"),
            "a change from one value to another needs 'from TIME to TIME'");
  EXPECT_EQ(Fault("from 5m to 5m cpu is 1"), "the time after 'to' must be later than the first");
  EXPECT_EQ(Fault("at 5m cpu is 1 errors is 2"),
            "expected ',' and another metric, or the end of the line, not 'errors'");
  EXPECT_EQ(Fault("at 5m expect"),
            "expected desired, ready, pending, wanted, changes, reason, stage, proposal or cause, "
            "and the line ends");
  EXPECT_EQ(Fault("at 5m expect always desired is 1"),
            "always, never and sometime need a range: from TIME to TIME expect ...");
  EXPECT_EQ(Fault("from 5m expect desired is 1 within 2m"),
            "'within' needs a moment: at TIME expect ... within DURATION");
  EXPECT_EQ(Fault("at 5m expect desired is many"), "expected a number, not 'many'");
  EXPECT_EQ(Fault("at 5m expect stage rates changed"),
            "expected a stage such as stabilization, rate, cooldown, step or bounds, not 'rates'");
  EXPECT_EQ(Fault("at 5m expect reason contains slow"), "expected a text in quotes, not 'slow'");
  EXPECT_EQ(Fault("at 5m expect reason contains \"slow"), "a quote is opened and never closed");
  EXPECT_EQ(Fault("at 2025-01-01T00:00:00Z cpu is 1"),
            "2025-01-01T00:00:00Z is before the scenario's start");
}

TEST_F(ScenarioTest, FaultsOfTheHeaderHaveTheirLines) {
  std::string text = Failures("", "policy: web.lua\nmixn: 1\nmax: 3\n---\n");
  EXPECT_NE(text.find("web.scenario:2: unknown key 'mixn'; did you mean 'min'?"), std::string::npos)
      << text;
  EXPECT_NE(Failures("", "policy: web.lua\nmax: 3\n").find("there is no line '---'"),
            std::string::npos);
  EXPECT_NE(Failures("at 0s cpu is 1\n").find("expects nothing"), std::string::npos);
  EXPECT_NE(Failures("", "policy: web.lua\nmax: 3\nstart: today\n---\n").find("a time is written"),
            std::string::npos);
}

TEST_F(ScenarioTest, IsBounded) {
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "at 0s cpu is 1\n";
  EXPECT_NE(Failures(many).find("more than 2000 loads and expectations"), std::string::npos);
  EXPECT_NE(Failures("at 300d expect desired is 1\n").find("more than 100000 ticks"),
            std::string::npos);
  EXPECT_EQ(Fault("at 400d expect desired is 1"), "a scenario cannot last longer than 366d");
}

TEST_F(ScenarioTest, TakesAServiceAsItIsConfigured) {
  Write("web.yaml", R"(service: web
policy: web.lua
params: {target: 0.6}
min: 3
max: 9
interval: 5s
metrics: {cpu: {unit: ratio, query: cpu, series: cpu}}
provider: {type: some-cloud}
)");
  EXPECT_EQ(Failures("at 0s cpu is 0.9\nat 0s expect desired is 6\nat 5s expect desired is 9\n",
                     "service_file: web.yaml\ndesired: 4\n---\n"),
            "");
}

TEST(ParseTime, TakesOffsetsAndRefusesTheRest) {
  EXPECT_EQ(ToUnixSeconds(*ParseTime("1970-01-02T00:00:00Z")), 86400);
  EXPECT_EQ(ToUnixSeconds(*ParseTime("1970-01-02T02:30+02:30")), 86400);
  EXPECT_EQ(ToUnixSeconds(*ParseTime("1970-01-01T23:00:01-01:00")), 86401);
  for (const char* bad :
       {"", "1970-01-02", "1970-01-02T00:00", "1970-13-02T00:00Z", "1970-02-30T00:00Z",
        "1970-01-02T24:00Z", "1970-01-02T00:60Z", "1970-01-02T00:00:00Zx", "+970-01-02T00:00Z",
        "1970-01-02T00:00+25:00", "1969-12-31T00:00Z"}) {
    EXPECT_FALSE(ParseTime(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace autoscale
