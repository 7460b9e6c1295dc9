// What the configuration says of plugins: how they are started, and their targets.
#pragma once

#include <google/protobuf/struct.pb.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/spec.h"

namespace autoscale {

struct PluginCommand final : PluginOptions {
  std::vector<std::string> command;  // the program, absolute, and its arguments
  std::string sha256;                // of the program, lower case hexadecimal; empty: not checked
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> inherit;                // variables of the daemon's own environment
  Millis start_timeout{std::chrono::seconds(10)};  // from the spawn until it can be asked
  Millis call_timeout{std::chrono::seconds(5)};
};

// Whatever the section holds is the plugin's affair.
struct PluginTarget final : ProviderTarget {
  google::protobuf::Struct options;
  std::string text;  // the same as JSON, with sorted keys

  // Equal options mean the same target: what tells two apart has to stand in them.
  [[nodiscard]] std::string identity() const override { return text; }
  [[nodiscard]] std::string place() const override { return {}; }
  [[nodiscard]] bool has_capacity() const override { return true; }
};

}  // namespace autoscale
