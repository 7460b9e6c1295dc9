#include "daemon/fleet/fleet.h"

#include <algorithm>
#include <utility>

#include "daemon/fleet/channel.h"

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

void Fleet::Note(const Member& member, std::string text) {
  options_.note(member.spec->name, (member.rehearsal ? "dry run: " : "") + std::move(text));
}

void Fleet::Put(std::shared_ptr<const ServiceSpec> spec, std::optional<int> desired,
                std::vector<InstanceRow> rows) {
  std::unique_ptr<Member>& slot = members_[spec->name];
  if (!slot) slot = std::make_unique<Member>();
  Member& member = *slot;
  const bool fresh = member.spec == nullptr;
  const bool rehearsed = member.rehearsal;
  std::vector<Link> old_links = std::exchange(member.links, {});
  if (!fresh) DropLinks(member, old_links);
  member.spec = std::move(spec);
  member.rehearsal = member.spec->dry_run;
  member.leaving = false;
  const Adapters& adapters = member.rehearsal ? options_.recording : options_.live;
  member.provider = adapters.providers.at(member.spec->provider);
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
                                  .stored = true});
    }
    std::sort(member.instances.begin(), member.instances.end(),
              [](const Instance& a, const Instance& b) { return a.id < b.id; });
  } else if (rehearsed != member.rehearsal) {
    // What was only rehearsed must not become real, nor the other way round.
    Settle(member);
    for (Instance& instance : member.instances) instance.stored = false;
    member.known = false;
    member.observed = false;
  }
  Observe({&member});
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
  member->desired = 0;
  Touch(service);
}

void Fleet::SetDesired(const std::string& service, int desired) {
  Member* member = FindMember(service);
  if (member == nullptr || member->desired == desired) return;
  member->desired = desired;
  Touch(service);
}

void Fleet::Anchor(const std::string& service) {
  Member* member = FindMember(service);
  if (member == nullptr || !member->rehearsal || !member->observed) return;
  Settle(*member);
  member->desired = static_cast<int>(member->instances.size());
}

// Back to what was observed: nothing asked for, nothing under way.
void Fleet::Settle(Member& member) {
  std::erase_if(member.instances,
                [](const Instance& i) { return !i.reported || i.state == InstanceState::kGone; });
  for (Instance& instance : member.instances) {
    if (instance.state == InstanceState::kReady || instance.state == InstanceState::kUnready) {
      instance.phase = InstancePhase::kServing;
    } else if (instance.phase != InstancePhase::kServing) {
      instance.phase = InstancePhase::kStarting;
    }
    instance.asked.reset();
    instance.deadline.reset();
    instance.stored = true;
  }
  member.launch_failures = 0;
  member.launch_after = {};
}

// --- What exists ---

void Fleet::Observe(const std::vector<Member*>& members) {
  std::map<Provider*, std::vector<TargetRef>> by_provider;
  for (const Member* member : members) {
    by_provider[member->provider].push_back({member->spec->name, member->spec->target});
  }
  for (auto& [provider, targets] : by_provider) {
    std::vector<std::string> asked;
    asked.reserve(targets.size());
    for (const TargetRef& target : targets) asked.push_back(target.service);
    options_.courier.ToLoop([this, provider = provider, asked = std::move(asked),
                             targets = std::move(targets)]() mutable {
      provider->Observe(std::move(targets), [this, asked = std::move(asked)](auto answer) mutable {
        options_.courier.ToTick([this, asked = std::move(asked), answer = std::move(answer)] {
          TakeObservations(asked, answer);
        });
      });
    });
  }
}

void Fleet::TakeObservations(const std::vector<std::string>& asked,
                             const Result<std::vector<Observation>>& answer) {
  const TimePoint now = options_.clock.Now();
  if (!answer.ok()) {
    for (const std::string& service : asked) {
      if (Member* member = FindMember(service)) member->problem = answer.error().message;
    }
    next_resync_ = std::min(next_resync_, now + std::chrono::seconds(1));
    return;
  }
  for (const Observation& observation : *answer) {
    Member* member = FindMember(observation.service);
    if (member == nullptr) continue;
    for (const ObservedInstance& observed : observation.instances) {
      TakeObservation(*member, observed, now);
    }
    for (Instance& instance : member->instances) {
      const bool there =
          std::any_of(observation.instances.begin(), observation.instances.end(),
                      [&](const ObservedInstance& observed) { return observed.id == instance.id; });
      // One only asked for may be on its way; everything else that is not there is gone.
      if (there || instance.phase == InstancePhase::kRequested) continue;
      if (instance.phase == InstancePhase::kStarting && member->observed) continue;
      instance.state = InstanceState::kGone;
      instance.detail = "not found";
    }
    if (!member->observed) {
      member->observed = true;
      member->problem.clear();
      if (!member->known) {
        member->desired = static_cast<int>(
            std::count_if(member->instances.begin(), member->instances.end(), [](const auto& i) {
              return i.state != InstanceState::kGone && i.state != InstanceState::kStopping;
            }));
        member->known = true;
      }
      Anchor(observation.service);
    }
    Touch(observation.service);
  }
}

void Fleet::OnInstance(const std::string& service, const ObservedInstance& observed) {
  Member* member = FindMember(service);
  if (member == nullptr || !member->observed) return;
  TakeObservation(*member, observed, options_.clock.Now());
  Touch(service);
}

// --- The pass ---

void Fleet::Reconcile(TimePoint now, StoreBatch& batch) {
  if (now >= next_resync_) {
    next_resync_ = now + kResync;
    std::vector<Member*> members;
    for (auto& [name, member] : members_) members.push_back(member.get());
    Observe(members);
  }
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
      .note = [this](const Member& member, std::string text) { Note(member, std::move(text)); },
      .lost = [this](const Member&) { ++options_.counters.instances_lost; }};
  for (const std::string& service : touched_) {
    Member* member = FindMember(service);
    if (member == nullptr || !member->observed) continue;
    autoscale::Reconcile(*member, context, batch);
    to_act_.push_back(service);
  }
  touched_.clear();
}

void Fleet::Act(TimePoint now) {
  for (const std::string& service : to_act_) {
    Member* member = FindMember(service);
    if (member == nullptr) continue;
    Launch(*member, now);
    Terminate(*member, now);
    for (size_t i = 0; i < member->links.size(); ++i) {
      const Link& link = member->links[i];
      if (!link.busy && link.confirmed < member->sequence && now >= link.retry_at) {
        Publish(*member, i, now);
      }
    }
    for (std::string& id : member->forget) {
      options_.courier.ToLoop([provider = member->provider, service, id = std::move(id)] {
        provider->Forget(service, id);
      });
    }
    member->forget.clear();
    Watch(*member, now);
    if (member->leaving && member->instances.empty() && IsSettled(service)) {
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
  if (member->problem != problem) Note(*member, "could not start an instance: " + problem);
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
  for (size_t i = 0; i < ids.size(); ++i) {
    if (answers[i].ok()) continue;
    // Asked again after a while: the phase says what must come true.
    if (member->problem != answers[i].error().message) {
      member->problem = answers[i].error().message;
      Note(*member, "could not stop " + ids[i] + ": " + member->problem);
    }
  }
}

std::optional<TimePoint> Fleet::NextLook(TimePoint now) const {
  std::optional<TimePoint> next;
  const auto at = [&next](TimePoint t) { next = next ? std::min(*next, t) : t; };
  if (!touched_.empty()) at(now);
  if (!members_.empty()) at(next_resync_);
  for (const auto& [service, time] : waiting_) at(time);
  for (const auto& [key, channel] : channels_) {
    if (!channel->busy && !channel->services.empty()) at(channel->next);
  }
  return next;
}

bool Fleet::IsSettled(const std::string& service) const {
  const Member* member = Find(service);
  if (member == nullptr) return true;
  const Capacity capacity = CapacityOf(*member);
  if (capacity.ready != member->desired ||
      member->instances.size() != static_cast<size_t>(member->desired)) {
    return false;
  }
  return std::all_of(member->links.begin(), member->links.end(),
                     [&](const Link& link) { return link.confirmed >= member->sequence; });
}

std::vector<std::string> Fleet::TakeLeft() { return std::exchange(left_, {}); }

void Fleet::Describe(const std::string& service, ServiceView& view) const {
  const Member* member = Find(service);
  if (member == nullptr) return;
  view.capacity = CapacityOf(*member);
  view.problem = member->problem;
  for (const Instance& instance : member->instances) {
    if (instance.phase == InstancePhase::kDraining) ++view.draining;
    InstanceView& shown = view.instances.emplace_back();
    shown.id = instance.id;
    shown.phase = ToString(instance.phase);
    shown.endpoint = instance.endpoint;
    shown.detail = instance.detail;
    if (shown.detail.empty() && instance.state == InstanceState::kUnready) {
      shown.detail = "fails its health check";
    }
    shown.since = instance.since;
    shown.in_flight = instance.in_flight;
  }
  for (const Link& link : member->links) {
    view.gateways.push_back({.gateway = link.gateway,
                             .upstream = link.upstream,
                             .wanted = ToString(link, member->sequence),
                             .confirmed = link.confirmed > 0 ? ToString(link, link.confirmed) : "",
                             .problem = link.problem});
    if (view.problem.empty() && !link.problem.empty()) {
      view.problem = "gateway " + link.gateway + ": " + link.problem;
    }
  }
}

}  // namespace autoscale
