#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.h"
#include "policies/shipped.h"

namespace autoscale::cli {
namespace {

class PolicyListTest : public ::testing::Test {
 protected:
  std::ostringstream out_, err_;
  Context context_{.out = out_, .err = err_};
};

TEST_F(PolicyListTest, ListsPoliciesAndModulesWithWhatTheyAre) {
  EXPECT_EQ(RunPolicyList(context_), kExitOk);
  EXPECT_NE(
      out_.str().find("requests_per_instance  So many instances that each serves its share of "
                      "the arriving requests.\n"),
      std::string::npos)
      << out_.str();
  EXPECT_NE(out_.str().find("  autoscale.check "), std::string::npos) << out_.str();
  EXPECT_EQ(out_.str().find("_test"), std::string::npos) << out_.str();
  for (const auto files : {ShippedPolicies(), ShippedModules()}) {
    for (const ShippedFile& file : files) {
      EXPECT_NE(out_.str().find("  " + std::string(file.name) + " "), std::string::npos);
    }
  }
}

TEST_F(PolicyListTest, AsJson) {
  context_.json = true;
  EXPECT_EQ(RunPolicyList(context_), kExitOk);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["policies"].size(), ShippedPolicies().size());
  EXPECT_EQ(json["modules"].size(), ShippedModules().size());
  for (const auto& policy : json["policies"]) EXPECT_NE(policy["summary"], "") << policy["name"];
}

TEST_F(PolicyListTest, ShowsAFileAsItIs) {
  EXPECT_EQ(RunPolicyShow(context_, "autoscale.check"), kExitOk);
  EXPECT_EQ(out_.str(), *FindShippedModule("autoscale.check"));
  EXPECT_EQ(RunPolicyShow(context_, "request_per_instance"), kExitUsage);
  EXPECT_EQ(err_.str(),
            "autoscalectl: no policy or module 'request_per_instance' is shipped; did you mean "
            "'requests_per_instance'?\n");
}

}  // namespace
}  // namespace autoscale::cli
