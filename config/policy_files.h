// PolicyFiles: reads each policy file and each module once a load and shares it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/model/result.h"
#include "engine/policy/host.h"

namespace autoscale {

// What is no path names a policy that we ship.
bool IsShippedName(const std::string& policy);

class PolicyFiles {
 public:
  // A policy with the modules beside it has at most so many bytes.
  explicit PolicyFiles(size_t max_bytes) : max_bytes_(max_bytes) {}

  // With all that it requires: from beneath its folder, and from the shipped library. `path` is
  // absolute. Error: a sentence that names the file, and in it the line that requires what cannot
  // be had.
  Result<std::shared_ptr<const PolicySource>> Read(const std::string& path);
  // The shipped policy of that name.
  Result<std::shared_ptr<const PolicySource>> Shipped(const std::string& name);

 private:
  using Source = Result<std::shared_ptr<const PolicySource>>;
  using Module = Result<std::shared_ptr<const PolicyModule>>;
  class Gathering;

  Source Gather(PolicySource source);
  const Module& ReadModule(const std::string& name, const std::string& path);
  const Module& ShippedModule(const std::string& name);

  const size_t max_bytes_;
  std::map<std::string, Source> sources_;                          // by path
  std::map<std::string, Source> shipped_;                          // by name
  std::map<std::pair<std::string, std::string>, Module> modules_;  // by name and path
};

}  // namespace autoscale
