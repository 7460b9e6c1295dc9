// Uses: what a policy names, found in its text without running it, so that paths are seen that no
// trial reaches.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoscale {

struct NamedUse {
  std::string name;
  int line = 0;
  bool needed = true;  // of a parameter: it has no default here
};

struct PolicyUses {
  std::vector<NamedUse> metrics, params;  // named as they are, in the text's order
  // Some names are made while it runs: what is not found may be used all the same.
  bool metrics_computed = false, params_computed = false;
  // Globals given a value, other than `state`: they are gone after the evaluation.
  std::vector<NamedUse> globals;
  // Read, and neither local, given a value nor of the policy API: always nil. Each once.
  std::vector<NamedUse> unknown;
};

// The names that a policy has from the start.
std::span<const std::string_view> GlobalNames();

// Of one file, not of what it requires.
PolicyUses FindUses(std::string_view source);

// "'count' is a global, which ...": what is wrong with such a global.
std::string DescribeGlobal(const std::string& name);

}  // namespace autoscale
