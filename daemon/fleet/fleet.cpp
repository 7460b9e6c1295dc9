#include "daemon/fleet/fleet.h"

#include <algorithm>
#include <utility>

#include "daemon/fleet/channel.h"
#include "daemon/fleet/sizing.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

// Everything is observed anew this often even where the provider reports changes by itself.
constexpr Millis kResync = std::chrono::seconds(60);

}  // namespace

Fleet::Fleet(FleetOptions options) : options_(std::move(options)) {}
Fleet::~Fleet() = default;

Member* Fleet::FindMember(const std::string& service) {
  const auto it = members_.find(service);
  return it == members_.end() ? nullptr : it->second.get();
}

const Member* Fleet::Find(const std::string& service) const {
  const auto it = members_.find(service);
  return it == members_.end() ? nullptr : it->second.get();
}

void Fleet::Note(const Member& member, std::string text, NoteKind kind) {
  if (member.rehearsal) {
    text.insert(0, "dry run: ");
    kind = NoteKind::kNews;
  }
  options_.note(member.spec->name, kind, std::move(text));
}

void Fleet::Warn(const Member& member, std::string text) {
  Note(member, std::move(text), NoteKind::kTrouble);
}

void Fleet::Put(std::shared_ptr<const ServiceSpec> spec, std::optional<int> desired,
                std::vector<InstanceRow> rows) {
  std::unique_ptr<Member>& slot = members_[spec->name];
  if (!slot) slot = std::make_unique<Member>();
  Member& member = *slot;
  const bool fresh = member.spec == nullptr;
  const bool rehearsed = member.rehearsal;
  const auto former = member.spec;
  std::vector<Link> old_links = std::exchange(member.links, {});
  if (!fresh) DropLinks(member, old_links);
  member.spec = std::move(spec);
  member.rehearsal = member.spec->dry_run;
  const bool left = std::exchange(member.leaving, false);
  member.blind = false;
  member.failures_allowed = options_.failures_allowed;
  const Adapters& adapters = member.rehearsal ? options_.recording : options_.live;
  if (!member.spec->provider.empty()) {
    member.provider = adapters.providers.at(member.spec->provider);
  } else {
    member.observed = true;  // lists alone: there is nothing to be told
  }
  BuildLinks(member, std::move(old_links));
  if (fresh) {
    member.known = desired.has_value();
    member.desired = desired.value_or(0);
    for (InstanceRow& row : rows) {
      member.instances.push_back({.id = std::move(row.id),
                                  .endpoint = std::move(row.endpoint),
                                  .phase = row.phase,
                                  .since = row.since,
                                  .deadline = row.deadline,
                                  .protected_until = row.protected_until,
                                  .protect_reason = std::move(row.protect_reason),
                                  .stored = true});
      TakeUp(member.instances.back(), options_.clock.Now());
    }
    std::sort(member.instances.begin(), member.instances.end(),
              [](const Instance& a, const Instance& b) { return a.id < b.id; });
  } else if (rehearsed != member.rehearsal) {
    // What was only rehearsed must not become real, nor the other way round.
    Settle(member);
    member.sizing.reset();
    member.remembered.reset();
    for (Instance& instance : member.instances) instance.stored = false;
    member.known = false;
    member.observed = false;
  } else {
    autoscale::CloseBreaker(member);  // the new specification may be the remedy
    if (IsOtherTarget(*former, *member.spec)) {
      // Another one's capacity: nothing is asked before it is known.
      member.sizing.reset();
      member.remembered.reset();
      member.observed = false;
      member.known = false;
    }
    // It is back before it was gone: with all that can still be taken back.
    if (left) {
      member.desired = static_cast<int>(std::count_if(
          member.instances.begin(), member.instances.end(),
          [](const Instance& i) { return Counts(i) || i.phase == InstancePhase::kDraining; }));
    }
  }
  unseen_.insert(member.spec->name);
}

void Fleet::RestoreBreaker(const std::string& service, const ServiceRow& row) {
  Member* member = FindMember(service);
  if (member == nullptr || row.breaker.empty()) return;
  member->breaker = row.breaker;
  member->breaker_since = row.breaker_since;
  member->breaker_stored = true;
  member->contested = row.contested;
  if (row.contested) {
    member->contests = member->failures_allowed;
    member->last_contest = options_.clock.Now();  // nobody has looked until now
  } else {
    member->failures = member->failures_allowed;
    member->last_failure = row.breaker_since;
    member->launch_after = options_.clock.Now() + kProbeEvery;  // a crash is no reason to try again
  }
}

void Fleet::RestoreSize(const std::string& service, const SizeRow& size) {
  Member* member = FindMember(service);
  if (member != nullptr && size.capacity >= 0) member->remembered = size;
}

void Fleet::CloseBreaker(const std::string& service) {
  Member* member = FindMember(service);
  if (member == nullptr) return;
  autoscale::CloseBreaker(*member);
  Touch(service);
}

Status Fleet::Protect(const std::string& service, const std::string& id, TimePoint until,
                      const std::string& reason) {
  Member* member = FindMember(service);
  std::string ids;
  if (member != nullptr && member->sizing && !member->sizing->abilities.ends_exactly) {
    return Error{ErrorKind::kInvalid, "the target of service '" + service +
                                          "' chooses by itself which instances end: they can only "
                                          "be protected there"};
  }
  if (member != nullptr) {
    for (Instance& instance : member->instances) {
      if (instance.id != id) {
        ids += (ids.empty() ? "" : ", ") + instance.id;
        continue;
      }
      if (!Counts(instance) && until > options_.clock.Now()) {
        return Error{ErrorKind::kConflict, id + " is " + std::string(ToString(instance.phase)) +
                                               " already: it cannot be kept any more"};
      }
      instance.protected_until = until;
      instance.protect_reason = reason;
      instance.stored = false;
      Touch(service);
      return Ok{};
    }
  }
  return Error{ErrorKind::kNotFound, "service '" + service + "' has no instance '" + id + "'" +
                                         (ids.empty() ? "" : "; it has " + ids)};
}

void Fleet::DrainBlindly(const std::string& service) {
  if (Member* member = FindMember(service)) member->blind = true;
}

std::string Fleet::OwnerOf(const std::string& gateway, const std::string& upstream) const {
  const auto channel = channels_.find({gateway, false});
  if (channel == channels_.end()) return {};
  const auto service = channel->second->services.find(upstream);
  return service == channel->second->services.end() ? "" : service->second->spec->name;
}

void Fleet::Remove(const std::string& service) {
  Member* member = FindMember(service);
  if (member == nullptr) return;
  if (member->rehearsal) {
    DropLinks(*member, member->links);
    members_.erase(service);
    return;
  }
  member->leaving = true;
  if (!member->observed && member->spec->target && member->spec->target->has_capacity()) {
    // Nothing is known of it, and nothing of it would end: lists and target stay as they are.
    DropLinks(*member, member->links);
    waiting_.erase(service);
    to_watch_.erase(service);
    left_.push_back(service);
    members_.erase(service);
    return;
  }
  // Instances that others started, for others to keep, are left as they are.
  if (!member->sizing) member->desired = 0;
  Touch(service);
}

void Fleet::SetDesired(const std::string& service, int desired) {
  Member* member = FindMember(service);
  if (member == nullptr || member->desired == desired) return;
  if (member->spec->owner == CapacityOwner::kExternal) return;  // a recommendation
  member->desired = desired;
  Touch(service);
}

void Fleet::Anchor(const std::string& service) {
  Member* member = FindMember(service);
  if (member == nullptr || !member->rehearsal || !member->observed) return;
  Settle(*member);
  member->desired =
      member->sizing ? member->sizing->capacity : static_cast<int>(member->instances.size());
}

// Back to what was observed: nothing asked for, nothing under way.
void Fleet::Settle(Member& member) {
  std::erase_if(member.instances,
                [](const Instance& i) { return !i.reported || i.state == InstanceState::kGone; });
  for (Instance& instance : member.instances) {
    if (instance.state == InstanceState::kReady || instance.state == InstanceState::kUnready) {
      instance.phase = InstancePhase::kServing;
      instance.proven = true;  // it was not our start
    } else if (instance.phase != InstancePhase::kServing) {
      instance.phase = InstancePhase::kStarting;
    }
    instance.asked.reset();
    instance.deadline.reset();
    instance.stored = true;
  }
  autoscale::CloseBreaker(member);
}

// --- The pass ---

void Fleet::Look(TimePoint now) {
  const bool all = now >= next_resync_;
  if (!all && unseen_.empty()) return;
  if (all) next_resync_ = now + kResync;
  std::vector<Member*> members;
  for (const auto& [name, member] : members_) {
    if (all || unseen_.contains(name)) members.push_back(member.get());
  }
  unseen_.clear();
  Observe(members);
}

void Fleet::Reconcile(TimePoint now, StoreBatch& batch) {
  Look(now);
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (it->second <= now) {
      touched_.insert(it->first);
      it = waiting_.erase(it);
    } else {
      ++it;
    }
  }
  const ReconcileContext context{
      .now = now,
      .new_id =
          [this](const Member& member) {
            // Never one that is there: after a lost database the epoch has been used before.
            while (true) {
              std::string id = member.spec->name + "-" + std::to_string(options_.epoch) + "-" +
                               std::to_string(++last_id_);
              if (std::none_of(member.instances.begin(), member.instances.end(),
                               [&](const Instance& i) { return i.id == id; })) {
                return id;
              }
            }
          },
      .note = [this](const Member& member, NoteKind kind,
                     std::string text) { Note(member, std::move(text), kind); },
      .lost = [this](const Member&) { ++options_.counters.instances_lost; },
      .frozen = frozen_};
  std::vector<Member*> to_observe;
  for (const std::string& service : touched_) {
    Member* member = FindMember(service);
    if (member == nullptr || !member->observed) continue;
    if (IsDueToBeSeen(*member, now)) to_observe.push_back(member);
    autoscale::Reconcile(*member, context, batch);
    if (member->breaker.empty() == member->breaker_stored) {
      member->breaker_stored = !member->breaker.empty();
      breakers_.push_back(service);
    }
    if (HasNewSize(*member, now)) sizes_.push_back(service);
    to_act_.insert(service);
  }
  touched_.clear();
  Observe(to_observe);
}

void Fleet::Freeze(bool frozen) {
  if (frozen_ != frozen) {
    for (const auto& [service, member] : members_) Touch(service);  // what waited goes on, or stops
  }
  frozen_ = frozen;
}

void Fleet::PublishDue(Member& member, TimePoint now) {
  for (size_t i = 0; i < member.links.size(); ++i) {
    const Link& link = member.links[i];
    if (!link.busy && link.confirmed < member.sequence && now >= link.retry_at) {
      Publish(member, i, now);
    }
  }
}

void Fleet::PublishLosses(TimePoint now) {
  for (const std::string& service : to_act_) {
    if (Member* const member = FindMember(service)) PublishDue(*member, now);
  }
}

void Fleet::Act(TimePoint now) {
  for (const std::string& service : to_act_) {
    Member* member = FindMember(service);
    if (member == nullptr) continue;
    if (member->sizing) {
      Resize(*member, now);
    } else {
      Launch(*member, now);
      Terminate(*member, now);
    }
    member->former.reset();
    PublishDue(*member, now);
    for (std::string& id : member->forget) {
      ReachFaultPoint(FaultPoint::kBeforeForget);
      options_.courier.ToLoop([provider = member->provider, service, id = std::move(id)] {
        provider->Forget(service, id);
      });
    }
    member->forget.clear();
    Watch(*member, now);
    if (member->leaving && HasLeft(*member)) {
      DropLinks(*member, member->links);
      waiting_.erase(service);
      to_watch_.erase(service);
      left_.push_back(service);
      members_.erase(service);
    }
  }
  to_act_.clear();
  Inspect(now);
}

void Fleet::Watch(const Member& member, TimePoint now) {
  const std::string& service = member.spec->name;
  if (const auto next = autoscale::NextLook(member, now)) {
    waiting_[service] = std::max(*next, now + Millis(1));
  } else {
    waiting_.erase(service);
  }
  const bool draining =
      std::any_of(member.instances.begin(), member.instances.end(),
                  [](const Instance& i) { return i.phase == InstancePhase::kDraining; });
  if (!draining) {
    to_watch_.erase(service);
  } else if (to_watch_.insert(service).second) {
    for (const Link& link : member.links) {
      channels_.at({link.gateway, member.rehearsal})->next = now;
    }
  }
}

void Fleet::Launch(Member& member, TimePoint now) {
  std::vector<std::string> ids;
  for (Instance& instance : member.instances) {
    if (instance.phase != InstancePhase::kRequested || instance.asked ||
        now < member.launch_after) {
      continue;
    }
    instance.asked = now;
    ids.push_back(instance.id);
  }
  if (ids.empty()) return;
  ReachFaultPoint(FaultPoint::kBeforeLaunch);
  if (!member.rehearsal) options_.counters.instances_started += ids.size();
  options_.courier.ToLoop([this, provider = member.provider, ids = std::move(ids),
                           target = TargetRef{member.spec->name, member.spec->target}] {
    const std::string service = target.service;
    provider->Launch(target, ids, [this, service, ids](std::vector<Status> answers) {
      options_.courier.ToTick([this, service, ids, answers = std::move(answers)] {
        TakeLaunch(service, ids, answers);
      });
    });
  });
}

void Fleet::TakeLaunch(const std::string& service, const std::vector<std::string>& ids,
                       const std::vector<Status>& answers) {
  Member* member = FindMember(service);
  if (member == nullptr) return;
  ReachFaultPoint(FaultPoint::kLaunchAnswered);
  const TimePoint now = options_.clock.Now();
  Touch(service);
  std::string problem;
  for (size_t i = 0; i < ids.size(); ++i) {
    for (Instance& instance : member->instances) {
      if (instance.id != ids[i] || instance.phase != InstancePhase::kRequested) continue;
      if (answers[i].ok()) {
        MarkLaunched(instance, *member->spec, now);
      } else {
        instance.asked.reset();
        instance.detail = answers[i].error().message;
        problem = instance.detail;
      }
    }
  }
  if (problem.empty()) return;
  if (member->problem != problem) Warn(*member, "could not start an instance: " + problem);
  BackOff(*member, now, problem);
}

void Fleet::Terminate(Member& member, TimePoint now) {
  std::vector<std::string> ids;
  for (Instance& instance : member.instances) {
    if (instance.phase != InstancePhase::kStopping || instance.asked) continue;
    instance.asked = now;
    ids.push_back(instance.id);
  }
  if (ids.empty()) return;
  ReachFaultPoint(FaultPoint::kBeforeTerminate);
  if (!member.rehearsal) options_.counters.instances_stopped += ids.size();
  options_.courier.ToLoop([this, provider = member.provider, ids = std::move(ids),
                           target = TargetRef{member.spec->name, member.spec->target}] {
    const std::string service = target.service;
    provider->Terminate(target, ids, [this, service, ids](std::vector<Status> answers) {
      options_.courier.ToTick([this, service, ids, answers = std::move(answers)] {
        TakeTermination(service, ids, answers);
      });
    });
  });
}

void Fleet::TakeTermination(const std::string& service, const std::vector<std::string>& ids,
                            const std::vector<Status>& answers) {
  Member* member = FindMember(service);
  if (member == nullptr) return;
  std::string problem;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (answers[i].ok()) continue;
    problem = answers[i].error().message;
    // Asked again after a while: the phase says what must come true.
    if (member->problem != problem) Warn(*member, "could not stop " + ids[i] + ": " + problem);
    member->problem = problem;
  }
  if (problem.empty()) return;
  CountFailure(*member, options_.clock.Now(), problem);
  Touch(service);
}

std::optional<TimePoint> Fleet::NextLook(TimePoint now) const {
  std::optional<TimePoint> next;
  const auto at = [&next](TimePoint t) { next = next ? std::min(*next, t) : t; };
  if (!touched_.empty() || !unseen_.empty()) at(now);
  if (!members_.empty()) at(next_resync_);
  for (const auto& [service, time] : waiting_) at(time);
  for (const auto& [key, channel] : channels_) {
    if (!channel->busy && !channel->services.empty()) at(channel->next);
  }
  return next;
}

bool Fleet::HasLeft(const Member& member) const {
  if (!member.sizing) return member.instances.empty() && IsSettled(member.spec->name);
  return !member.sizing->busy &&
         std::none_of(member.instances.begin(), member.instances.end(), [](const Instance& i) {
           return i.phase == InstancePhase::kDraining || i.phase == InstancePhase::kStopping;
         });
}

bool Fleet::IsSettled(const std::string& service) const {
  const Member* member = Find(service);
  if (member == nullptr) return true;
  if (member->sizing && (member->sizing->busy || member->sizing->capacity != member->desired)) {
    return false;
  }
  const Capacity capacity = CapacityOf(*member);
  if (capacity.ready != member->desired ||
      member->instances.size() != static_cast<size_t>(member->desired)) {
    return false;
  }
  return std::all_of(member->links.begin(), member->links.end(),
                     [&](const Link& link) { return link.confirmed >= member->sequence; });
}

std::vector<std::string> Fleet::TakeLeft() { return std::exchange(left_, {}); }
std::vector<std::string> Fleet::TakeSizes() { return std::exchange(sizes_, {}); }
std::vector<std::string> Fleet::TakeBreakers() { return std::exchange(breakers_, {}); }

}  // namespace autoscale
