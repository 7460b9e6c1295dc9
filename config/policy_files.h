// PolicyFiles: reads each policy file once a load and shares it.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/model/result.h"
#include "engine/policy/host.h"

namespace autoscale {

class PolicyFiles {
 public:
  explicit PolicyFiles(size_t max_bytes) : max_bytes_(max_bytes) {}

  // `path` is absolute. Error: a sentence that names the file.
  Result<std::shared_ptr<const PolicySource>> Read(const std::string& path);

 private:
  size_t max_bytes_;
  std::map<std::string, Result<std::shared_ptr<const PolicySource>>> sources_;
};

}  // namespace autoscale
