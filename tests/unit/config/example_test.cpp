// The examples of docs/configuration.md load as they stand.
#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

// The ```yaml blocks, each by the file name in its first line: "# autoscaled.yaml".
std::vector<std::pair<std::string, std::string>> Examples() {
  std::ifstream in(std::string(AUTOSCALE_SOURCE_DIR) + "/docs/configuration.md");
  std::vector<std::pair<std::string, std::string>> examples;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "```yaml") {
      inside = true;
      examples.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      auto& [name, text] = examples.back();
      if (text.empty()) name = line.substr(2, line.find_first_of(" :", 2) - 2);
      text += line + "\n";
    }
  }
  return examples;
}

TEST(Documentation, ExamplesLoadWithoutAFaultOrWarning) {
  const Files files;
  std::vector<std::string> names;
  for (const auto& [name, text] : Examples()) {
    names.push_back(name);
    files.Write(name, text);
  }
  ASSERT_EQ(names, (std::vector<std::string>{"autoscaled.yaml", "services.d/checkout.yaml",
                                             "services.d/shop.yaml", "services.d/orders.yaml"}));
  files.Write("policies/checkout.lua", "return hold()\n");
  LoadOptions options;
  options.accept_any_adapter = true;
  const LoadResult result = LoadConfiguration(files.Path("autoscaled.yaml"), options);
  EXPECT_EQ(files.Texts(result.diagnostics), std::vector<std::string>{});
  EXPECT_EQ(result.configuration.services.size(), 4u);
}

}  // namespace
}  // namespace autoscale
