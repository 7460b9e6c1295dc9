// UnitRoster: every instance there is, by service and id.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "providers/systemd/instance.h"

namespace autoscale {

class UnitRoster {
 public:
  using Instances = std::map<std::string, std::unique_ptr<UnitInstance>>;  // by id

  explicit UnitRoster(const UnitRecords& records) : records_(records) {}

  // Those of a service.
  Instances& Of(const std::string& service) { return instances_[service]; }
  // Null: there is none.
  UnitInstance* Find(const std::string& service, const std::string& id);
  UnitInstance& Add(UnitInstance::Surroundings surroundings, const std::string& service,
                    const std::string& id, const UnitRecord& record);
  // As if it had never been: its record goes, too.
  void Drop(const std::string& service, const std::string& id);

  // Those that run, as far as is known.
  [[nodiscard]] std::vector<const UnitInstance*> Running() const;

  // Each looks at its board, of this bus, which has listed anew. Those that were never started go.
  void Look(const std::string& bus);
  void TakeJob(const std::string& bus, const std::string& unit, const std::string& result);

  // The units at this bus, and the ports at any, that are somebody's.
  [[nodiscard]] std::set<std::string> Units(const std::string& bus) const;
  [[nodiscard]] std::set<int> Ports() const;

 private:
  const UnitRecords& records_;
  std::map<std::string, Instances> instances_;  // by service
};

}  // namespace autoscale
