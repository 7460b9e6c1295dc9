#include "config/policy_files.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "config/scalar.h"
#include "config/yaml_file.h"
#include "engine/policy/modules.h"
#include "policies/shipped.h"

namespace autoscale {
namespace {

// Where messages say that shipped files are.
constexpr const char* kShippedFolder = "shipped/";

std::vector<std::string> Names(std::span<const ShippedFile> files) {
  std::vector<std::string> names;
  for (const ShippedFile& file : files) names.emplace_back(file.name);
  return names;
}

// "; did you mean ...", or which there are.
std::string Hint(const std::string& name, const std::vector<std::string>& known) {
  const auto same = std::find(known.begin(), known.end(), std::string(kLibraryPrefix) + name);
  std::string hint =
      same != known.end() ? "; did you mean '" + *same + "'?" : DidYouMean(name, known);
  if (!hint.empty()) return hint;
  std::string all;
  for (const std::string& each : known) all += (all.empty() ? "" : ", ") + each;
  return "; the shipped ones are " + all;
}

}  // namespace

// The modules of one policy, found depth first.
class PolicyFiles::Gathering {
 public:
  Gathering(PolicyFiles& files, const PolicySource& source, bool shipped)
      : files_(files),
        folder_(source.path.substr(0, source.path.rfind('/') + 1)),
        shipped_(shipped),
        bytes_(source.text.size()) {}

  Status Follow(const std::string& path, const std::string& text) {
    const Requirements requirements = FindRequirements(text);
    if (requirements.unclear_line > 0) {
      return Wrong(path, requirements.unclear_line,
                   "require needs the module's name as it is, as in require \"lib.smooth\": what a "
                   "policy is made of is read before it runs");
    }
    for (const Requirement& requirement : requirements.found) {
      if (Status followed = Add(path, requirement); !followed) return followed;
    }
    return Ok{};
  }

  PolicyModules Take() {
    PolicyModules out;
    for (auto& [name, module] : modules_) out.push_back(std::move(module));
    return out;
  }

 private:
  static Error Wrong(const std::string& path, int line, const std::string& what) {
    return {ErrorKind::kInvalid, path + ":" + std::to_string(line) + ": " + what};
  }

  Status Add(const std::string& path, const Requirement& requirement) {
    const std::string& name = requirement.name;
    const auto wrong = [&](const std::string& what) {
      return Wrong(path, requirement.line, "require \"" + name + "\": " + what);
    };
    if (!IsModuleName(name)) {
      return wrong(
          "a module is named by words of letters, digits, '_' and '-' joined by dots, at most 50 "
          "in "
          "all: \"lib.smooth\" is lib/smooth.lua beside the policy");
    }
    const auto begun = std::find(open_.begin(), open_.end(), name);
    if (begun != open_.end()) {
      std::string circle;
      for (auto it = begun; it != open_.end(); ++it) circle += *it + " requires ";
      return wrong("modules cannot require each other in a circle: " + circle + name);
    }
    if (modules_.contains(name)) return Ok{};
    const Module& module = Find(name);
    if (!module) return wrong(module.error().message);
    if (modules_.size() >= kMaxModules) {
      return wrong("a policy has at most " + std::to_string(kMaxModules) + " modules");
    }
    if (!name.starts_with(kLibraryPrefix)) bytes_ += (*module)->text.size();
    if (bytes_ > files_.max_bytes_) {
      return wrong("the policy with its modules has " + std::to_string(bytes_) +
                   " bytes, more than " + std::to_string(files_.max_bytes_) +
                   " (policy_limits.source)");
    }
    modules_.emplace(name, *module);
    open_.push_back(name);
    Status followed = Follow((*module)->path, (*module)->text);
    open_.pop_back();
    return followed;
  }

  const Module& Find(const std::string& name) {
    if (shipped_ || name.starts_with(kLibraryPrefix)) return files_.ShippedModule(name);
    return files_.ReadModule(name, folder_ + ModuleFile(name));
  }

  PolicyFiles& files_;
  const std::string folder_;
  const bool shipped_;
  size_t bytes_;
  std::map<std::string, std::shared_ptr<const PolicyModule>> modules_;
  std::vector<std::string> open_;  // what is being followed, outermost first
};

PolicyFiles::Source PolicyFiles::Gather(PolicySource source) {
  Gathering gathering(*this, source, source.path.starts_with(kShippedFolder));
  if (Status found = gathering.Follow(source.path, source.text); !found) {
    return std::move(found).error().Within("policy");
  }
  source.modules = gathering.Take();
  source.hash = HashBundle(source.text, source.modules);
  return std::make_shared<const PolicySource>(std::move(source));
}

const PolicyFiles::Module& PolicyFiles::ReadModule(const std::string& name,
                                                   const std::string& path) {
  auto found = modules_.find({name, path});
  if (found != modules_.end()) return found->second;
  Module module = Error{ErrorKind::kInvalid, ""};
  if (Result<std::string> text = ReadFile(path, max_bytes_); text.ok()) {
    module = std::make_shared<const PolicyModule>(
        PolicyModule{.name = name, .path = path, .text = std::move(text).value()});
  } else {
    module = Error{ErrorKind::kInvalid, "cannot read " + path + ": " + text.error().message +
                                            Hint(name, Names(ShippedModules()))};
  }
  return modules_.emplace(std::pair(name, path), std::move(module)).first->second;
}

const PolicyFiles::Module& PolicyFiles::ShippedModule(const std::string& name) {
  const auto found = modules_.find({name, ""});
  if (found != modules_.end()) return found->second;
  Module module = Error{ErrorKind::kInvalid, "the shipped library has no such module" +
                                                 Hint(name, Names(ShippedModules()))};
  if (const auto text = FindShippedModule(name)) {
    module = std::make_shared<const PolicyModule>(PolicyModule{
        .name = name, .path = kShippedFolder + ModuleFile(name), .text = std::string(*text)});
  }
  return modules_.emplace(std::pair(name, std::string()), std::move(module)).first->second;
}

PolicyFiles::Source PolicyFiles::Read(const std::string& path) {
  const auto found = sources_.find(path);
  if (found != sources_.end()) return found->second;
  Result<std::string> text = ReadFile(path, max_bytes_);
  Source source = text.ok() ? Gather({.path = path, .text = std::move(text).value()})
                            : Source(std::move(text).error().Within("cannot read policy " + path));
  return sources_.emplace(path, std::move(source)).first->second;
}

PolicyFiles::Source PolicyFiles::Shipped(const std::string& name) {
  const auto found = shipped_.find(name);
  if (found != shipped_.end()) return found->second;
  const auto text = FindShippedPolicy(name);
  Source source =
      text ? Gather({.path = kShippedFolder + name + ".lua", .text = std::string(*text)})
           : Source(Error{ErrorKind::kInvalid,
                          "no policy '" + name + "' is shipped" +
                              Hint(name, Names(ShippedPolicies())) +
                              "; a file of your own is named with its ending: " + name + ".lua"});
  return shipped_.emplace(name, std::move(source)).first->second;
}

bool IsShippedName(const std::string& policy) {
  return policy.find_first_of("/.") == std::string::npos;
}

}  // namespace autoscale
