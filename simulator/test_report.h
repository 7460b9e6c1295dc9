// TestReport: what came of the tests of one file.
#pragma once

#include <string>
#include <vector>

namespace autoscale {

struct TestCase {
  std::string name;  // as a person wrote it
  std::string file;
  int line = 0;         // 0: the whole file
  std::string failure;  // what was expected and what came, lines without a newline at the end;
                        // empty: passed
};

using TestReport = std::vector<TestCase>;

// Runs one NAME.scenario: a case for each expectation. A file that cannot be run is one case that
// failed. Blocks; bounded.
TestReport RunScenarioFile(const std::string& path);

// Runs one NAME_test.lua: a case for each test("...", function() ... end). As above.
TestReport RunLuaTests(const std::string& path);

}  // namespace autoscale
