// A folder of files for one test, and what loading them says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/loader.h"

namespace autoscale {

class Files {
 public:
  Files() {
    std::string name =
        (std::filesystem::temp_directory_path() / "autoscale-config-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    folder_ = name;
  }
  ~Files() { std::filesystem::remove_all(folder_); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  [[nodiscard]] std::string Path(const std::string& name) const {
    return (folder_ / name).string();
  }

  // Diagnostics as text, with the folder's own path taken out.
  [[nodiscard]] std::vector<std::string> Texts(const std::vector<Diagnostic>& diagnostics) const {
    std::vector<std::string> texts;
    for (const Diagnostic& diagnostic : diagnostics) {
      std::string text = ToString(diagnostic);
      const std::string prefix = folder_.string() + "/";
      for (size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
        text.erase(at, prefix.size());
      }
      texts.push_back(std::move(text));
    }
    return texts;
  }

 private:
  std::filesystem::path folder_;
};

// A target as an adapter would read it: its text is its identity, and may be followed by ports.
struct FakeTarget : ProviderTarget {
  std::string text;
  PortRange range;
  [[nodiscard]] std::string identity() const override { return text; }
  [[nodiscard]] PortRange ports() const override { return range; }
};
struct FakeGateway : GatewayOptions {
  std::string address;
};

inline LoadOptions FakeAdapters() {
  LoadOptions options;
  options.providers["fake"] = [](Section& section, const std::string&) {
    auto target = std::make_shared<FakeTarget>();
    target->text = section.String("ports");
    target->range.host = section.String("host");
    if (!target->range.host.empty()) {
      target->range.first = std::stoi(target->text);
      target->range.last = std::stoi(target->text.substr(target->text.find('-') + 1));
    }
    return target;
  };
  options.gateways["fake"] = [](Section& section, const std::string&) {
    auto gateway = std::make_shared<FakeGateway>();
    gateway->address = section.RequiredString("address");
    return gateway;
  };
  return options;
}

}  // namespace autoscale
