#include <sstream>

#include "simulator/test_report.h"
#include "tests/unit/simulator/files.h"

namespace autoscale {
namespace {

using DocsTest = FolderTest;

// The examples of docs/policy-tests.md: a policy, a scenario and a file of tests in Lua.
TEST_F(DocsTest, TheReferenceIsRight) {
  std::ifstream reference(std::string(SOURCE_DIR) + "/docs/policy-tests.md");
  std::string line, kind, block;
  int cases = 0;
  while (std::getline(reference, line)) {
    if (kind.empty()) {
      if (line == "```lua" || line == "```scenario") kind = line.substr(3);
      continue;
    }
    if (line != "```") {
      block += line + "\n";
      continue;
    }
    const bool test = block.find("\ntest(") != std::string::npos;
    TestReport report;
    if (kind == "scenario") {
      report = RunScenarioFile(Write("checkout.scenario", block));
    } else if (test) {
      report = RunLuaTests(Write("checkout_test.lua", block));
    } else {
      Write("checkout.lua", block);
    }
    for (const TestCase& one : report) {
      EXPECT_EQ(one.failure, "") << one.file << ":" << one.line << ": " << one.name;
      ++cases;
    }
    kind.clear();
    block.clear();
  }
  EXPECT_GE(cases, 8);
}

}  // namespace
}  // namespace autoscale
