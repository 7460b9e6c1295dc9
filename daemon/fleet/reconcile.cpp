#include "daemon/fleet/reconcile.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "daemon/fleet/drain.h"
#include "daemon/fleet/lists.h"
#include "daemon/fleet/sizing.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

// How long a serving instance may fail its health check before it is replaced.
constexpr Millis kUnreadyPatience = std::chrono::seconds(30);
// Terminate is asked again when an instance has not ended after so long.
constexpr Millis kAskAgain = std::chrono::seconds(30);
// While something is under way: how often to look.
constexpr Millis kLookWhileMoving{20};
constexpr Millis kLookAtBreaker = std::chrono::seconds(1);
constexpr Millis kLookWhileWaiting{200};

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

// While the breaker is open: a start that has not proven itself yet.
bool IsProbe(const Instance& instance, const Member& member) {
  return instance.phase == InstancePhase::kRequested ||
         instance.phase == InstancePhase::kStarting ||
         (instance.phase == InstancePhase::kServing && instance.started > member.last_failure &&
          IsReady(instance));
}

// An open breaker, or a failure of ours that is told still.
bool HasFailed(const Member& member) {
  return !member.breaker.empty() || (!member.sizing && !member.problem.empty());
}

class Pass {
 public:
  Pass(Member& member, const ReconcileContext& context, StoreBatch& batch)
      : member_(member), context_(context), batch_(batch), now_(context.now) {}

  void Run() {
    any_ready_ = std::any_of(member_.instances.begin(), member_.instances.end(),
                             [](const Instance& i) { return IsReady(i); });
    if (!context_.frozen) {
      for (Instance& instance : member_.instances) Advance(instance);
    }
    DropGone();
    EndOldFailure();
    if (!member_.sizing) KeepOneProbe();
    Shrink();
    DropUnasked();
    Grow();
    context_.frozen ? ShortenList(member_) : RenewList(member_);
    Store();
  }

 private:
  void Note(std::string text) { context_.note(member_, NoteKind::kNews, std::move(text)); }
  void Warn(std::string text) { context_.note(member_, NoteKind::kTrouble, std::move(text)); }

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
        if (!StaysAfterAll(instance) && !StaysUnlearnt(instance)) AdvanceDraining(instance);
        break;
      case InstancePhase::kStopping:
        if (StaysAfterAll(instance)) break;
        if (!instance.asked || now_ - *instance.asked < kAskAgain) break;
        if (member_.sizing && IsSpared(member_, instance)) {
          Note(instance.id +
               " was not ended by its target, which has as many as it ought to: it "
               "serves again");
          Enter(instance, InstancePhase::kServing, now_);
        } else {
          instance.asked.reset();
        }
        break;
    }
  }

  void AdvanceStarting(Instance& instance) {
    if (instance.state == InstanceState::kReady) {
      Note(instance.id + " is ready at " + instance.endpoint + ", " + Took(now_ - instance.since) +
           " after it was asked for");
      member_.problem.clear();
      Enter(instance, InstancePhase::kServing, now_);
      instance.started = now_;
    } else if (instance.state == InstanceState::kStopping) {
      Enter(instance, InstancePhase::kStopping, now_);
    } else if (member_.sizing && instance.deadline && now_ >= *instance.deadline) {
      // Whoever started it replaces it.
      instance.deadline.reset();
      instance.stored = false;
      member_.problem = instance.id + " is not ready after " + Took(now_ - instance.since) +
                        " (start_timeout)" +
                        (instance.detail.empty() ? "" : ": " + instance.detail);
      Warn(member_.problem);
    } else if (instance.deadline && now_ >= *instance.deadline) {
      Warn(instance.id + " was not ready after " + Took(now_ - instance.since) +
           " (start_timeout): it is stopped and replaced");
      Fail(instance.id + " was not ready within start_timeout" +
           (instance.detail.empty() ? "" : ": " + instance.detail));
      Enter(instance, InstancePhase::kStopping, now_);
    }
  }

  void AdvanceServing(Instance& instance) {
    Prove(instance, now_);
    if (member_.sizing) return AdvanceTheirs(instance);
    if (instance.proven && instance.state == InstanceState::kReady &&
        instance.started > member_.last_failure) {
      EndFailures(instance.id + " serves");
    }
    if (!IsStuck(instance)) return;
    const bool goes = GivesWay(instance);
    FailOnce(instance);
    if (!goes) return;
    Warn(instance.id + " has failed its health check for " + Took(now_ - instance.state_since) +
         ": it is replaced");
    Enter(instance, InstancePhase::kDraining, now_, now_ + member_.spec->drain_timeout);
  }

  // Of a target that names its instances: unhealthy ones are replaced there, not by us; those that
  // it is about to end are drained.
  void AdvanceTheirs(Instance& instance) {
    if (instance.state != InstanceState::kStopping) return;
    Note(instance.id + " is being ended by its target" +
         (instance.detail.empty() ? "" : " (" + instance.detail + ")") + ": it is drained");
    Enter(instance, InstancePhase::kDraining, now_, now_ + member_.spec->drain_timeout);
  }

  // While none is ready nothing is taken away: it may be what all of them depend on that fails. Nor
  // behind an open breaker, but for what was tried there.
  [[nodiscard]] bool GivesWay(const Instance& instance) const {
    if (Acts()) return any_ready_;
    return !instance.proven && instance.started > member_.breaker_since;
  }

  // It fails its check for good: had it not held before, its start has failed.
  void FailOnce(Instance& instance) {
    if (instance.proven || std::exchange(instance.failed, true)) return;
    Fail(instance.id + " became ready, but did not stay healthy for " + Took(kProven) +
         (instance.detail.empty() ? "" : ": " + instance.detail));
    Warn(instance.id + " did not stay healthy for " + Took(kProven) +
         " after its start: it counts as failed, and the next start waits " +
         Took(std::max(member_.launch_after - now_, Millis(0))));
  }

  // Whether instances are taken away and replaced at all.
  [[nodiscard]] bool Acts() const { return member_.breaker.empty() || member_.leaving; }

  void EndFailures(const std::string& why) {
    member_.failures = 0;
    if (member_.breaker.empty()) return;
    Note("the breaker closes: " + why);
    EndRowOfFailures(member_);
  }

  // All is as it ought to be, though nothing was started since: what failed is over. Without a
  // breaker it counts still, until a start has held.
  void EndOldFailure() {
    if (!HasFailed(member_) || member_.contested) return;
    if (now_ - member_.last_failure < kProven) return;
    if (member_.sizing && member_.sizing->capacity != member_.desired) return;
    const bool well = std::all_of(member_.instances.begin(), member_.instances.end(),
                                  [](const Instance& i) { return IsReady(i) && i.proven; });
    if (!well || Count() != member_.desired) return;
    member_.problem.clear();
    if (!member_.breaker.empty()) EndFailures("all is as it ought to be");
  }

  // Behind an open breaker one start is tried, not all that are missing.
  void KeepOneProbe() {
    if (Acts()) return;
    bool one = false;
    for (Instance& instance : member_.instances) {
      if (instance.phase == InstancePhase::kStarting) one = true;
      if (instance.phase != InstancePhase::kRequested) continue;
      if (one && !instance.asked) Cancel(instance);
      one = true;
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
      ReachFaultPoint(FaultPoint::kDrainFinished);
    } else if (const auto bound = DrainBound(member_, instance); bound && now_ >= *bound) {
      Warn(instance.id + " is stopped at the bound of its drain (drain_timeout), " +
           (instance.in_flight > 0 ? std::to_string(instance.in_flight) + " requests in flight"
                                   : WhoHoldsBack(member_, instance)));
      Enter(instance, InstancePhase::kStopping, now_);
    }
  }

  // Its end is asked for at this moment.
  [[nodiscard]] bool IsAskedFor(const Instance& instance) const {
    const Sizing& sizing = *member_.sizing;
    return sizing.busy && std::find(sizing.victims.begin(), sizing.victims.end(), instance.id) !=
                              sizing.victims.end();
  }

  // Its target protects it since, and was not asked to end it: another one goes instead. Or none
  // does, as the capacity is contested.
  bool StaysAfterAll(Instance& instance) {
    if (!member_.sizing || (instance.kept.empty() && !member_.contested) ||
        instance.state == InstanceState::kStopping ||
        (instance.phase == InstancePhase::kStopping && instance.asked) || IsAskedFor(instance)) {
      return false;
    }
    Note(instance.id + " is taken back: " +
         (instance.kept.empty() ? "the capacity is left as it is" : instance.kept));
    const bool began = instance.state == InstanceState::kStarting;
    Enter(instance, began ? InstancePhase::kStarting : InstancePhase::kServing, now_);
    return true;
  }

  // A gateway that does not answer has not learnt that it goes: it serves on.
  bool StaysUnlearnt(Instance& instance) {
    if (member_.leaving || instance.state != InstanceState::kReady) return false;
    for (const Link& link : member_.links) {
      if (!link.silent ||
          (instance.drain_sequence > 0 && link.confirmed >= instance.drain_sequence))
        continue;
      Note(instance.id + " is taken back from draining: gateway " + link.gateway +
           " has not learnt of it");
      Enter(instance, InstancePhase::kServing, now_);
      return true;
    }
    return false;
  }

  void DropGone() {
    std::erase_if(member_.instances, [this](Instance& instance) {
      if (instance.state != InstanceState::kGone) return false;
      if (member_.sizing && Counts(instance)) {
        Note(instance.id + " is gone from its target");
      } else if (instance.phase == InstancePhase::kServing) {
        Warn(instance.id + " is lost: " + instance.detail);
        context_.lost(member_);
      } else if (instance.phase == InstancePhase::kStopping) {
        Note(instance.id + " has ended: " + instance.detail);
      } else {
        Warn(instance.id + " ended before its time: " + instance.detail);
      }
      if (member_.sizing) {
        // The target's own affair: it replaces what it lost.
      } else if (instance.phase == InstancePhase::kServing && !instance.proven &&
                 !instance.failed) {
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

  // Nobody who serves is taken away by a wish of ours while a gateway does not answer: it would go
  // on sending requests there.
  void WaitForGateways(bool shrinks) {
    const std::string silent = shrinks && !member_.leaving ? SilentGateway(member_) : "";
    if (std::exchange(member_.waits, !silent.empty()) || silent.empty()) return;
    Warn("scale-in waits: gateway " + silent + " does not answer");
  }

  void Shrink() {
    const int surplus = member_.sizing ? Surplus(member_) : Count() - Target();
    WaitForGateways(surplus > 0 || (member_.sizing && SurplusOfTarget(member_) > 0));
    if (surplus <= 0) return;
    std::vector<Instance*> victims;
    for (Instance& instance : member_.instances) {
      if (IsProtected(instance, now_) && !member_.leaving) continue;
      if (member_.waits && instance.phase == InstancePhase::kServing) continue;
      if (Counts(instance) && (Acts() || instance.phase != InstancePhase::kServing)) {
        victims.push_back(&instance);
      }
    }
    std::sort(victims.begin(), victims.end(), [](const Instance* a, const Instance* b) {
      if (a->rank != b->rank) return a->rank > b->rank;
      if (Rank(*a) != Rank(*b)) return Rank(*a) < Rank(*b);
      return a->since != b->since ? a->since > b->since : a->id > b->id;
    });
    victims.resize(std::min(victims.size(), static_cast<size_t>(surplus)));
    for (Instance* victim : victims) {
      if (victim->phase == InstancePhase::kRequested && !victim->asked) {
        Cancel(*victim);
      } else if (victim->phase == InstancePhase::kServing) {
        Note(victim->id + " at " + victim->endpoint + " is draining");
        Enter(*victim, InstancePhase::kDraining, now_, now_ + member_.spec->drain_timeout);
        ReachFaultPoint(FaultPoint::kDrainEntered);
      } else {
        Note(victim->id + " is not needed any more: its start is cancelled");
        Enter(*victim, InstancePhase::kStopping, now_);
      }
    }
  }

  // Of one that nobody was asked for yet.
  static void Cancel(Instance& instance) {
    instance.state = InstanceState::kGone;
    instance.detail = "not needed any more";
  }

  void Grow() {
    int missing = member_.sizing ? Missing(member_) : Target() - Count();
    for (Instance& instance : member_.instances) {
      if (missing <= 0) return;
      if (instance.phase != InstancePhase::kDraining || instance.state == InstanceState::kUnready ||
          instance.state == InstanceState::kStopping) {
        continue;
      }
      Note(instance.id + " is taken back from draining");
      Enter(instance, InstancePhase::kServing, now_);
      ReachFaultPoint(FaultPoint::kTakenBack);
      --missing;
    }
    if (missing <= 0 || member_.sizing || now_ < member_.launch_after) return;
    if (!Acts()) missing = HasProbe() ? 0 : 1;
    for (; missing > 0; --missing) {
      Instance instance{.id = context_.new_id(member_), .since = now_, .state_since = now_};
      Note(instance.id + " is asked for");
      member_.instances.push_back(std::move(instance));
    }
    std::sort(member_.instances.begin(), member_.instances.end(),
              [](const Instance& a, const Instance& b) { return a.id < b.id; });
  }

  [[nodiscard]] bool HasProbe() const {
    return std::any_of(member_.instances.begin(), member_.instances.end(),
                       [this](const Instance& i) { return IsProbe(i, member_); });
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
                                  .endpoint = instance.endpoint,
                                  .protected_until = instance.protected_until,
                                  .protect_reason = instance.protect_reason});
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

std::string SilentGateway(const Member& member) {
  for (const Link& link : member.links) {
    if (link.silent) return link.gateway;
  }
  return {};
}

Capacity CapacityOf(const Member& member) {
  Capacity capacity{.desired = member.desired};
  for (const Instance& instance : member.instances) capacity.ready += IsReady(instance) ? 1 : 0;
  return capacity;
}

int CountProtected(const Member& member, TimePoint now) {
  return static_cast<int>(
      std::count_if(member.instances.begin(), member.instances.end(),
                    [now](const Instance& i) { return Counts(i) && IsProtected(i, now); }));
}

void Reconcile(Member& member, const ReconcileContext& context, StoreBatch& batch) {
  Pass(member, context, batch).Run();
}

void MarkLaunched(Instance& instance, const ServiceSpec& spec, TimePoint now) {
  Enter(instance, InstancePhase::kStarting, now, now + spec.start_timeout);
}

std::optional<TimePoint> NextLook(const Member& member, TimePoint now) {
  std::optional<TimePoint> next;
  const auto at = [&next](TimePoint t) { next = next ? std::min(*next, t) : t; };
  int count = 0;
  bool probed = false;
  for (const Instance& instance : member.instances) {
    if (Counts(instance)) ++count;
    probed |= IsProbe(instance, member);
    const auto bound = instance.phase == InstancePhase::kDraining ? DrainBound(member, instance)
                                                                  : instance.deadline;
    if (bound) at(*bound);
    if (instance.phase == InstancePhase::kDraining) at(now + kLookWhileMoving);
    if (instance.phase == InstancePhase::kRequested && !instance.asked) at(member.launch_after);
    if (instance.phase == InstancePhase::kStopping) {
      at(instance.asked ? *instance.asked + kAskAgain : now + kLookWhileMoving);
    }
    // Later only something that is reported changes what becomes of it.
    const TimePoint impatient = instance.state_since + kUnreadyPatience;
    if (instance.phase == InstancePhase::kServing && instance.state == InstanceState::kUnready &&
        impatient > now) {
      at(impatient);
    }
  }
  if (member.launch_after > now) at(member.launch_after);
  if (member.sizing) {
    if (const auto look = LookAtSizing(member)) at(*look);
  } else if (count < member.desired && (member.breaker.empty() || !probed)) {
    at(member.launch_after);
  }
  if (member.waits) at(now + kLookWhileWaiting);
  if (HasFailed(member)) at(std::max(member.last_failure + kProven, now + kLookAtBreaker));
  for (const Link& link : member.links) {
    if (link.confirmed < member.sequence && !link.busy) at(link.retry_at);
  }
  return next;
}

}  // namespace autoscale
