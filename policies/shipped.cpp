#include "policies/shipped.h"

namespace autoscale {

extern const ShippedFile kShippedPolicies[];
extern const unsigned kShippedPoliciesCount;
extern const ShippedFile kShippedModules[];
extern const unsigned kShippedModulesCount;

namespace {

std::optional<std::string_view> Find(std::span<const ShippedFile> files, std::string_view name) {
  for (const ShippedFile& file : files) {
    if (file.name == name) return file.text;
  }
  return std::nullopt;
}

}  // namespace

std::span<const ShippedFile> ShippedPolicies() { return {kShippedPolicies, kShippedPoliciesCount}; }
std::span<const ShippedFile> ShippedModules() { return {kShippedModules, kShippedModulesCount}; }

std::optional<std::string_view> FindShippedPolicy(std::string_view name) {
  return Find(ShippedPolicies(), name);
}

std::optional<std::string_view> FindShippedModule(std::string_view name) {
  return Find(ShippedModules(), name);
}

}  // namespace autoscale
