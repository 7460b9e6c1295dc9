#include <algorithm>

#include "cli/command.h"
#include "cli/json.h"
#include "config/scalar.h"
#include "policies/shipped.h"

namespace autoscale::cli {
namespace {

using nlohmann::ordered_json;

// The first sentence of the comment that it begins with.
std::string Summary(const ShippedFile& file) {
  std::string summary;
  std::string_view rest = file.text;
  while (rest.starts_with("--") && !summary.ends_with('.')) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    line.remove_prefix(std::min(line.find_first_not_of("- "), line.size()));
    if (line.empty()) break;
    summary.append(summary.empty() ? "" : " ").append(line.substr(0, line.find(". ")));
    if (line.find(". ") != std::string_view::npos) summary.push_back('.');
  }
  return summary;
}

ordered_json ToJson(std::span<const ShippedFile> files) {
  ordered_json all = ordered_json::array();
  for (const ShippedFile& file : files) {
    all.push_back({{"name", file.name}, {"summary", Summary(file)}});
  }
  return all;
}

void Print(const Context& context, const char* title, std::span<const ShippedFile> files) {
  size_t width = 0;
  for (const ShippedFile& file : files) width = std::max(width, file.name.size());
  context.out << title << "\n";
  for (const ShippedFile& file : files) {
    context.out << "  " << file.name << std::string(width - file.name.size() + 2, ' ')
                << Summary(file) << "\n";
  }
}

}  // namespace

int RunPolicyList(const Context& context) {
  if (context.json) {
    context.out << Dump(
        {{"policies", ToJson(ShippedPolicies())}, {"modules", ToJson(ShippedModules())}});
    return kExitOk;
  }
  Print(context, "Policies, for `policy: NAME` of a service:", ShippedPolicies());
  context.out << "\n";
  Print(context, "Modules, for `require \"NAME\"` in a policy:", ShippedModules());
  return kExitOk;
}

int RunPolicyShow(const Context& context, const std::string& name) {
  auto text = FindShippedPolicy(name);
  if (!text) text = FindShippedModule(name);
  if (text) {
    context.out << *text;
    return kExitOk;
  }
  std::vector<std::string> known;
  for (const auto files : {ShippedPolicies(), ShippedModules()}) {
    for (const ShippedFile& file : files) known.emplace_back(file.name);
  }
  const std::string hint = DidYouMean(name, known);
  return Fail(context, kExitUsage,
              "no policy or module '" + name + "' is shipped" +
                  (hint.empty() ? "; `autoscalectl policy list` shows those that are" : hint));
}

}  // namespace autoscale::cli
