// Shipped: the policies we ship and the modules of their library, as they stand in this folder.
// They are part of the program.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace autoscale {

struct ShippedFile {
  std::string_view name;  // "cpu_target"; of a module "autoscale.check"
  std::string_view text;
};

// By name.
std::span<const ShippedFile> ShippedPolicies();
std::span<const ShippedFile> ShippedModules();

std::optional<std::string_view> FindShippedPolicy(std::string_view name);
std::optional<std::string_view> FindShippedModule(std::string_view name);

}  // namespace autoscale
