// The examples of a document, as it shows them.
#pragma once

#include <fstream>
#include <string>
#include <vector>

namespace autoscale {

// The ```yaml blocks of a document of the source tree: "docs/providers/kubernetes.md".
inline std::vector<std::string> DocumentedYaml(const std::string& document) {
  std::ifstream in(std::string(AUTOSCALE_SOURCE_DIR) + "/" + document);
  std::vector<std::string> blocks;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "```yaml") {
      inside = true;
      blocks.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      blocks.back() += line + "\n";
    }
  }
  return blocks;
}

}  // namespace autoscale
