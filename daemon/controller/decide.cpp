// The middle of the tick: evaluate, ask again before a scale-in, share the budgets, decide.
#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "daemon/controller/case.h"
#include "engine/decision/override.h"
#include "engine/decision/project.h"

namespace autoscale {
namespace {

Snapshot SnapshotOf(const Service& service, TimePoint now) {
  Snapshot snapshot = SnapshotOf(*service.spec);
  snapshot.now = now;
  snapshot.capacity = service.capacity;
  snapshot.samples = service.samples;
  snapshot.state = service.policy_state;
  return snapshot;
}

// What the policies of one group may take of a pass, in which nobody else has the thread: half of
// what people wait for an answer (5 s), and a tenth of what systemd waits for a sign of life.
constexpr Millis kEvaluatedWithin{2'000};
constexpr Millis kForeseenWithin{1'000};

Deadline Within(Millis time) { return std::chrono::steady_clock::now() + time; }

// Who wants something of what all share, in the order in which they have waited.
struct Party {
  Service* service = nullptr;
  int* granted = nullptr;  // null: it is not its turn, and its share is kept for it
  Wish wish;
};

void Arrange(std::vector<Party>& parties, TimePoint now) {
  const auto key = [now](const Party& party) {
    const Service& service = *party.service;
    return std::tuple(service.unmet.amount > 0 ? service.waiting_since : now,
                      std::string_view(service.spec->name));
  };
  std::sort(parties.begin(), parties.end(),
            [&](const Party& a, const Party& b) { return key(a) < key(b); });
}

// Of the budget of changes: what counts against it still.
int ChangedLately(const Service& service, TimePoint now) {
  int changed = 0;
  for (const AppliedChange& change : service.history.changes()) {
    if (change.at > now - kBudgetPeriod) changed += std::abs(change.delta);
  }
  return changed;
}

void Grant(double left, std::vector<Party>& parties) {
  std::vector<Wish> wishes;
  wishes.reserve(parties.size());
  for (const Party& party : parties) wishes.push_back(party.wish);
  const std::vector<int> granted = Deal(left, wishes);
  for (size_t i = 0; i < parties.size(); ++i) {
    if (parties[i].granted != nullptr) *parties[i].granted = granted[i];
  }
}

}  // namespace

// --- Evaluate ---

void Controller::Evaluate(std::vector<Case>& cases, TimePoint now) {
  std::vector<EvaluationRequest> requests;
  requests.reserve(cases.size());
  for (const Case& one : cases) {
    requests.push_back(
        {.policy = one.service->spec->policy, .snapshot = SnapshotOf(*one.service, now)});
  }
  ticked_ |= !cases.empty();
  std::vector<Evaluation> evaluations =
      options_.evaluator.Evaluate(requests, Within(kEvaluatedWithin));
  options_.counters.evaluations += evaluations.size();
  for (size_t i = 0; i < cases.size(); ++i) cases[i].evaluation = std::move(evaluations[i]);
}

// What would be decided; and, where that is a scale-in, what the policies would say after it, in
// one batch for all of them.
void Controller::Foresee(std::vector<Case>& cases, TimePoint now) {
  std::vector<std::pair<Case*, Prospect>> asked;
  for (Case& one : cases) {
    Service& service = *one.service;
    const ScalingRules& rules = service.spec->rules;
    const Proposal& proposal = one.evaluation.proposal;
    const Snapshot snapshot = SnapshotOf(service, now);
    service.decided = false;  // until it is settled
    UndoUnstored(service);
    if (OnlyAdvises(*service.spec)) {
      std::optional<int>& from = one.conditions.from;
      from = FindFrom(service.advised, proposal, service.capacity.desired, rules.bounds);
      if (from != service.advised) service.history.ForgetChanges();
    }
    service.history.Forget(now, rules);
    service.before = service.history.Mark();
    one.new_run = service.history.AddProposal(now, proposal.capacity);
    one.conditions.errors = FindErrors(rules, snapshot);
    Decide(one, now);
    if (IsHeld(service)) continue;
    for (Prospect& prospect : FindProspects(rules, snapshot, one.decision, one.conditions.from)) {
      asked.emplace_back(&one, std::move(prospect));
    }
  }
  if (asked.empty()) return;
  std::vector<EvaluationRequest> requests;
  requests.reserve(asked.size());
  for (const auto& [one, prospect] : asked) {
    requests.push_back({.policy = one->service->spec->policy,
                        .snapshot = At(prospect, SnapshotOf(*one->service, now)),
                        .projected = true});
  }
  const std::vector<Evaluation> evaluations =
      options_.evaluator.Evaluate(requests, Within(kForeseenWithin));
  options_.counters.evaluations += evaluations.size();
  for (size_t i = 0; i < asked.size(); ++i) {
    Case& one = *asked[i].first;
    one.conditions.projections.push_back(autoscale::Conclude(
        asked[i].second, SnapshotOf(*one.service, now), AnswerOf(evaluations[i])));
    if (i + 1 == asked.size() || asked[i + 1].first != &one) Decide(one, now);
  }
}

void Controller::Decide(Case& one, TimePoint now) {
  const Service& service = *one.service;
  one.decision = autoscale::Decide(service.spec->rules, one.evaluation.proposal, service.capacity,
                                   now, service.history, one.conditions);
}

// --- Share ---

// Whatever is decided, its capacity stays as it is.
bool Controller::IsHeld(const Service& service) const {
  return service.paused || !service.breaker.empty() ||
         (!store_problem_.empty() && !OnlyAdvises(*service.spec));
}

// What `min` promises is set aside: it can be had whatever the others have. Of a service of which
// nothing is stored or seen yet nobody knows what it costs: the most it may.
double Controller::CostLeft() const {
  double left = options_.cost_per_hour;
  for (const auto& service : services_) {
    const ServiceSpec& spec = *service->spec;
    if (OnlyAdvises(spec) || spec.cost_per_hour <= 0) continue;
    const Member* const member = options_.fleet.Find(spec.name);
    const bool observed = member != nullptr && member->observed;
    const int present = observed          ? CapacityOf(*member).desired
                        : service->stored ? 0
                                          : spec.rules.bounds.max;
    left -= spec.cost_per_hour * std::max({service->desired, present, spec.rules.bounds.min});
  }
  return left;
}

// Only of those that tick now: whoever ticks later finds what is left.
void Controller::DealCost(std::vector<Case>& cases, TimePoint now) {
  if (options_.cost_per_hour <= 0) return;
  const double left = CostLeft();
  std::vector<Party> parties;
  for (Case& one : cases) {
    const ServiceSpec& spec = *one.service->spec;
    if (OnlyAdvises(spec) || spec.cost_per_hour <= 0) continue;
    Cost& cost = one.conditions.cost;
    cost = {.limit = options_.cost_per_hour, .left = left, .price = spec.cost_per_hour};
    cost.granted = std::max(one.decision.desired - one.decision.before, 0);
    const bool set_aside = one.decision.before < spec.rules.bounds.min;
    if (cost.granted == 0 || set_aside || IsHeld(*one.service)) continue;
    parties.push_back(
        {.service = one.service,
         .granted = &cost.granted,
         .wish = {.amount = cost.granted, .price = cost.price, .had = one.decision.before}});
  }
  Arrange(parties, now);
  Grant(left, parties);
}

void Controller::DealChanges(std::vector<Case>& cases, TimePoint now) {
  const Budget budget = ledger_.Left(now);
  std::vector<Party> parties;
  for (Case& one : cases) {
    if (OnlyAdvises(*one.service->spec)) continue;
    const int delta = one.decision.desired - one.decision.before;
    const bool below = one.decision.before < one.service->spec->rules.bounds.min;
    one.wish = {.urgency = delta < 0 ? Urgency::kIn
                           : below   ? Urgency::kBelowMin
                                     : Urgency::kOut,
                .amount = std::abs(delta),
                .had = ChangedLately(*one.service, now)};
    one.conditions.budget = {
        .limit = budget.limit, .left = budget.left, .granted = one.wish.amount};
    if (delta == 0 || IsHeld(*one.service)) continue;
    parties.push_back({one.service, &one.conditions.budget.granted, one.wish});
  }
  // Of those that do not tick now, whoever waits still and comes before the minute is over.
  for (const auto& service : services_) {
    if (service->unmet.amount == 0 || service->last_tick == now || IsHeld(*service)) continue;
    if (*service->last_tick + service->spec->interval >= now + kBudgetPeriod) continue;
    parties.push_back({service.get(), nullptr, service->unmet});
    parties.back().wish.had = ChangedLately(*service, now);
  }
  Arrange(parties, now);
  Grant(budget.left, parties);
}

// Fairly: those who want little have it, the others have equal shares.
void Controller::Deal(std::vector<Case>& cases, TimePoint now) {
  DealCost(cases, now);
  for (Case& one : cases) {
    const int wanted = one.decision.desired - one.decision.before;
    if (one.conditions.cost.limit > 0 && one.conditions.cost.granted < wanted) Decide(one, now);
  }
  DealChanges(cases, now);
  for (Case& one : cases) {
    if (one.conditions.budget.granted < one.wish.amount) Decide(one, now);
  }
}

// --- Decide ---

void Controller::Settle(Case& one, TimePoint now) {
  Service& service = *one.service;
  bool changed = one.new_run;
  service.decided = true;
  service.outside = one.evaluation.outside;
  service.quarantined = one.evaluation.quarantined;
  service.kept = false;
  service.former_state.reset();
  if (one.evaluation.state && *one.evaluation.state != service.policy_state) {
    service.former_state = std::make_unique<const std::string>(
        std::exchange(service.policy_state, std::move(*one.evaluation.state)));
    changed = true;
  }
  service.proposal = std::move(one.evaluation.proposal);
  service.conditions = std::move(one.conditions);
  service.decision = std::move(one.decision);
  Await(service, one.wish, now);
  OverrideAll(service);
  if (service.proposal.cause == HoldCause::kFault) ++options_.counters.policy_faults;
  if (service.proposal.cause == HoldCause::kMetric) ++options_.counters.holds_for_metrics;

  const int delta = service.decision.desired - service.capacity.desired;
  if (delta != 0) options_.fleet.SetDesired(service.spec->name, service.decision.desired);
  const int moved =
      service.decision.desired - service.conditions.from.value_or(service.capacity.desired);
  if (moved != 0 && !IsHeld(service)) {
    Apply(service, moved, now);
    changed = true;
  }
  service.advised = service.decision.desired;
  if (!OnlyAdvises(*service.spec) && service.desired != service.decision.desired) {
    service.desired = service.decision.desired;
    if (IsHeld(service)) ++service.generation;  // what could not be stored is undone
    changed = true;
  }
  if (changed) batch_.services.push_back(RowOf(service));
  const uint64_t outcome = OutcomeOf(service);
  const bool hold = delta == 0 || OnlyAdvises(*service.spec);
  if (hold && (outcome == service.outcome || !service.kept_holds.Take(outcome, now))) return;
  service.outcome = outcome;
  Keep(service, delta != 0);
}

// What was not granted is remembered, so that nobody who ticks more often takes all there is.
void Controller::Await(Service& service, Wish wish, TimePoint now) {
  wish.amount -= service.conditions.budget.granted;
  if (service.unmet.amount == 0) service.waiting_since = now;
  service.unmet = wish;
}

// Breaker, pause and a store that fails are stronger than any rule.
void Controller::OverrideAll(Service& service) {
  const int present = service.capacity.desired;
  if (!service.breaker.empty()) {
    Override(service.decision, kBreaker, present, "breaker open: " + service.breaker);
  }
  if (service.paused)
    Override(service.decision, kPause, present, "paused: " + service.pause_reason);
  // Back to what is stored: else an old decision would be carried out when the outage ends, and
  // what was decided meanwhile all at once, past every rate.
  const int stored = service.stored.value_or(present);
  if (!store_problem_.empty() && !OnlyAdvises(*service.spec) &&
      service.decision.desired != stored) {
    Override(service.decision, kStore, stored,
             "held because nothing can be stored: " + store_problem_);
  }
}

// What was decided and never stored is about to be undone: it spends no cooldown and no budget.
void Controller::UndoUnstored(Service& service) {
  if (store_problem_.empty() || OnlyAdvises(*service.spec)) return;
  if (!service.stored || *service.stored == service.desired) return;
  const auto undone =
      service.history.UndoChange(service.last_change.value_or(TimePoint{}), service.before);
  if (undone) ledger_.Remove(*undone);
}

// A changed capacity: from now on it is what ought to be.
void Controller::Apply(Service& service, int delta, TimePoint now) {
  service.history.AddChange(now, delta);
  if (!OnlyAdvises(*service.spec)) ledger_.Add(now, delta);
  service.last_change = now;
  ++service.generation;
  ++(delta > 0 ? options_.counters.decisions_out : options_.counters.decisions_in);
}

}  // namespace autoscale
