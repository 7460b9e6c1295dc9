// The fleet's dealings with targets that have a capacity.
#include <algorithm>
#include <utility>

#include "daemon/fleet/fleet.h"
#include "daemon/fleet/sizing.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

// Asked again after so long where the target did not say when.
constexpr Millis kBlockedRetry = std::chrono::seconds(5);

// Nothing came of it, and by then it is decided anew.
constexpr Millis kRehearsed = std::chrono::minutes(1);

std::string Plural(int n) { return std::to_string(n) + (n == 1 ? " instance" : " instances"); }

bool IsNotNow(ErrorKind kind) {
  return kind == ErrorKind::kConflict || kind == ErrorKind::kBlocked ||
         kind == ErrorKind::kThrottled;
}

// What a wish of ours that failed has done all the same: victims that have ended since.
int CountTaken(const Sizing& sizing, const Observation& observation) {
  if (sizing.ours || sizing.wished < 0) return 0;
  return static_cast<int>(
      std::count_if(sizing.victims.begin(), sizing.victims.end(), [&](const std::string& victim) {
        return std::none_of(observation.instances.begin(), observation.instances.end(),
                            [&](const ObservedInstance& each) {
                              return each.id == victim && each.state != InstanceState::kStopping;
                            });
      }));
}

}  // namespace

// What was known of it before the start is compared with what it is now as if there had been no
// pause: a wish that was under way may have come true in part or as a whole.
void Fleet::BeginSizing(Member& member, int capacity, TimePoint sent) {
  member.sizing = std::make_unique<Sizing>();
  Sizing& sizing = *member.sizing;
  sizing.id = ++last_sizing_;
  sizing.capacity = capacity;
  const auto remembered = std::exchange(member.remembered, std::nullopt);
  if (!remembered || member.rehearsal || !member.known) return;
  sizing.capacity = remembered->capacity;
  sizing.wished = remembered->asked;
  sizing.ours = remembered->asked < 0;
  sizing.stored = *remembered;
  sizing.answered = sent;  // nothing has proven itself yet
  for (const Instance& instance : member.instances) {
    if (instance.phase == InstancePhase::kStopping) sizing.victims.push_back(instance.id);
  }
}

// What is told of the target as a whole; false: it could not be read, nothing of it counts.
bool Fleet::TakeSizing(Member& member, const Observation& observation, TimePoint sent) {
  TakeFault(member, observation);
  if (!member.unread.empty()) return false;
  if (observation.abilities.names_instances) return true;
  if (!member.sizing) BeginSizing(member, *observation.capacity, sent);
  Sizing& sizing = *member.sizing;
  sizing.abilities = observation.abilities;
  if (sizing.blocked != observation.blocked) {
    sizing.blocked = observation.blocked;
    Note(member,
         sizing.blocked.empty() ? "it may be scaled again" : "it is not scaled: " + sizing.blocked);
  }
  TakeShortage(member, observation);
  // What was asked meanwhile is not in it yet.
  if (!sizing.busy && sent >= sizing.answered) {
    const int fell = sizing.capacity - *observation.capacity;
    if (fell > 0 && fell == CountTaken(sizing, observation)) {
      sizing.capacity = *observation.capacity;
    } else if (fell != 0 && !sizing.ours && *observation.capacity == sizing.wished) {
      // Ours, though its answer was lost.
      sizing.capacity = *observation.capacity;
      sizing.ours = true;
    } else if (fell != 0) {
      TakeChange(member, *observation.capacity);
    } else {
      TakeHeld(member, sent);
    }
  }
  if (member.spec->owner == CapacityOwner::kExternal) member.desired = sizing.capacity;
  return true;
}

// Its capacity is as it was known.
void Fleet::TakeHeld(Member& member, TimePoint sent) {
  const Sizing& sizing = *member.sizing;
  if (member.contested) {
    // Set by whoever contested it to what it ought to be, and left there: they agree.
    if (sizing.capacity != member.desired || sent - member.last_contest < kUncontested) return;
    Note(member, "the breaker closes: nobody has changed its capacity for an hour");
    autoscale::CloseBreaker(member);
  } else if (sizing.ours && sent - sizing.answered >= kProven) {
    if (!member.breaker.empty()) Note(member, "the breaker closes: its capacity holds");
    EndRowOfFailures(member);
  }
}

// Instances that do not come are nobody's failure here: it is told, once, and their target goes on
// trying.
void Fleet::TakeShortage(Member& member, const Observation& observation) {
  std::string& known = member.sizing->shortage;
  const std::string told = observation.shortage ? observation.shortage->message : std::string();
  if (known != told) {
    if (!told.empty()) Note(member, "instances do not come: " + told);
    if (member.problem == known) member.problem.clear();
    known = told;
  }
  if (member.problem.empty()) member.problem = told;
}

// Why nothing is known of it now. Told when it begins and when it is over.
void Fleet::TakeFault(Member& member, const Observation& observation) {
  std::string fault = observation.fault ? observation.fault->message : std::string();
  if (!observation.fault && !observation.abilities.names_instances && !observation.capacity) {
    fault = "its provider does not tell its capacity";
  }
  // Its wording may change with every look: how long it has lasted, when it is asked again.
  if (member.unread.empty() != fault.empty()) {
    Note(member,
         fault.empty() ? "its target can be read again" : "its target cannot be read: " + fault);
  }
  if (member.problem == member.unread) member.problem.clear();
  member.unread = fault;
  if (!fault.empty()) member.problem = fault;
}

// Its capacity is another one than it was.
void Fleet::TakeChange(Member& member, int capacity) {
  Sizing& sizing = *member.sizing;
  const std::string change =
      "from " + std::to_string(sizing.capacity) + " to " + std::to_string(capacity);
  const std::string told = "its capacity was changed " + change + " by somebody else";
  const bool ours = std::exchange(sizing.ours, false) && !member.rehearsal;
  const int draining = sizing.abilities.ends_exactly ? CountDraining(member) : 0;
  sizing.capacity = capacity;
  sizing.wished = -1;  // even the same is another wish now
  switch (member.spec->owner) {
    case CapacityOwner::kExternal:
      return;  // as it ought to be
    case CapacityOwner::kShared:
      if (member.rehearsal || member.leaving) return;
      member.desired = std::max(0, capacity - draining);
      Note(member, told + ": that holds (capacity: shared)");
      return;
    case CapacityOwner::kManaged:
      if (member.contested) member.last_contest = options_.clock.Now();
      if (!ours || member.contested) return;
      // Whoever keeps changing it is not fought for ever: the waits grow, then a person is needed.
      CountContest(member, options_.clock.Now(), change);
      Note(member, told + (member.contested ? ": it is left so until a person has looked"
                                            : ": it is set back (capacity: managed)"));
      return;
  }
}

void Fleet::Resize(Member& member, TimePoint now) {
  auto wish = WishFor(member, now);
  if (!wish) return;
  Sizing& sizing = *member.sizing;
  if (!member.rehearsal && wish->capacity != sizing.stored.asked) {
    Touch(member.spec->name);  // stored first, lest a crash makes it somebody else's
    return;
  }
  if (wish->capacity != sizing.wished || wish->victims != sizing.victims || sizing.ours) {
    sizing.wished = wish->capacity;
    sizing.victims = wish->victims;
    ++sizing.wishes;
  }
  wish->intent = member.spec->name + "/" + std::to_string(options_.epoch) + "/" +
                 std::to_string(sizing.wishes);
  sizing.busy = true;
  sizing.ours = false;
  if (wish->capacity != sizing.capacity) {
    Note(member, "its target is asked for " + Plural(wish->capacity) + ", it is set to " +
                     std::to_string(sizing.capacity));
  }
  ReachFaultPoint(FaultPoint::kBeforeLaunch);
  if (!member.rehearsal && wish->capacity > sizing.capacity) {
    options_.counters.instances_started += static_cast<uint64_t>(wish->capacity - sizing.capacity);
  }
  options_.courier.ToLoop([this, provider = member.provider, wish = *std::move(wish),
                           id = sizing.id,
                           target = TargetRef{member.spec->name, member.spec->target}] {
    provider->SetCapacity(target, wish, [this, service = target.service, id, wish](Status answer) {
      options_.courier.ToTick([this, service, id, wish, answer = std::move(answer)] {
        const Member* const found = Find(service);
        // Not of a target whose place another one has taken since.
        if (found == nullptr || !found->sizing || found->sizing->id != id) return;
        TakeResize(service, wish, answer);
      });
    });
  });
}

void Fleet::TakeResize(const std::string& service, const CapacityWish& wish, const Status& answer) {
  Member* member = FindMember(service);
  ReachFaultPoint(FaultPoint::kLaunchAnswered);
  const TimePoint now = options_.clock.Now();
  Sizing& sizing = *member->sizing;
  sizing.busy = false;
  sizing.answered = now;
  Touch(service);
  if (answer.ok() && member->rehearsal) {
    sizing.retry_at = now + kRehearsed;
    return;
  }
  if (answer.ok()) {
    sizing.capacity = wish.capacity;
    sizing.ours = true;
    if (member->breaker.empty()) member->problem.clear();
    if (!member->rehearsal) options_.counters.instances_stopped += wish.victims.size();
    for (Instance& instance : member->instances) {
      const bool victim =
          std::find(wish.victims.begin(), wish.victims.end(), instance.id) != wish.victims.end();
      if (victim && instance.phase == InstancePhase::kStopping) instance.asked = now;
    }
    return;
  }
  const Error& error = answer.error();
  if (member->problem != error.message) {
    Note(*member,
         "could not set its capacity to " + std::to_string(wish.capacity) + ": " + error.message);
  }
  member->problem = error.message;
  if (IsNotNow(error.kind)) {
    sizing.retry_at = now + std::max(error.retry_after, kBlockedRetry);
  } else {
    BackOff(*member, now, error.message);
    sizing.retry_at = std::max(member->launch_after, now + error.retry_after);
  }
  if (error.kind == ErrorKind::kConflict) Observe({member});
}

}  // namespace autoscale
