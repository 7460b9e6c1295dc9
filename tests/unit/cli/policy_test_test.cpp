#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/command.h"

namespace autoscale::cli {
namespace {

constexpr const char* kScenario = R"(metrics: {cpu: ratio}
max: 10
---
at 0s cpu is 0.9
at 0s expect desired is 2
at 0s expect wanted is 3 # and why
)";

class PolicyTestTest : public ::testing::Test {
 protected:
  PolicyTestTest() {
    std::string form = ::testing::TempDir() + "ptestXXXXXX";
    folder_ = mkdtemp(form.data());
    Write("web.lua", "return track(metric \"cpu\", 0.6)\n");
    Write("web.scenario", kScenario);
    std::filesystem::create_directory(folder_ + "/sub");
    Write("sub/api.lua", "return hold()\n");
    Write("sub/api_test.lua",
          "test('holds', function() expect(evaluate{max = 2}.kind).is('hold') end)\n");
  }
  ~PolicyTestTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  int Run(PolicyTestOptions options) {
    out_.str("");
    err_.str("");
    if (options.paths.empty()) options.paths = {folder_};
    return RunPolicyTest(context_, options);
  }
  [[nodiscard]] bool Says(const std::string& text) const {
    return out_.str().find(text) != std::string::npos;
  }

  std::string folder_;
  std::ostringstream out_, err_;
  Context context_{.out = out_, .err = err_};
};

TEST_F(PolicyTestTest, FindsAndCountsAllBeneath) {
  EXPECT_EQ(Run({}), kExitFailed);
  EXPECT_TRUE(Says("FAILED " + folder_ + "/web.scenario:6: at 0s expect wanted is 3 # and why\n"))
      << out_.str();
  EXPECT_TRUE(Says("    policy:   web.lua:1: track 2: cpu 0.9 is above its target")) << out_.str();
  EXPECT_TRUE(Says("\n2 passed, 1 failed, 0 skipped\n")) << out_.str();
}

TEST_F(PolicyTestTest, SaysTheSameWithAnyNumberOfJobs) {
  for (int i = 0; i < 40; ++i) {
    Write("a" + std::to_string(i) + ".lua", "return track(metric \"cpu\", 0.6)\n");
    Write("a" + std::to_string(i) + ".scenario", kScenario);
  }
  Run({.jobs = 1});
  const std::string one = out_.str();
  Run({.jobs = 8});
  EXPECT_EQ(out_.str(), one);
  EXPECT_TRUE(Says("42 passed, 41 failed, 0 skipped\n"));
}

TEST_F(PolicyTestTest, Filters) {
  EXPECT_EQ(Run({.filter = "api_test"}), kExitOk) << out_.str();
  EXPECT_EQ(out_.str(), "1 passed, 0 failed, 0 skipped\n");
  EXPECT_EQ(Run({.filter = "wanted"}), kExitFailed);
  EXPECT_TRUE(Says("0 passed, 1 failed, 0 skipped\n"));
  EXPECT_EQ(Run({.filter = "nowhere"}), kExitUsage);
  EXPECT_NE(err_.str().find("no test has 'nowhere' in its place or name"), std::string::npos);
}

TEST_F(PolicyTestTest, SpeaksTap) {
  EXPECT_EQ(Run({.tap = true}), kExitFailed);
  const std::string expected = "TAP version 14\n1..3\nok 1 - " + folder_ +
                               "/sub/api_test.lua:1 holds\nok 2 - " + folder_ +
                               "/web.scenario:5 at 0s expect desired is 2\nnot ok 3 - " + folder_ +
                               "/web.scenario:6 at 0s expect wanted is 3 \\# and why\n  ---\n"
                               "  message: |\n    what came at 0s:\n";
  EXPECT_EQ(out_.str().substr(0, expected.size()), expected);
  EXPECT_TRUE(out_.str().ends_with("\n  ...\n"));
}

TEST_F(PolicyTestTest, NothingFoundIsAnError) {
  EXPECT_EQ(Run({.paths = {folder_ + "/none"}}), kExitUsage);
  EXPECT_NE(err_.str().find("none: No such file"), std::string::npos) << err_.str();
  EXPECT_EQ(Run({.paths = {folder_ + "/web.lua"}}), kExitUsage);
  EXPECT_NE(err_.str().find("web.lua is no test"), std::string::npos) << err_.str();
  std::filesystem::create_directory(folder_ + "/empty");
  EXPECT_EQ(Run({.paths = {folder_ + "/empty"}}), kExitUsage);
  EXPECT_NE(err_.str().find("found no test"), std::string::npos) << err_.str();
}

}  // namespace
}  // namespace autoscale::cli
