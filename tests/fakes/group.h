// A provider of targets that have a capacity, as a Deployment or an Auto Scaling group has.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "providers/provider.h"

namespace autoscale {

struct GroupTarget final : ProviderTarget {
  explicit GroupTarget(std::string group = "web") : name(std::move(group)) {}
  [[nodiscard]] std::string identity() const override { return name; }
  [[nodiscard]] bool has_capacity() const override { return true; }
  std::string name;
};

// One group; its instances are "a", "b", ... in the order of their birth.
class FakeGroup final : public Provider {
 public:
  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override {
    ++observations;
    std::vector<Observation> all;
    for (const TargetRef& target : targets) all.push_back(See(target.service));
    done(std::move(all));
  }
  void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done) override {
    std::string line = "set " + std::to_string(wish.capacity);
    for (const std::string& id : wish.victims) line += " -" + id;
    history.push_back(line);
    intents.push_back(wish.intent);
    services.push_back(target.service);
    if (error) return done(*error);
    if (!loses_calls) capacity = wish.capacity;
    if (dies) return;
    if (is_slow) return done(Ok{});
    for (const std::string& id : wish.victims) instances.erase(id);
    Follow();
    done(Ok{});
  }

  // The group's own work: it starts what is missing and ends what is too many, the youngest first.
  void Follow() {
    while (static_cast<int>(instances.size()) > capacity) instances.erase(--instances.end());
    while (static_cast<int>(instances.size()) < capacity) {
      const std::string id(1, next++);
      instances[id] = {.id = id, .endpoint = "10.0.0.1:" + id};
    }
  }
  void AllBecome(InstanceState state) {
    for (auto& [id, instance] : instances) instance.state = state;
  }
  [[nodiscard]] Observation See(const std::string& service) const {
    Observation one{.service = service, .abilities = abilities, .capacity = capacity};
    one.blocked = blocked;
    one.shortage = shortage;
    one.fault = fault;
    for (const auto& [id, instance] : instances) one.instances.push_back(instance);
    return one;
  }

  TargetAbilities abilities{.names_instances = false, .poll = std::chrono::seconds(5)};
  int capacity = 0;
  std::map<std::string, ObservedInstance> instances;
  std::string blocked;
  std::optional<Error> shortage, fault, error;
  std::vector<std::string> history, intents, services;
  int observations = 0;
  bool is_slow = false;      // takes a wish, and does nothing of it yet
  bool dies = false;         // takes a wish, and the daemon never hears of it
  bool loses_calls = false;  // with it: nor does it take it
  char next = 'a';
};

}  // namespace autoscale
