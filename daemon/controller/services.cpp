// Which services there are: taken up from the store, put in, grouped by interval.
#include <algorithm>
#include <map>
#include <utility>

#include "daemon/controller/controller.h"
#include "daemon/controller/group.h"
#include "daemon/controller/leaving.h"
#include "daemon/telemetry/log.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

void TellAbsent(const std::string& service, size_t instances) {
  if (instances == 0) return;
  LogWarning(
      "the store knows instances of a service that is not configured any more; they run on, and "
      "are taken up when it is configured again",
      {{"service", service}, {"instances", static_cast<int64_t>(instances)}});
}

// A service that is not configured, runs nothing and has been quiet for this long is forgotten.
constexpr Millis kForgottenAfter = std::chrono::hours(24 * 30);

// Whether what is stored of it says nothing any more: windows and cooldowns are over, and no person
// or breaker has left a word.
bool IsForgotten(Store& store, const ServiceRow& row, TimePoint now) {
  if (row.paused || !row.breaker.empty()) return false;
  const auto last = store.ReadDecisions(row.name, 1);
  if (!last.ok()) return false;
  return last->empty() ? row.generation == 0 : now - last->front().at >= kForgottenAfter;
}

constexpr Millis kFirstTidy = std::chrono::seconds(10);  // by then a start is over

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

  std::map<std::string, StoredService> stored;
  for (ServiceRow& row : *rows) stored[row.name].row = std::move(row);
  for (InstanceRow& row : *instances) stored[row.service].instances.push_back(std::move(row));
  absent_ = std::move(stored);  // all, until they are found to be configured
  if (auto moved = RefuseMoves(specs); !moved) return moved;
  stored = std::exchange(absent_, {});

  // What was tried begins anew where it cannot be read: nothing depends on it.
  auto shadows = options_.store.ReadShadows();
  std::unordered_map<std::string, const ShadowRow*> shadow_of;
  if (shadows.ok()) {
    for (const ShadowRow& row : *shadows) shadow_of[row.service] = &row;
  }

  std::vector<StoredService> removals;
  for (const ServiceSpec& spec : specs) {
    auto known = stored.extract(spec.name);
    if (known.empty()) {
      Put(std::make_shared<const ServiceSpec>(spec), nullptr, {});
    } else {
      if (!known.mapped().row.leaving.empty()) removals.push_back({.row = known.mapped().row});
      TakeUp(std::make_shared<const ServiceSpec>(spec), std::move(known.mapped()), now);
    }
    const auto shadow = shadow_of.find(spec.name);
    PutShadow(*FindService(spec.name), shadow == shadow_of.end() ? nullptr : shadow->second);
  }
  for (auto& [name, one] : stored) {
    if (!one.row.leaving.empty()) {
      removals.push_back(std::move(one));
    } else if (one.instances.empty() && IsForgotten(options_.store, one.row, now)) {
      LogInfo("a service that is not configured any more is forgotten", {{"service", name}});
      batch_.removed_services.push_back(name);
    } else {
      TellAbsent(name, one.instances.size());
      absent_.emplace(name, std::move(one));
    }
  }
  for (StoredService& removal : removals) {
    TakeUpRemoval(removal.row, std::move(removal.instances));
  }
  ReachFaultPoint(FaultPoint::kServicesTakenUp);
  next_tidy_ = now + kFirstTidy;
  Regroup(now);
  return Ok{};
}

// What was decided of it before goes on, however long ago that was.
void Controller::TakeUp(std::shared_ptr<const ServiceSpec> spec, StoredService stored,
                        TimePoint now) {
  ServiceRow& row = stored.row;
  const std::string name = spec->name;
  row.history.Resume(now);
  if (!OnlyAdvises(*spec)) {
    for (const AppliedChange& change : row.history.changes()) ledger_.Add(change.at, change.delta);
  }
  Put(std::move(spec), row.name.empty() ? nullptr : &row, std::move(stored.instances));
  if (!FindService(name)->breaker.empty()) options_.fleet.RestoreBreaker(name, row);
}

// A removal that the end of the last daemon interrupted goes on; a service that has come back since
// stays, without what it does not publish any more.
void Controller::TakeUpRemoval(const ServiceRow& row, std::vector<InstanceRow> instances) {
  if (LeavesItsTarget(row.leaving) && FindService(row.name) == nullptr) {
    LogInfo("removed: its target is left as it is", {{"service", row.name}});
    batch_.removed_services.push_back(row.name);
    return;
  }
  auto spec = DecodeLeaving(row.name, row.leaving);
  if (spec.ok() && !options_.fleet.HasProvider(spec->provider) && !spec->provider.empty()) {
    spec = Error{ErrorKind::kNotFound, "there is no provider '" + spec->provider + "'"};
  }
  if (!spec.ok()) {
    LogError("a removal cannot be finished; its instances run on",
             {{"service", row.name}, {"error", spec.error().message}});
  } else if (options_.dry_run) {
    LogInfo("a removal waits until the daemon acts again", {{"service", row.name}});
  } else if (const Service* service = FindService(row.name)) {
    if (service->spec->dry_run) return;
    batch_.services.push_back(RowOf(*service));
    DropUpstreams(*spec, *service->spec);
  } else {
    leaving_[row.name] = row;
    FinishLeaving(*std::move(spec), std::move(instances));
  }
}

// What the present configuration publishes is left to it.
void Controller::FinishLeaving(ServiceSpec spec, std::vector<InstanceRow> instances) {
  bool owned = false;
  std::erase_if(spec.gateways, [&](const GatewayUse& use) {
    if (!options_.fleet.HasGateway(use.gateway)) return true;
    const bool taken = !options_.fleet.OwnerOf(use.gateway, use.upstream).empty();
    owned |= taken;
    return taken;
  });
  const std::string name = spec.name;
  options_.fleet.Put(std::make_shared<const ServiceSpec>(std::move(spec)), 0, std::move(instances));
  options_.fleet.Remove(name);
  if (owned) options_.fleet.DrainBlindly(name);
}

// Empties the upstreams that `before` published and `now` does not.
void Controller::DropUpstreams(const ServiceSpec& before, const ServiceSpec& now) {
  for (const GatewayUse& use : before.gateways) {
    if (std::find(now.gateways.begin(), now.gateways.end(), use) != now.gateways.end()) continue;
    ServiceSpec former = FormerUpstream(now, use);
    Leave(former, {.name = former.name});
    FinishLeaving(std::move(former), {});
  }
}

void Controller::Put(std::shared_ptr<const ServiceSpec> spec, const ServiceRow* row,
                     std::vector<InstanceRow> instances) {
  // What is stored of one that was leaving is that it ought to be gone: what is found counts.
  // And one that no decision has changed yet says nothing.
  bool is_known =
      row != nullptr && row->leaving.empty() && (row->generation > 0 || row->desired > 0);
  Service* service = FindService(spec->name);
  if (service == nullptr) {
    service = services_.emplace_back(std::make_unique<Service>()).get();
    by_name_[spec->name] = service;
    if (row != nullptr) {
      if (is_known) {
        service->desired = row->desired;
        service->stored = row->desired;
        service->generation = row->generation;
      }
      service->paused = row->paused;
      service->pause_reason = row->pause_reason;
      service->breaker = row->breaker;
      service->breaker_since = row->breaker_since;
      service->contested = row->contested;
      service->target = row->target;
      service->size = row->size;
      service->policy_state = row->policy_state;
      service->history = row->history;
      service->last_change = std::max(service->history.last_out(), service->history.last_in());
    }
  }
  service->spec = spec;
  service->decided = false;
  service->quarantined = false;
  service->former_state.reset();
  service->basis_hash = HashOf(Encode(BasisOf(spec, options_.policy_limits)));
  service->samples.clear();
  service->told.clear();
  is_known = TakeTarget(*service) && is_known;
  const std::string name = spec->name;
  options_.fleet.Put(std::move(spec), is_known ? std::optional<int>(row->desired) : std::nullopt,
                     std::move(instances));
  if (is_known) options_.fleet.RestoreSize(name, row->size);
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
  std::vector<std::shared_ptr<const ServiceSpec>> all;
  for (const auto& service : services_) all.push_back(service->spec);
  derived_.Use(all);
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
