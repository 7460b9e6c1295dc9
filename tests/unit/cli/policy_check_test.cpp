#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/command.h"

namespace autoscale::cli {
namespace {

constexpr const char* kService = R"(service: web
policy: web.lua
min: 1
max: 10
params: {target: 0.6, spare: 1}
metrics:
  cpu: {unit: ratio, query: cpu, series: cpu}
  queue: {unit: count, query: queue, series: queue}
provider: {type: some-cloud}
)";

class PolicyCheckTest : public ::testing::Test {
 protected:
  PolicyCheckTest() {
    std::string form = ::testing::TempDir() + "pcheckXXXXXX";
    folder_ = mkdtemp(form.data());
    Write("web.yaml", kService);
  }
  ~PolicyCheckTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  int Check(const PolicyCheckOptions& options) {
    out_.str("");
    err_.str("");
    return RunPolicyCheck(context_, options);
  }
  int CheckService(const std::string& policy) {
    Write("web.lua", policy);
    return Check({.service_file = folder_ + "/web.yaml"});
  }
  void ExpectSaid(const std::string& text) const {
    EXPECT_NE(out_.str().find(text), std::string::npos) << text << "\nin:\n" << out_.str();
  }

  std::string folder_;
  std::ostringstream out_, err_;
  Context context_{.out = out_, .err = err_};
};

constexpr const char* kGood =
    "local cpu, queue = metric 'cpu', metric 'queue'\n"
    "if queue.value > param 'spare' then return scale_up(1) end\n"
    "return track(cpu, param 'target')\n";

TEST_F(PolicyCheckTest, AGoodPolicyPasses) {
  EXPECT_EQ(CheckService(kGood), kExitOk);
  EXPECT_EQ(out_.str(), "1 policy checked: 0 errors, 0 warnings\n");
}

TEST_F(PolicyCheckTest, NamesThatAreNotDeclaredAlsoOnPathsThatAreNotTried) {
  EXPECT_EQ(CheckService(std::string(kGood) +
                         "if now == 1 then return track(metric 'cpi', param 'targit') end\n"),
            kExitFailed);  // does not even parse: code after return
  EXPECT_EQ(CheckService("if now == 1 then return track(metric 'cpi', param 'targit') end\n" +
                         std::string(kGood)),
            kExitFailed);
  ExpectSaid("web.lua:1: service 'web' declares no metric 'cpi'; did you mean 'cpu'?\n");
  ExpectSaid(
      "web.lua:1: service 'web' sets no parameter 'targit', which has no default here; did "
      "you mean 'target'?\n");
  ExpectSaid("1 policy checked: 2 errors, 0 warnings\n");
}

TEST_F(PolicyCheckTest, WhatIsDeclaredAndNeverNamedIsAWarning) {
  EXPECT_EQ(CheckService("return track(metric 'cpu', param('target', 0.5))\n"), kExitOk);
  ExpectSaid("web.yaml:1: warning: service 'web' declares metric 'queue', which its policy never");
  ExpectSaid("web.yaml:1: warning: service 'web' sets parameter 'spare', which its policy never");
  ExpectSaid("1 policy checked: 0 errors, 2 warnings\n");
  EXPECT_EQ(CheckService("local n = 'cpu'; return track(metric(n), param(n .. '_target', 0.5))\n"),
            kExitOk);
  ExpectSaid("0 errors, 0 warnings");  // names are made while it runs
}

TEST_F(PolicyCheckTest, GlobalsFaultsAndMisfits) {
  EXPECT_EQ(CheckService("count = 1\nother = 2\n" + std::string(kGood)), kExitOk);
  ExpectSaid("web.lua:1: warning: 'count' is a global");
  ExpectSaid("web.lua:2: warning: 'other' is a global");
  ExpectSaid("0 errors, 2 warnings");
  EXPECT_EQ(CheckService("if metric('queue').value > 5 then error('x') end\n" + std::string(kGood)),
            kExitOk);
  ExpectSaid("warning: ");
  ExpectSaid("web.lua:1: x");
  EXPECT_EQ(CheckService("param 'spare'; metric 'queue'; param 'target'\n"
                         "return track(metric 'cpu', 75)\n"),
            kExitFailed);
  ExpectSaid("web.lua:2: ");
  EXPECT_EQ(CheckService("return track("), kExitFailed);
}

TEST_F(PolicyCheckTest, FilesAlone) {
  Write("web.lua", kGood);
  Write("broken.lua", "return track(\n");
  Write("global.lua", "n = 1\nreturn hold()\n");
  Write("web_test.lua", "not a policy\n");
  EXPECT_EQ(Check({.paths = {folder_}}), kExitFailed);
  ExpectSaid("broken.lua:");
  ExpectSaid("global.lua:1: warning: 'n' is a global");
  ExpectSaid("3 policies checked: 1 error, 1 warning\n");
  EXPECT_EQ(Check({.paths = {folder_ + "/global.lua"}}), kExitOk);
  EXPECT_EQ(Check({.paths = {folder_ + "/none.lua"}}), kExitUsage);
  EXPECT_EQ(Check({.paths = {folder_ + "/web.yaml"}}), kExitUsage);
}

TEST_F(PolicyCheckTest, ModulesAreCheckedWithThePolicyThatRequiresThem) {
  std::filesystem::create_directory(folder_ + "/lib");
  Write("web.lua", "return hold(require('lib.a').text)\n");
  Write("lib/a.lua", "local b = require 'lib.b'\nreturn {text = b.text .. nme}\n");
  Write("lib/b.lua", "return {text = 'x'}\n");
  EXPECT_EQ(Check({.paths = {folder_}}), kExitOk) << out_.str();
  ExpectSaid("lib/a.lua:2: warning: nothing is called 'nme' here: it is nil\n");
  ExpectSaid("1 policy checked: 0 errors, 1 warning\n");
}

TEST_F(PolicyCheckTest, NamesThatNothingHasAreWarnings) {
  EXPECT_EQ(CheckService("if capcity then return hold() end\n" + std::string(kGood)), kExitOk);
  ExpectSaid(
      "web.lua:1: warning: nothing is called 'capcity' here: it is nil; did you mean "
      "'capacity'?\n");
}

}  // namespace
}  // namespace autoscale::cli
