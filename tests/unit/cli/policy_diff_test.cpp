#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.h"

namespace autoscale::cli {
namespace {

constexpr const char* kScenario = R"(metrics: {cpu: ratio}
max: 10
scaling: {down: {stabilization: 0s, max_step_percent: 100}}
---
at 0s cpu total is 1.2
at 1m cpu total is 2.4
at 10m cpu total is 1.2
at 60m cpu is missing
)";

class PolicyDiffTest : public ::testing::Test {
 protected:
  PolicyDiffTest() {
    std::string form = ::testing::TempDir() + "pdiffXXXXXX";
    folder_ = mkdtemp(form.data());
    Write("old.lua", "return track(metric 'cpu', 0.6)\n");
    Write("new.lua", "return track(metric 'cpu', 0.4)\n");
    Write("same.lua", "return track(metric 'cpu', 0.60)\n");
    Write("load.scenario", kScenario);
    Write("web.yaml",
          "service: web\npolicy: old.lua\nmax: 10\n"
          "metrics: {cpu: {unit: ratio, query: cpu, series: cpu}}\n");
  }
  ~PolicyDiffTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  int Diff(const std::string& a, const std::string& b, const std::string& input,
           bool service = false) {
    out_.str("");
    err_.str("");
    PolicyDiffOptions options{.old_policy = folder_ + "/" + a,
                              .new_policy = folder_ + "/" + b,
                              .inputs = {folder_ + "/" + input}};
    if (service) options.service_file = folder_ + "/web.yaml";
    return RunPolicyDiff(context_, options);
  }
  nlohmann::json Json(const std::string& input, bool service = false) {
    context_.json = true;
    EXPECT_EQ(Diff("old.lua", "new.lua", input, service), kExitFailed) << err_.str();
    return nlohmann::json::parse(out_.str(), nullptr, false);
  }
  void ExpectSaid(const std::string& text) const {
    EXPECT_NE(out_.str().find(text), std::string::npos) << text << "\nin:\n" << out_.str();
  }

  std::string folder_;
  std::ostringstream out_, err_;
  Context context_{.out = out_, .err = err_};
};

TEST_F(PolicyDiffTest, TheSameIsTold) {
  EXPECT_EQ(Diff("old.lua", "same.lua", "load.scenario"), kExitOk) << err_.str();
  ExpectSaid("load.scenario: differ in 0 of 241 ticks\n");
}

TEST_F(PolicyDiffTest, AScenarioIsRunWithBoth) {
  EXPECT_EQ(Diff("old.lua", "new.lua", "load.scenario"), kExitFailed) << err_.str();
  ExpectSaid("  0s  old  1 → 2: cpu 1.2 is above its target 0.6");
  ExpectSaid("  0s  new  1 → 3: cpu 1.2 is above its target 0.4");
  const auto json = Json("load.scenario");
  EXPECT_EQ(json["same"], false);
  const auto& input = json["inputs"][0];
  EXPECT_EQ(input["ticks"], 241);
  EXPECT_EQ(input["differences"][0]["at"], "0s");
  EXPECT_EQ(input["differences"][0]["old"]["decision"]["desired"], 2);
  EXPECT_EQ(input["differences"][0]["new"]["decision"]["desired"], 3);
  EXPECT_EQ(input["old"]["highest"], 4);  // 2.4 / 0.6
  EXPECT_EQ(input["new"]["highest"], 6);  // 2.4 / 0.4
  EXPECT_EQ(input["old"]["changes"], 3);  // 2, 4, 2
  // 4 ticks of 2, 36 of 4, 201 of 2, at 15 s.
  EXPECT_DOUBLE_EQ(input["old"]["instance_hours"], (4 * 2 + 36 * 4 + 201 * 2) * 15 / 3600.0);
}

TEST_F(PolicyDiffTest, LinesOfJsonFollowEachOther) {
  Write("count.lua", "state.n = (state.n or 0) + 1; return scale_to(2 + state.n)\n");
  Write("two.lua", "return scale_to(3)\n");
  Write("inputs.jsonl", R"({"now": 1000, "capacity": {"desired": 2}}

{"now": 1015, "capacity": {"desired": 2}}
)");
  EXPECT_EQ(Diff("two.lua", "count.lua", "inputs.jsonl", true), kExitFailed) << err_.str();
  ExpectSaid("differ in 1 of 2 ticks\n");
  ExpectSaid("1970-01-01 00:16:55  new  2 → 4");
  Write("one.json", "{\"now\": 1000,\n \"capacity\": {\"desired\": 2}}\n");
  EXPECT_EQ(Diff("two.lua", "count.lua", "one.json", true), kExitOk) << err_.str();
}

TEST_F(PolicyDiffTest, TroubleIsNoDifference) {
  const auto trouble = [&](const std::string& a, const std::string& input, bool service,
                           const std::string& says) {
    EXPECT_EQ(Diff(a, "new.lua", input, service), kExitUsage);
    EXPECT_NE(err_.str().find(says), std::string::npos) << err_.str();
  };
  trouble("none.lua", "load.scenario", false, "none.lua: No such file");
  trouble("old.lua", "none.scenario", false, "none.scenario: No such file");
  trouble("old.lua", "web.yaml", false, "give --service FILE");
  trouble("old.lua", "web.yaml", true, "input 1: not JSON");
  Write("bad.scenario", "max: 3\n---\nwhen\n");
  trouble("old.lua", "bad.scenario", false, "bad.scenario:3: a line begins with");
  Write("misfit.lua", "return track(metric 'cpu', 75)\n");
  trouble("misfit.lua", "load.scenario", false, "the daemon would refuse this policy");
  Write("back.jsonl",
        "{\"now\": 5, \"capacity\": {\"desired\": 2}}\n{\"now\": 4, \"capacity\": {\"desired\": "
        "2}}\n");
  trouble("old.lua", "back.jsonl", true, "input 2: now is before");
}

}  // namespace
}  // namespace autoscale::cli
