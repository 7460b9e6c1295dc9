// A service whose target is another one than before. What one provider started another cannot end,
// and what one place has another one does not show: it would be lost track of.
#include <algorithm>

#include "daemon/controller/controller.h"
#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

TargetRow TargetOf(const ServiceSpec& spec) {
  if (!spec.target) return {.provider = spec.provider, .place = {}};
  return {.provider = spec.provider,
          .place = spec.target->place(),
          .identity = HashOf(spec.target->identity())};
}

bool IsElsewhere(const TargetRow& one, const TargetRow& other) {
  return one.provider != other.provider || one.place != other.place;
}

std::string InWords(const TargetRow& target) {
  return target.provider + (target.place.empty() ? "" : " (" + target.place + ")");
}

// How a person may move it all the same.
std::string HowToMove(const TargetRow& former, bool had_capacity, const TargetRow& present) {
  if (former.provider == present.provider) {
    return "change it by a reload, which leaves the former target as it is and takes the other one "
           "as it is found";
  }
  return had_capacity ? "take it out by a reload, which leaves its target as it is, and add it anew"
                      : "take it out by a reload, and add it anew when its instances have ended";
}

}  // namespace

// Of one that is stored only, be it in a dry run: the instances stored; else those that are there.
Result<Controller::Former> Controller::FindFormer(const std::string& name) const {
  const Member* const member = options_.fleet.Find(name);
  if (member != nullptr && !member->rehearsal) {
    const int capacity = member->sizing ? member->sizing->capacity : 0;
    return Former{.target = TargetOf(*member->spec),
                  .acts = true,
                  .has_capacity = member->sizing != nullptr,
                  .instances = std::max(static_cast<int>(member->instances.size()), capacity)};
  }
  Former former;
  SizeRow size;
  if (const auto absent = absent_.find(name); absent != absent_.end()) {
    former.target = absent->second.row.target;
    size = absent->second.row.size;
    former.instances = static_cast<int>(absent->second.instances.size());
  } else if (const auto service = by_name_.find(name); service != by_name_.end()) {
    former.target = service->second->target;
    size = service->second->size;
    auto rows = options_.store.ReadInstances();
    if (!rows) return std::move(rows).error();
    former.instances = static_cast<int>(std::count_if(
        rows->begin(), rows->end(), [&](const InstanceRow& row) { return row.service == name; }));
  }
  former.has_capacity = size.capacity >= 0;
  former.instances = std::max(former.instances, size.capacity);
  return former;
}

// At a start and at a reload. In dry run nothing is acted on, wherever it is.
Status Controller::RefuseMoves(const std::vector<ServiceSpec>& specs) const {
  std::string faults;
  for (const ServiceSpec& spec : specs) {
    if (spec.dry_run) continue;
    const auto former = FindFormer(spec.name);
    if (!former) return Error(former.error()).Within("service '" + spec.name + "'");
    const TargetRow present = TargetOf(spec);
    // Where it is acted on, another place is taken over as it is found.
    const bool moved = former->acts ? former->target.provider != present.provider
                                    : !former->target.provider.empty() && former->instances > 0 &&
                                          IsElsewhere(former->target, present);
    if (!moved) continue;
    const bool same = former->target.provider == present.provider;
    const std::string there = former->instances == 1
                                  ? "1 instance runs"
                                  : std::to_string(former->instances) + " instances run";
    faults += (faults.empty() ? "" : "\n") + spec.file + ":" + std::to_string(spec.line) +
              ": service '" + spec.name + "' moves from " +
              (same ? former->target.place : "provider " + InWords(former->target)) + " to " +
              (same ? present.place : InWords(present)) +
              (former->instances > 0 ? ", and " + there + " there" : "") +
              ": put it back; to move it, " +
              HowToMove(former->target, former->has_capacity, present) +
              "; or give the moved one another name beside the old one";
  }
  if (!faults.empty()) return Error{ErrorKind::kInvalid, faults};
  return Ok{};
}

// From now on what is stored of the service is of the target that it has now. False: it was of
// another one, and says nothing of this.
bool Controller::TakeTarget(Service& service) {
  const ServiceSpec& spec = *service.spec;
  const TargetRow present = TargetOf(spec);
  if (spec.dry_run || service.target == present) return true;
  const TargetRow former = std::exchange(service.target, present);
  const bool other = !former.provider.empty() &&
                     (IsElsewhere(former, present) || (former.identity != present.identity &&
                                                       spec.target && spec.target->has_capacity()));
  if (other) {
    LogInfo("its target is another one: what is found there is its capacity",
            {{"service", spec.name}, {"former", InWords(former)}, {"target", InWords(present)}});
    service.desired = 0;
    service.generation = 0;
    service.stored.reset();
    service.size = {};
    service.breaker.clear();
    service.contested = false;
  }
  batch_.services.push_back(RowOf(service));
  return !other;
}

}  // namespace autoscale
