// What is observed of targets and their instances, and what that proves.
#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "daemon/fleet/fleet.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

// A target that could not be read is read again.
constexpr Millis kUnreadRetry = std::chrono::seconds(5);

}  // namespace

void Prove(Instance& instance, TimePoint now) {
  instance.proven |= instance.phase == InstancePhase::kServing &&
                     instance.state == InstanceState::kReady &&
                     now - instance.state_since >= kProven;
}

void TakeState(Instance& instance, InstanceState state, TimePoint now) {
  if (instance.state == state) return;
  Prove(instance, now);
  instance.state = state;
  instance.state_since = now;
}

void TakeObservation(Member& member, const ObservedInstance& observed, TimePoint now) {
  auto at = std::lower_bound(member.instances.begin(), member.instances.end(), observed.id,
                             [](const Instance& i, const std::string& id) { return i.id < id; });
  if (at == member.instances.end() || at->id != observed.id) {
    if (observed.state == InstanceState::kGone) {
      member.forget.push_back(observed.id);
      return;
    }
    // It is ours (the provider only reports its own) and nothing is stored of it: the database was
    // lost. It is taken over as it is; the policy decides what becomes of it.
    at = member.instances.insert(
        at, {.id = observed.id, .phase = InstancePhase::kRequested, .since = now});
  }
  if (at->phase == InstancePhase::kRequested && observed.state != InstanceState::kGone) {
    MarkLaunched(*at, *member.spec, now);
  }
  at->reported = true;
  TakeState(*at, observed.state, now);
  at->detail = observed.detail;
  at->rank = observed.rank;
  at->kept = observed.kept;
  if (!observed.endpoint.empty() && observed.endpoint != at->endpoint) {
    at->endpoint = observed.endpoint;
    at->stored = false;
  }
}

void TakeUp(Instance& instance, TimePoint now) {
  if (instance.phase == InstancePhase::kServing) {
    instance.started = instance.since;
    instance.proven = now - instance.since >= kProven;
  } else {
    instance.proven = instance.phase == InstancePhase::kDraining;  // it may be taken back
  }
}

// --- By the fleet ---

void Fleet::Observe(const std::vector<Member*>& members) {
  std::map<Provider*, std::vector<TargetRef>> by_provider;
  for (const Member* member : members) {
    if (member->provider == nullptr) continue;
    by_provider[member->provider].push_back({member->spec->name, member->spec->target});
  }
  for (auto& [provider, targets] : by_provider) {
    std::vector<TargetRef> asked = targets;
    const TimePoint sent = options_.clock.Now();
    options_.courier.ToLoop([this, sent, provider = provider, asked = std::move(asked),
                             targets = std::move(targets)]() mutable {
      provider->Observe(std::move(targets), [this, sent,
                                             asked = std::move(asked)](auto answer) mutable {
        options_.courier.ToTick([this, sent, asked = std::move(asked), answer = std::move(answer)] {
          TakeObservations(asked, sent, answer);
        });
      });
    });
  }
}

void Fleet::TakeObservations(const std::vector<TargetRef>& asked, TimePoint sent,
                             const Result<std::vector<Observation>>& answer) {
  const TimePoint now = options_.clock.Now();
  if (!answer.ok()) {
    for (const TargetRef& target : asked) {
      if (Member* member = FindMember(target.service)) member->problem = answer.error().message;
    }
    next_resync_ = std::min(next_resync_, now + std::chrono::seconds(1));
    return;
  }
  std::unordered_map<std::string_view, const ProviderTarget*> targets;
  for (const TargetRef& target : asked) targets.emplace(target.service, target.target.get());
  for (const Observation& observation : *answer) {
    const Member* const member = FindMember(observation.service);
    const auto target = targets.find(observation.service);
    // A reload in between has put another target in its place, and had that observed.
    if (member == nullptr || target == targets.end() ||
        member->spec->target.get() != target->second) {
      continue;
    }
    TakeTarget(observation, sent);
  }
  ReachFaultPoint(FaultPoint::kFirstObservation);
}

bool Fleet::IsAt(const std::string& service, const std::string& provider) const {
  const Member* const member = Find(service);
  return member != nullptr && member->spec->provider == provider;
}

void Fleet::OnTarget(const Observation& observation) {
  const Member* const member = FindMember(observation.service);
  // Not of a target whose place another one has taken since.
  if (member != nullptr && member->observed) TakeTarget(observation, options_.clock.Now());
}

void Fleet::TakeTarget(const Observation& observation, TimePoint sent) {
  const TimePoint now = options_.clock.Now();
  Member* const member = FindMember(observation.service);
  if (member == nullptr || sent < member->seen) return;  // a later one has come before
  member->seen = sent;
  Touch(observation.service);
  if (!TakeSizing(*member, observation, sent)) {
    if (!member->observed) next_resync_ = std::min(next_resync_, now + kUnreadRetry);
    return;
  }
  const size_t stored = member->instances.size();
  for (const ObservedInstance& observed : observation.instances) {
    TakeObservation(*member, observed, now);
  }
  const size_t found = member->instances.size() - stored;
  std::unordered_set<std::string_view> present;
  for (const ObservedInstance& observed : observation.instances) present.insert(observed.id);
  for (Instance& instance : member->instances) {
    const bool there = present.contains(instance.id);
    // One only asked for may be on its way; everything else that is not there is gone.
    if (there || instance.phase == InstancePhase::kRequested) continue;
    if (instance.phase == InstancePhase::kStarting && member->observed && !member->sizing) continue;
    TakeState(instance, InstanceState::kGone, now);
    instance.detail = "not found";
  }
  if (member->observed) return;
  member->observed = true;
  member->problem.clear();
  if (!member->known) {
    member->desired = CountFound(*member);
    member->known = true;
  } else if (found > 0 && !member->leaving && !member->sizing) {
    KeepFound(*member, found);
  }
  Anchor(observation.service);
}

// What a target has that nothing is known of: its capacity, or else what runs.
int Fleet::CountFound(const Member& member) {
  if (member.sizing) return member.sizing->capacity;
  return static_cast<int>(
      std::count_if(member.instances.begin(), member.instances.end(), [](const Instance& i) {
        return i.state != InstanceState::kGone && i.state != InstanceState::kStopping;
      }));
}

// The state is older than these instances, as a back-up may be: what is not remembered is not taken
// away before the policy has spoken.
void Fleet::KeepFound(Member& member, size_t found) {
  const auto running = static_cast<int>(
      std::count_if(member.instances.begin(), member.instances.end(), [](const Instance& i) {
        return Counts(i) && i.state != InstanceState::kGone && i.state != InstanceState::kStopping;
      }));
  if (running <= member.desired) return;
  Warn(member, std::to_string(found) +
                   " instances run that the state database does not know: capacity is " +
                   std::to_string(running) + " until the policy decides");
  member.desired = running;
}

void Fleet::OnInstance(const std::string& service, const ObservedInstance& observed) {
  Member* member = FindMember(service);
  if (member == nullptr || !member->observed) return;
  if (observed.state == InstanceState::kReady) ReachFaultPoint(FaultPoint::kReady);
  TakeObservation(*member, observed, options_.clock.Now());
  Touch(service);
}

}  // namespace autoscale
