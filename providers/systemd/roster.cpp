#include "providers/systemd/roster.h"

#include <utility>
#include <vector>

namespace autoscale {

UnitInstance* UnitRoster::Find(const std::string& service, const std::string& id) {
  Instances& instances = instances_[service];
  const auto found = instances.find(id);
  return found == instances.end() ? nullptr : found->second.get();
}

UnitInstance& UnitRoster::Add(UnitInstance::Surroundings surroundings, const std::string& service,
                              const std::string& id, const UnitRecord& record) {
  auto& slot = instances_[service][id];
  slot = std::make_unique<UnitInstance>(std::move(surroundings), service, id, record);
  return *slot;
}

void UnitRoster::Drop(const std::string& service, const std::string& id) {
  records_.Remove(service, id);
  instances_[service].erase(id);
}

void UnitRoster::Look(const std::string& bus) {
  for (auto& [service, instances] : instances_) {
    std::vector<std::string> lapsed;
    for (auto& [id, instance] : instances) {
      if (instance->record().bus != bus) continue;
      instance->Look();
      if (instance->lapsed()) lapsed.push_back(id);
    }
    for (const std::string& id : lapsed) Drop(service, id);
  }
}

void UnitRoster::TakeJob(const std::string& bus, const std::string& unit,
                         const std::string& result) {
  for (auto& [service, instances] : instances_) {
    for (auto& [id, instance] : instances) {
      const UnitRecord& record = instance->record();
      if (record.bus == bus && record.unit == unit) instance->TakeJob(result);
    }
  }
}

std::vector<const UnitInstance*> UnitRoster::Running() const {
  std::vector<const UnitInstance*> running;
  for (const auto& [service, instances] : instances_) {
    for (const auto& [id, instance] : instances) {
      if (instance->known() && !instance->gone()) running.push_back(instance.get());
    }
  }
  return running;
}

std::set<std::string> UnitRoster::Units(const std::string& bus) const {
  std::set<std::string> units;
  for (const auto& [service, instances] : instances_) {
    for (const auto& [id, instance] : instances) {
      if (instance->record().bus == bus) units.insert(instance->record().unit);
    }
  }
  return units;
}

std::set<int> UnitRoster::Ports() const {
  std::set<int> ports;
  for (const auto& [service, instances] : instances_) {
    for (const auto& [id, instance] : instances) ports.insert(instance->record().port);
  }
  return ports;
}

}  // namespace autoscale
