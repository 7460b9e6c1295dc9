// Which services there are: taken up from the store, put in, grouped by interval.
#include <algorithm>
#include <map>
#include <utility>

#include "daemon/controller/controller.h"
#include "daemon/controller/group.h"
#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

constexpr Millis kFirstPrune = std::chrono::seconds(10);  // by then a start is over

}  // namespace

Service* Controller::FindService(const std::string& name) {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

Status Controller::Start(const std::vector<ServiceSpec>& specs) {
  const TimePoint now = options_.clock.Now();
  auto rows = options_.store.ReadServices();
  if (!rows.ok()) return std::move(rows).error().Within("reading the services stored");
  auto instances = options_.store.ReadInstances();
  if (!instances.ok()) return std::move(instances).error().Within("reading the instances stored");

  std::unordered_map<std::string, ServiceRow*> row_of;
  for (ServiceRow& row : *rows) row_of[row.name] = &row;
  std::unordered_map<std::string, std::vector<InstanceRow>> instances_of;
  for (InstanceRow& row : *instances) instances_of[row.service].push_back(std::move(row));

  for (const ServiceSpec& spec : specs) {
    const auto row = row_of.find(spec.name);
    if (row != row_of.end()) row->second->history.Resume(now);
    Put(std::make_shared<const ServiceSpec>(spec), row == row_of.end() ? nullptr : row->second,
        std::move(instances_of[spec.name]));
    instances_of.erase(spec.name);
  }
  for (const auto& [name, left] : instances_of) {
    if (left.empty()) continue;
    LogWarning(
        "the store knows instances of a service that is not configured any more; they run on",
        {{"service", name}, {"instances", static_cast<int64_t>(left.size())}});
  }
  next_prune_ = now + kFirstPrune;
  Regroup(now);
  return Ok{};
}

void Controller::Put(std::shared_ptr<const ServiceSpec> spec, const ServiceRow* row,
                     std::vector<InstanceRow> instances) {
  Service* service = FindService(spec->name);
  if (service == nullptr) {
    service = services_.emplace_back(std::make_unique<Service>()).get();
    by_name_[spec->name] = service;
    if (row != nullptr) {
      service->desired = row->desired;
      service->generation = row->generation;
      service->paused = row->paused;
      service->pause_reason = row->pause_reason;
      service->policy_state = row->policy_state;
      service->history = row->history;
    }
  }
  service->spec = spec;
  service->samples.clear();
  options_.fleet.Put(std::move(spec),
                     row == nullptr ? std::nullopt : std::optional<int>(row->desired),
                     std::move(instances));
}

// Services by interval. Groups begin apart, so that their queries do not all come at once; services
// of one group stay together, so that they share queries.
void Controller::Regroup(TimePoint now) {
  std::sort(services_.begin(), services_.end(),
            [](const auto& a, const auto& b) { return a->spec->name < b->spec->name; });
  std::map<Millis, std::unique_ptr<Group>> by_interval;
  for (auto& service : services_) {
    std::unique_ptr<Group>& group = by_interval[service->spec->interval];
    if (!group) group = std::make_unique<Group>();
    group->interval = service->spec->interval;
    group->services.push_back(service.get());
  }
  std::map<Millis, TimePoint> next;
  // A tick that is cut off begins again at once.
  for (const auto& group : groups_) next[group->interval] = group->running ? now : group->next;
  groups_.clear();
  ++generation_;
  for (auto& [interval, group] : by_interval) {
    const auto kept = next.find(interval);
    group->next =
        kept != next.end() ? kept->second : now + Millis(13) * static_cast<int>(groups_.size());
    std::vector<std::shared_ptr<const ServiceSpec>> specs;
    for (const Service* service : group->services) specs.push_back(service->spec);
    group->plan = PlanQueries(specs);
    groups_.push_back(std::move(group));
  }
}

}  // namespace autoscale
