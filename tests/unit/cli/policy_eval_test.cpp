#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.h"

namespace autoscale::cli {
namespace {

constexpr const char* kService = R"(service: web
policy: web.lua
min: 1
max: 10
metrics:
  cpu:
    unit: ratio
    query: cpu
    max_age: 30s
  errors:
    unit: ratio
    query: errors
    when_empty: 0
    when_nan: 0
scaling:
  up: {limits: [{instances: 3, period: 1m}]}
  down: {stabilization: 5m}
provider:
  type: some-cloud
  anything: goes
)";

constexpr const char* kPolicy = R"(local cpu = metric "cpu"
local errors = metric "errors"
if errors.value > 0.05 then return hold("errors are high") end
state.ticks = (state.ticks or 0) + 1
return track(cpu, 0.60)
)";

class PolicyEvalTest : public ::testing::Test {
 protected:
  PolicyEvalTest() {
    std::string form = ::testing::TempDir() + "evalXXXXXX";
    folder_ = mkdtemp(form.data());
    Write("web.yaml", kService);
    Write("web.lua", kPolicy);
  }
  ~PolicyEvalTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  int Eval(const std::string& input, const std::string& name = "") {
    out_.str("");
    err_.str("");
    return RunPolicyEval(context_, {.service_file = folder_ + "/web.yaml",
                                    .name = name,
                                    .input_file = Write("input.json", input)});
  }
  // The output's JSON; the exit must be 0.
  nlohmann::json Answer(const std::string& input) {
    EXPECT_EQ(Eval(input), kExitOk) << err_.str();
    return nlohmann::json::parse(out_.str(), nullptr, false);
  }

  std::string folder_;
  std::ostringstream out_, err_;
  Context context_{.out = out_, .err = err_};
};

TEST_F(PolicyEvalTest, PrintsProposalStagesAndDecision) {
  const auto json = Answer(R"({"now": 1000, "capacity": {"desired": 4, "ready": 4},
                               "metrics": {"cpu": {"value": 0.91, "age": 1, "coverage": 1}}})");
  // track: ceil(4 * 0.91 / 0.60) = ceil(6.07) = 7; at most 3 a minute: 4 + 3 = 7.
  EXPECT_EQ(json["service"], "web");
  EXPECT_EQ(json["now"], 1000);
  EXPECT_EQ(json["proposal"]["kind"], "track");
  EXPECT_EQ(json["proposal"]["capacity"], 7);
  EXPECT_EQ(json["proposal"]["at"], "web.lua:5");
  EXPECT_EQ(json["decision"]["before"], 4);
  EXPECT_EQ(json["decision"]["desired"], 7);
  ASSERT_EQ(json["stages"].size(), 4u);
  EXPECT_EQ(json["stages"][0]["name"], "stabilization");
  EXPECT_EQ(json["stages"][1]["name"], "rate");
  EXPECT_EQ(json["metrics"]["cpu"]["state"], "fresh");
  EXPECT_EQ(json["metrics"]["errors"]["value"], 0.0);
  EXPECT_EQ(json["metrics"]["errors"]["substituted"], true);
}

TEST_F(PolicyEvalTest, HistoryReachesTheStages) {
  // Proposed 7 half a minute ago: within five minutes nothing shrinks below it; and 2 -> 4 in the
  // last minute leaves one of three, 2 + 3 = 5.
  const std::string history =
      R"("history": [{"at": 960, "proposal": 2, "applied": 2},
                     {"at": 970, "proposal": 7, "applied": 4}])";
  auto json =
      Answer(R"({"now": 1000, "capacity": {"desired": 4}, "metrics": {"cpu": {"value": 0.1}},
                         )" +
             history + "}");
  EXPECT_EQ(json["proposal"]["capacity"], 1);  // ceil(4 * 0.1 / 0.6) = 1
  EXPECT_EQ(json["decision"]["desired"], 4);
  json = Answer(R"({"now": 1000, "capacity": {"desired": 4}, "metrics": {"cpu": {"value": 1.2}},
                    )" +
                history + "}");
  EXPECT_EQ(json["proposal"]["capacity"], 8);  // ceil(4 * 1.2 / 0.6) = 8
  EXPECT_EQ(json["decision"]["desired"], 5);
}

TEST_F(PolicyEvalTest, HoldsForSamplesThatCannotBeTrusted) {
  const auto hold = [&](const std::string& cpu) {
    const auto json =
        Answer(R"({"now": 1000, "capacity": {"desired": 4}, "metrics": {"cpu": )" + cpu + "}}");
    EXPECT_EQ(json["proposal"]["kind"], "hold") << cpu;
    EXPECT_EQ(json["proposal"]["cause"], "metric") << cpu;
    EXPECT_EQ(json["decision"]["desired"], 4) << cpu;
    return json["metrics"]["cpu"]["state"].get<std::string>();
  };
  EXPECT_EQ(hold(R"({"value": 0.1, "age": 31})"), "stale");  // max_age 30s
  EXPECT_EQ(hold(R"({"value": 0.1, "coverage": 0.5})"), "partial");
  EXPECT_EQ(hold(R"({"state": "nan"})"), "nan");
  EXPECT_EQ(hold(R"({"state": "error"})"), "error");
  EXPECT_EQ(hold(R"({})"), "empty");
}

TEST_F(PolicyEvalTest, StateCanBeHandedToTheNextEvaluation) {
  const std::string input = R"({"now": 1000, "capacity": {"desired": 4},
                                "metrics": {"cpu": {"value": 0.6}})";
  const auto first = Answer(input + "}");
  ASSERT_TRUE(first.contains("state")) << out_.str();
  const auto second = Answer(input + R"(, "state": )" + first["state"].dump() + "}");
  EXPECT_NE(second["state"], first["state"]);
}

TEST_F(PolicyEvalTest, RefusesBadInputWithItsPath) {
  EXPECT_EQ(Eval(R"({"now": 1, "capacity": {"desired": 1}, "metrics": {"cpi": {}}})"), kExitUsage);
  EXPECT_NE(err_.str().find("metrics.cpi: the service has no such metric; it declares cpu, errors"),
            std::string::npos)
      << err_.str();
  EXPECT_EQ(out_.str(), "");
}

TEST_F(PolicyEvalTest, RefusesAFileThatIsNotThere) {
  EXPECT_EQ(RunPolicyEval(context_, {.service_file = folder_ + "/web.yaml",
                                     .input_file = folder_ + "/none.json"}),
            kExitUsage);
  EXPECT_NE(err_.str().find("none.json: No such file"), std::string::npos) << err_.str();
  EXPECT_EQ(RunPolicyEval(context_, {.service_file = folder_ + "/none.yaml", .input_file = "-"}),
            kExitUsage);
}

TEST_F(PolicyEvalTest, RefusesAConfigurationWithErrors) {
  Write("web.yaml", "service: web\npolicy: web.lua\nmixn: 1\n");
  EXPECT_EQ(Eval(R"({"now": 1, "capacity": {"desired": 1}})"), kExitUsage);
  EXPECT_NE(err_.str().find("web.yaml:3:"), std::string::npos) << err_.str();
}

TEST_F(PolicyEvalTest, RefusesAPolicyThatCannotWork) {
  Write("web.lua", "return track(metric \"cpu\", 75)\n");  // 75 of a ratio
  EXPECT_EQ(Eval(R"({"now": 1, "capacity": {"desired": 1}})"), kExitUsage);
  EXPECT_NE(err_.str().find("web.lua:1"), std::string::npos) << err_.str();
}

TEST_F(PolicyEvalTest, AsksWhichServiceOfSeveral) {
  Write("web.yaml", R"(metrics: {cpu: {unit: ratio, query: cpu}, errors: {unit: ratio, query: e}}
services:
  - {service: a, policy: web.lua, min: 1, max: 2, metrics: {cpu: shared, errors: shared}}
  - {service: b, policy: web.lua, min: 1, max: 2, metrics: {cpu: shared, errors: shared}}
)");
  const std::string input = R"({"now": 1, "capacity": {"desired": 1}})";
  EXPECT_EQ(Eval(input), kExitUsage);
  EXPECT_NE(err_.str().find("several services; choose with --name: a, b"), std::string::npos)
      << err_.str();
  EXPECT_EQ(Eval(input, "c"), kExitUsage);
  EXPECT_NE(err_.str().find("no service 'c'; choose with --name: a, b"), std::string::npos)
      << err_.str();
  EXPECT_EQ(Eval(input, "b"), kExitOk) << err_.str();
}

}  // namespace
}  // namespace autoscale::cli
