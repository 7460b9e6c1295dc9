#include "daemon/fleet/reconcile.h"

#include <algorithm>
#include <cstdio>

namespace autoscale {
namespace {

// How long a serving instance may fail its health check before it is replaced.
constexpr Millis kUnreadyPatience = std::chrono::seconds(30);
// An instance that ends by itself before it has served so long counts as a failed start.
constexpr Millis kProven = std::chrono::seconds(30);
// Terminate is asked again when an instance has not ended after so long.
constexpr Millis kAskAgain = std::chrono::seconds(30);
// While something is under way: how often to look.
constexpr Millis kLookWhileMoving{20};
constexpr Millis kFirstBackoff{500};
constexpr Millis kLongestBackoff = std::chrono::minutes(1);

std::string Took(Millis d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1fs", ToSeconds(d));
  return text;
}

void Enter(Instance& instance, InstancePhase phase, TimePoint now,
           std::optional<TimePoint> deadline = {}) {
  instance.phase = phase;
  instance.since = now;
  instance.deadline = deadline;
  instance.stored = false;
  instance.asked.reset();
  instance.drain_sequence = 0;
  instance.let_go.reset();
  instance.in_flight = -1;
}

int InFlight(const Link& link, const std::string& address) {
  for (const EndpointLoad& load : link.loads) {
    if (load.address == address) return load.in_flight;
  }
  return 0;
}

// Whether no gateway sends it anything any more and all it had is answered, as the gateways count.
bool IsLetGo(const Member& member, Instance& instance, TimePoint now) {
  if (instance.drain_sequence == 0) return false;  // no list shows it draining yet
  Millis settle{0};
  for (const Link& link : member.links) {
    if (link.confirmed < instance.drain_sequence) {
      instance.let_go.reset();  // a gateway may have fallen back to an older list
      return false;
    }
    settle = std::max(settle, link.capabilities.settle);
  }
  if (!instance.let_go) instance.let_go = now;
  const TimePoint settled = *instance.let_go + settle;
  if (now < settled) return false;
  int in_flight = 0;
  for (const Link& link : member.links) {
    if (!link.capabilities.counts_in_flight) continue;
    if (!link.loads_asked || *link.loads_asked < settled) return false;
    in_flight += InFlight(link, instance.endpoint);
  }
  instance.in_flight = in_flight;
  return in_flight == 0;
}

class Pass {
 public:
  Pass(Member& member, const ReconcileContext& context, StoreBatch& batch)
      : member_(member), context_(context), batch_(batch), now_(context.now) {}

  void Run() {
    any_ready_ = std::any_of(member_.instances.begin(), member_.instances.end(),
                             [](const Instance& i) { return IsReady(i); });
    for (Instance& instance : member_.instances) Advance(instance);
    DropGone();
    Shrink();
    DropUnasked();
    Grow();
    RenewList();
    Store();
  }

 private:
  void Note(std::string text) { context_.note(member_, std::move(text)); }

  void Advance(Instance& instance) {
    if (instance.state == InstanceState::kGone) return;
    switch (instance.phase) {
      case InstancePhase::kRequested:
        break;  // until Launch is answered
      case InstancePhase::kStarting:
        AdvanceStarting(instance);
        break;
      case InstancePhase::kServing:
        AdvanceServing(instance);
        break;
      case InstancePhase::kDraining:
        AdvanceDraining(instance);
        break;
      case InstancePhase::kStopping:
        if (instance.asked && now_ - *instance.asked >= kAskAgain) instance.asked.reset();
        break;
    }
  }

  void AdvanceStarting(Instance& instance) {
    if (instance.state == InstanceState::kReady) {
      Note(instance.id + " is ready at " + instance.endpoint + ", " + Took(now_ - instance.since) +
           " after it was asked for");
      member_.problem.clear();
      Enter(instance, InstancePhase::kServing, now_);
    } else if (instance.deadline && now_ >= *instance.deadline) {
      Note(instance.id + " was not ready after " + Took(now_ - instance.since) +
           " (start_timeout): it is stopped and replaced");
      Fail(instance.id + " was not ready within start_timeout");
      Enter(instance, InstancePhase::kStopping, now_);
    }
  }

  void AdvanceServing(Instance& instance) {
    if (instance.state == InstanceState::kReady && now_ - instance.since >= kProven) {
      member_.launch_failures = 0;
    }
    // While none is ready nothing is taken away: it may be what all of them depend on that fails.
    if (IsStuck(instance) && any_ready_) {
      Note(instance.id + " has failed its health check for " + Took(now_ - instance.state_since) +
           ": it is replaced");
      Enter(instance, InstancePhase::kDraining, now_, now_ + member_.spec->drain_timeout);
    }
  }

  [[nodiscard]] bool IsStuck(const Instance& instance) const {
    return instance.phase == InstancePhase::kServing && instance.state == InstanceState::kUnready &&
           now_ - instance.state_since >= kUnreadyPatience;
  }

  // What ought to be there: one more than desired while none is ready and one has been failing for
  // long, so that its replacement comes before it goes.
  [[nodiscard]] int Target() const {
    const bool stuck = std::any_of(member_.instances.begin(), member_.instances.end(),
                                   [this](const Instance& i) { return IsStuck(i); });
    return member_.desired + (member_.desired > 0 && stuck && !any_ready_ ? 1 : 0);
  }

  // A start has failed. Several that fail in one pass have failed once.
  void Fail(std::string why) {
    if (!failed_) BackOff(member_, now_, std::move(why));
    failed_ = true;
  }

  void AdvanceDraining(Instance& instance) {
    if (IsLetGo(member_, instance, now_)) {
      Note(instance.id + " is drained after " + Took(now_ - instance.since) + ": it is stopped");
      Enter(instance, InstancePhase::kStopping, now_);
    } else if (instance.deadline && now_ >= *instance.deadline) {
      Note(instance.id + " is stopped at the bound of its drain (drain_timeout), " +
           (instance.in_flight > 0 ? std::to_string(instance.in_flight) + " requests in flight"
                                   : std::string("not confirmed by every gateway")));
      Enter(instance, InstancePhase::kStopping, now_);
    }
  }

  void DropGone() {
    std::erase_if(member_.instances, [this](Instance& instance) {
      if (instance.state != InstanceState::kGone) return false;
      if (instance.phase == InstancePhase::kServing) {
        Note(instance.id + " is lost: " + instance.detail);
        context_.lost(member_);
      } else if (instance.phase == InstancePhase::kStopping) {
        Note(instance.id + " has ended: " + instance.detail);
      } else {
        Note(instance.id + " ended before its time: " + instance.detail);
      }
      if (instance.phase == InstancePhase::kServing && now_ - instance.since < kProven) {
        Fail(instance.id + " ended soon after it was ready: " + instance.detail);
      } else if (Counts(instance) && instance.phase != InstancePhase::kServing) {
        Fail(instance.id + " did not start: " + instance.detail);
      }
      Unstore(instance);
      member_.forget.push_back(instance.id);
      return true;
    });
  }

  void DropUnasked() {
    std::erase_if(member_.instances, [this](const Instance& instance) {
      if (instance.phase != InstancePhase::kRequested || instance.state != InstanceState::kGone) {
        return false;
      }
      Unstore(instance);
      return true;
    });
  }

  [[nodiscard]] int Count() const {
    return static_cast<int>(std::count_if(member_.instances.begin(), member_.instances.end(),
                                          [](const Instance& i) { return Counts(i); }));
  }

  // Who goes first: those that never served, then the unhealthy, then the youngest.
  static int Rank(const Instance& instance) {
    if (instance.phase == InstancePhase::kRequested) return 0;
    if (instance.phase == InstancePhase::kStarting) return 1;
    return IsReady(instance) ? 3 : 2;
  }

  void Shrink() {
    const int surplus = Count() - Target();
    if (surplus <= 0) return;
    std::vector<Instance*> victims;
    for (Instance& instance : member_.instances) {
      if (Counts(instance)) victims.push_back(&instance);
    }
    std::sort(victims.begin(), victims.end(), [](const Instance* a, const Instance* b) {
      if (Rank(*a) != Rank(*b)) return Rank(*a) < Rank(*b);
      return a->since != b->since ? a->since > b->since : a->id > b->id;
    });
    victims.resize(static_cast<size_t>(surplus));
    for (Instance* victim : victims) {
      if (victim->phase == InstancePhase::kRequested && !victim->asked) {
        victim->state = InstanceState::kGone;  // nobody was asked for it yet
        victim->detail = "not needed any more";
      } else if (victim->phase == InstancePhase::kServing) {
        Note(victim->id + " at " + victim->endpoint + " is draining");
        Enter(*victim, InstancePhase::kDraining, now_, now_ + member_.spec->drain_timeout);
      } else {
        Note(victim->id + " is not needed any more: its start is cancelled");
        Enter(*victim, InstancePhase::kStopping, now_);
      }
    }
  }

  void Grow() {
    int missing = Target() - Count();
    for (Instance& instance : member_.instances) {
      if (missing <= 0) return;
      if (instance.phase != InstancePhase::kDraining || instance.state == InstanceState::kUnready) {
        continue;
      }
      Note(instance.id + " is taken back from draining");
      Enter(instance, InstancePhase::kServing, now_);
      --missing;
    }
    if (missing <= 0 || now_ < member_.launch_after) return;
    for (; missing > 0; --missing) {
      Instance instance{.id = context_.new_id(member_), .since = now_, .state_since = now_};
      Note(instance.id + " is asked for");
      member_.instances.push_back(std::move(instance));
    }
    std::sort(member_.instances.begin(), member_.instances.end(),
              [](const Instance& a, const Instance& b) { return a.id < b.id; });
  }

  [[nodiscard]] std::vector<Endpoint> List() const {
    const bool any_ready = std::any_of(member_.instances.begin(), member_.instances.end(),
                                       [](const Instance& i) { return IsReady(i); });
    std::vector<Endpoint> list;
    for (const Instance& instance : member_.instances) {
      if (instance.phase == InstancePhase::kDraining) {
        list.push_back({.address = instance.endpoint, .state = Endpoint::State::kDraining});
      } else if (instance.phase == InstancePhase::kServing && (IsReady(instance) || !any_ready)) {
        // When none is healthy the gateway's own retries are worth more than an empty list.
        list.push_back({.address = instance.endpoint});
      }
    }
    std::sort(list.begin(), list.end(),
              [](const Endpoint& a, const Endpoint& b) { return a.address < b.address; });
    return list;
  }

  void RenewList() {
    std::vector<Endpoint> list = List();
    const bool nothing_yet = list.empty() && member_.sequence == 0;
    // Losing the last instance by accident must not leave a list without one that serves; only a
    // wish for zero may.
    const bool serves = std::any_of(list.begin(), list.end(), [](const Endpoint& endpoint) {
      return endpoint.state == Endpoint::State::kServing;
    });
    const bool refused = !serves && member_.desired > 0;
    if (!nothing_yet && !refused && (member_.sequence == 0 || list != member_.endpoints)) {
      member_.endpoints = std::move(list);
      ++member_.sequence;
    }
    for (Instance& instance : member_.instances) {
      if (instance.phase == InstancePhase::kDraining && instance.drain_sequence == 0 && !refused) {
        instance.drain_sequence = std::max<uint64_t>(member_.sequence, 1);
      }
    }
  }

  void Store() {
    for (Instance& instance : member_.instances) {
      if (instance.stored) continue;
      instance.stored = true;
      if (member_.rehearsal) continue;
      batch_.instances.push_back({.service = member_.spec->name,
                                  .id = instance.id,
                                  .phase = instance.phase,
                                  .since = instance.since,
                                  .deadline = instance.deadline,
                                  .endpoint = instance.endpoint});
    }
  }

  void Unstore(const Instance& instance) {
    if (member_.rehearsal) return;
    batch_.removed_instances.emplace_back(member_.spec->name, instance.id);
  }

  Member& member_;
  const ReconcileContext& context_;
  StoreBatch& batch_;
  const TimePoint now_;
  bool any_ready_ = false;  // when the pass began
  bool failed_ = false;
};

}  // namespace

void BackOff(Member& member, TimePoint now, std::string why) {
  const int doublings = std::min(member.launch_failures++, 7);
  member.launch_after = now + std::min(kFirstBackoff * (1 << doublings), kLongestBackoff);
  member.problem = std::move(why);
}

Capacity CapacityOf(const Member& member) {
  Capacity capacity{.desired = member.desired};
  for (const Instance& instance : member.instances) capacity.ready += IsReady(instance) ? 1 : 0;
  return capacity;
}

void Reconcile(Member& member, const ReconcileContext& context, StoreBatch& batch) {
  Pass(member, context, batch).Run();
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
  if (at->state != observed.state) at->state_since = now;
  at->state = observed.state;
  at->detail = observed.detail;
  if (!observed.endpoint.empty() && observed.endpoint != at->endpoint) {
    at->endpoint = observed.endpoint;
    at->stored = false;
  }
}

void MarkLaunched(Instance& instance, const ServiceSpec& spec, TimePoint now) {
  Enter(instance, InstancePhase::kStarting, now, now + spec.start_timeout);
}

std::optional<TimePoint> NextLook(const Member& member, TimePoint now) {
  std::optional<TimePoint> next;
  const auto at = [&next](TimePoint t) { next = next ? std::min(*next, t) : t; };
  int count = 0;
  for (const Instance& instance : member.instances) {
    if (Counts(instance)) ++count;
    if (instance.deadline) at(*instance.deadline);
    if (instance.phase == InstancePhase::kDraining) at(now + kLookWhileMoving);
    if (instance.phase == InstancePhase::kRequested && !instance.asked) at(member.launch_after);
    if (instance.phase == InstancePhase::kStopping) {
      at(instance.asked ? *instance.asked + kAskAgain : now + kLookWhileMoving);
    }
    if (instance.phase == InstancePhase::kServing && instance.state == InstanceState::kUnready) {
      at(instance.state_since + kUnreadyPatience);
    }
  }
  if (count < member.desired) at(member.launch_after);
  for (const Link& link : member.links) {
    if (link.confirmed < member.sequence && !link.busy) at(link.retry_at);
  }
  return next;
}

}  // namespace autoscale
