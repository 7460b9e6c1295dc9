// What is found before a policy acts; the policies we ship; the snippets of the reference.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "config/policy_files.h"
#include "policies/shipped.h"
#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(std::string(SOURCE_DIR) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class CheckTest : public ::testing::Test {
 protected:
  // The error or the doubt; empty when there is neither.
  std::string Check(const std::string& text) { return Check(MakePolicy(text)); }
  std::string Check(const PolicySource& policy) {
    const auto doubt = host_.Check(policy, service_.View());
    refused_ = !doubt.ok();
    return refused_ ? doubt.error().message : *doubt;
  }
  void ExpectFound(const std::string& text, const std::string& message) {
    EXPECT_EQ(Check(text).substr(0, message.size()), message) << text;
  }

  PolicyHost host_{PolicyLimits{}};
  TestService service_;
  bool refused_ = false;
};

TEST_F(CheckTest, GoodPoliciesPass) {
  EXPECT_EQ(Check("return track(metric 'cpu', 0.6)"), "");
  EXPECT_EQ(Check("return threshold(metric 'cpu', {above = 0.75, below = 0.3})"), "");
  EXPECT_EQ(Check("if metric('cpu').value > 0.75 then return scale_up(1) end\n"
                  "if metric('cpu').value < 0.30 then return scale_down(1) end\n"
                  "return hold('between')"),
            "");
  // What is high in requests is not for us to say.
  EXPECT_EQ(Check("if metric('rps').value > 1e7 then return scale_up(1) end return scale_down(1)"),
            "");
}

TEST_F(CheckTest, SyntaxUnknownNamesAndMisfits) {
  ExpectFound("return hold(", "policies/test.lua:1: ");
  ExpectFound("\nreturn track(metric 'mem', 0.6)", "policies/test.lua:2: unknown metric 'mem'");
  ExpectFound("return scale_to(param 'goal')", "policies/test.lua:1: parameter 'goal' is not set");
  ExpectFound(
      "return track(metric 'cpu', 75)",
      "policies/test.lua:1: 75 does not fit metric 'cpu', whose unit is ratio (0.75?) (found "
      "by trying it with cpu missing, rps missing, 11 of 11 instances ready)");
  EXPECT_TRUE(refused_);
}

TEST_F(CheckTest, AFaultOfThePolicysOwnIsADoubtAndNotRefused) {
  ExpectFound("while true do end", "policies/test.lua:1: more than 200000 instructions");
  EXPECT_FALSE(refused_);
  ExpectFound("", "policies/test.lua: the policy returned nothing");
  EXPECT_FALSE(refused_);
  ExpectFound("error('boom')", "policies/test.lua:1: boom");
  EXPECT_FALSE(refused_);
}

TEST_F(CheckTest, AGlobalThatIsWrittenIsADoubt) {
  ExpectFound("local n = 1\ncount = (count or 0) + n\nreturn hold()",
              "policies/test.lua:2: 'count' is a global, which is gone after the evaluation: write "
              "local count, or "
              "state.count");
  EXPECT_FALSE(refused_);
}

TEST_F(CheckTest, ThresholdsOfAnotherUnitDoNotShrinkAFleet) {
  ExpectFound(
      "local cpu = metric('cpu').value\nif cpu > 75 then return scale_up(1) end\n"
      "if cpu < 30 then return scale_down(1) end\nreturn hold()",
      "policies/test.lua: scales in whatever the metrics say, even with all of them high");
}

TEST_F(CheckTest, ALevelThatIsNeverReachedIsADoubt) {
  ExpectFound("if metric('cpu').value > 75 then return scale_up(1) end\nreturn hold()",
              "policies/test.lua: never scales out, even with all metrics high: do its levels fit");
  EXPECT_FALSE(refused_);
  // One that waits for it to last does scale out.
  EXPECT_EQ(Check("state.n = metric('cpu').value > 0.75 and (state.n or 0) + 1 or 0\n"
                  "if state.n > 15 then return scale_up(1) end\nreturn hold()"),
            "");
  EXPECT_EQ(Check("if metric('rps').value > 1e9 then return scale_up(1) end\nreturn hold()"), "");
  EXPECT_EQ(Check("return hold('for now')"), "");
}

TEST_F(CheckTest, ErrorsOnEveryPathThatLevelsReach) {
  for (const char* condition :
       {"metric('cpu').value == 0", "metric('cpu').value > 0.9", "not metric('cpu').usable",
        "metric('cpu').usable and metric('cpu').value > 0.9 and metric('rps').value < 10",
        "metric('rps').usable and not metric('cpu').usable", "capacity.desired == capacity.min",
        "capacity.desired == capacity.max", "capacity.pending > 0", "capacity.ready == 0",
        "#metric('cpu').instances == 0", "#metric('cpu').instances > 0", "state.again",
        "metric('cpu').usable and metric('cpu').value > 0.1 and metric('cpu').value < 0.3"}) {
    EXPECT_NE(Check(std::string("if ") + condition +
                    " then return nonsense() end state.again = true return hold()"),
              "")
        << condition;
  }
}

TEST_F(CheckTest, ZeroTrafficIsTried) {
  ExpectFound("return scale_to(metric('rps').value / metric('rps').value)",
              "policies/test.lua:1: scale_to: the capacity is not a finite number");
}

TEST_F(CheckTest, LoadTellsThePath) {
  const Status status = host_.Load(MakePolicy("return return", "/etc/p/a.lua"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message.substr(0, 15), "/etc/p/a.lua:1:");
  EXPECT_TRUE(host_.Load(MakePolicy("return hold()")));
}

TEST_F(CheckTest, RequestsPerInstance) {
  service_.metrics = {{"arrivals", Unit::kPerSecond}};
  service_.samples = {TestService::Fresh(0)};
  service_.params = {{"target_rps", 150.0}};
  const auto read = PolicyFiles(1u << 20).Shipped("requests_per_instance");
  ASSERT_TRUE(read) << read.error().message;
  const PolicySource& policy = **read;
  EXPECT_EQ(policy.text, ReadFile("policies/requests_per_instance.lua"));
  EXPECT_EQ(Check(policy), "");
  const auto run = [&](int desired, double arrivals) {
    service_.samples = {TestService::Fresh(arrivals)};
    return host_.Evaluate(policy, service_.Has(desired, desired).View()).proposal;
  };
  const Proposal out = run(2, 700);  // 700 / 150 = 4.67
  EXPECT_EQ(out.kind, ProposalKind::kScaleTo);
  EXPECT_EQ(out.capacity, 5);
  EXPECT_EQ(out.reason, "arrivals 700/s need 5 instances of 150/s");
  EXPECT_EQ(run(5, 700).kind, ProposalKind::kHold);  // |4.67 - 5| = 0.33 <= 0.5
  EXPECT_EQ(run(5, 660).capacity, 5);                // |4.4 - 5| = 0.6 > 0.5, but needs 5
  EXPECT_EQ(run(5, 590).capacity, 4);                // |3.93 - 5| = 1.07
  EXPECT_EQ(run(4, 640).kind, ProposalKind::kHold);  // |4.27 - 4| = 0.27 <= 0.4
  EXPECT_EQ(run(5, 0).capacity, 0);                  // the bounds keep min
  EXPECT_EQ(run(0, 10).capacity, 1);
  service_.params = {};
  EXPECT_NE(Check(policy).find("parameter 'target_rps' is not set"), std::string::npos);
  service_.params = {{"target_rps", std::string("many")}};
  EXPECT_TRUE(
      Check(policy).starts_with("shipped/requests_per_instance.lua:13: target_rps must be a number "
                                "above 0, not \"many\" (found by"))
      << Check(policy);
}

// Every ```lua block of the reference is a whole policy for the service that it describes.
TEST_F(CheckTest, TheReferenceIsRight) {
  service_.metrics = {{"cpu", Unit::kRatio},
                      {"latency_p95", Unit::kSeconds},
                      {"error_ratio", Unit::kRatio},
                      {"arrivals", Unit::kPerSecond},
                      {"queue", Unit::kCount}};
  service_.params = {{"target_rps", 150.0}};
  PolicyModules library;
  for (const ShippedFile& file : ShippedModules()) {
    library.push_back(std::make_shared<const PolicyModule>(
        PolicyModule{.name = std::string(file.name), .text = std::string(file.text)}));
  }
  std::istringstream reference(ReadFile("docs/policies.md"));
  std::string line, block;
  bool inside = false;
  int blocks = 0;
  while (std::getline(reference, line)) {
    if (line == "```lua") {
      inside = true;
      block.clear();
    } else if (inside && line == "```") {
      inside = false;
      ++blocks;
      PolicySource policy = MakePolicy(block);
      policy.modules = library;
      EXPECT_EQ(Check(policy), "") << block;
    } else if (inside) {
      block += line + "\n";
    }
  }
  EXPECT_GE(blocks, 5);
}

}  // namespace
}  // namespace autoscale
