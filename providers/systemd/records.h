// UnitRecords: which unit is which instance, in a file an instance: STATE/systemd/SERVICE/ID.
//
// A record is written before its unit is started, so that an instance is found again by its name
// whenever the daemon was killed. Not synced to disk on purpose: SIGKILL loses no written page, and
// after a power failure no unit of ours runs.
#pragma once

#include <map>
#include <string>

#include "engine/model/result.h"

namespace autoscale {

struct UnitRecord {
  std::string bus;   // as the target says
  std::string unit;  // "web@20003.service"
  std::string host;
  int port = 0;
  std::string health;  // "ready" or "unready", once its check has passed
  bool operator==(const UnitRecord&) const = default;
};

class UnitRecords {
 public:
  // The folder is made when it is needed.
  explicit UnitRecords(std::string folder) : folder_(std::move(folder)) {}

  // All there are, by service and id; torn ones are not.
  [[nodiscard]] std::map<std::string, std::map<std::string, UnitRecord>> Read() const;
  // As a whole or not at all.
  [[nodiscard]] Status Write(const std::string& service, const std::string& id,
                             const UnitRecord& record) const;
  void Remove(const std::string& service, const std::string& id) const;

 private:
  std::string folder_;
};

}  // namespace autoscale
