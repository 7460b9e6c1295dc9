// Modules: what a policy takes from other files, found in its text without running it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/policy/host.h"

namespace autoscale {

inline constexpr std::string_view kLibraryPrefix =
    "autoscale.";                          // of the shipped library's modules
inline constexpr size_t kMaxModules = 64;  // of one policy, nested ones too

struct Requirement {
  std::string name;  // as written: "lib.smooth"
  int line = 0;
};

struct Requirements {
  std::vector<Requirement> found;  // in the source's order; one name may come more than once
  int unclear_line = 0;  // where `require` stands without a literal name right behind; 0: nowhere
};

Requirements FindRequirements(std::string_view source);

// Words of letters, digits, '_' and '-', joined by single dots.
bool IsModuleName(std::string_view name);
// "a.b" -> "a/b.lua": beneath the folder of the policy, and as messages show it.
std::string ModuleFile(std::string_view name);
// Of the text and all modules; without modules that of the text alone. The same on every machine,
// so that a journal's hashes mean something elsewhere.
uint64_t HashBundle(std::string_view text, const PolicyModules& modules);
// The whole path of the file whose name, as messages show it, `message` begins with: in its place.
std::string WithWholePath(const PolicySource& source, const std::string& message);

}  // namespace autoscale
