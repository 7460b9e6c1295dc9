// ZoneFiles: time zones as the system's time zone data has them.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/model/result.h"
#include "engine/model/zone.h"

namespace autoscale {

// Reads each zone once and shares it.
class ZoneFiles {
 public:
  // Its changes from 2000 to 2037. Error: a sentence.
  Result<std::shared_ptr<const Zone>> Read(const std::string& name);

 private:
  std::map<std::string, Result<std::shared_ptr<const Zone>>> zones_;
};

}  // namespace autoscale
