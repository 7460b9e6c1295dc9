#include "daemon/controller/shadow.h"

#include <algorithm>
#include <utility>

#include "daemon/controller/controller.h"

namespace autoscale {
namespace {

constexpr size_t kExamples = 10;
constexpr Millis kTriedWithin{1'000};  // all shadows of a pass; who has no turn is not compared
constexpr Millis kStoreEvery = std::chrono::minutes(1);
// Of a longer time between two ticks nobody knows what they would have asked for.
constexpr int kIntervalsCounted = 3;

double Hours(Millis time) { return ToSeconds(time) / 3600; }

}  // namespace

uint64_t Shadow::IdentityOf(const ServiceSpec& spec) {
  const auto part = [&](const std::shared_ptr<const PolicySource>& policy, const Params& params) {
    Basis basis{.policy = policy};
    basis.params = std::make_shared<const Params>(params);
    basis.rules = std::make_shared<const ScalingRules>();
    return Encode(basis);
  };
  return HashOf(part(spec.policy, spec.params) + part(spec.shadow->policy, spec.shadow->params));
}

Shadow::Shadow(const ServiceSpec& spec, const ShadowRow* row, TimePoint now) : stored_at_(now) {
  const uint64_t identity = IdentityOf(spec);
  if (row != nullptr && row->identity == identity) {
    row_ = *row;
    row_.history.Resume(now);
    dirty_ = false;
    return;
  }
  row_.service = spec.name;
  row_.identity = identity;
  row_.account.since = now;
  stored_at_ = now - kStoreEvery;
}

EvaluationRequest Shadow::Request(const Service& service) const {
  const ServiceSpec& spec = *service.spec;
  EvaluationRequest request{.policy = spec.shadow->policy, .snapshot = SnapshotOf(spec)};
  request.snapshot.now = *service.last_tick;
  request.snapshot.capacity = service.capacity;
  request.snapshot.samples = service.samples;
  request.snapshot.params = &spec.shadow->params;
  request.snapshot.state = row_.state;
  return request;
}

void Shadow::Decide(const Service& service, Evaluation evaluation, TimePoint now,
                    const AskPolicy& ask) {
  const ScalingRules& rules = service.spec->rules;
  const Proposal& proposal = evaluation.proposal;
  // Budgets are for what is carried out.
  Conditions conditions{
      .from = FindFrom(row_.account.desired, proposal, service.capacity.desired, rules.bounds),
      .protected_instances = service.conditions.protected_instances};
  if (conditions.from != row_.account.desired) row_.history.ForgetChanges();
  row_.history.Forget(now, rules);
  row_.history.AddProposal(now, proposal.capacity);
  const Snapshot snapshot = Request(service).snapshot;
  const Decision decision =
      DecideWithProjections(rules, proposal, snapshot, row_.history, conditions, ask);
  if (evaluation.state) row_.state = *std::move(evaluation.state);
  const int moved = decision.desired - conditions.from.value_or(service.capacity.desired);
  if (moved != 0) row_.history.AddChange(now, moved);
  row_.account.desired = decision.desired;
  dirty_ = true;
  row_.account.fault.clear();
  if (proposal.cause == HoldCause::kFault) {
    ++row_.account.faults;
    row_.account.fault = proposal.reason;
  }
  Account(service.decision, decision, now);
  const Millis passed =
      row_.account.last == TimePoint{} ? Millis(0) : std::max(now - row_.account.last, Millis(0));
  const double hours = Hours(std::min(passed, service.spec->interval * kIntervalsCounted));
  row_.account.hours += hours;
  row_.account.live_instance_hours += hours * service.decision.desired;
  row_.account.instance_hours += hours * decision.desired;
  row_.account.last = now;
}

void Shadow::Account(const Decision& live, const Decision& other, TimePoint now) {
  ShadowAccount& account = row_.account;
  ++account.evaluations;
  const bool agreed = live.desired == other.desired;
  if (agreed) {
    ++account.agreed;
  } else {
    ++(other.desired > live.desired ? account.more : account.fewer);
    if (other.desired == other.before) ++account.stays;
    if (live.desired == live.before) ++account.moves;
  }
  // A difference that lasts is one example.
  const bool told = !agreed_ && !account.examples.empty() &&
                    account.examples.back().live == live.desired &&
                    account.examples.back().shadow == other.desired;
  agreed_ = agreed;
  if (agreed || told) return;
  if (account.examples.size() == kExamples) account.examples.erase(account.examples.begin());
  account.examples.push_back({.at = now,
                              .before = live.before,
                              .live = live.desired,
                              .shadow = other.desired,
                              .live_reason = live.reason,
                              .shadow_reason = other.reason});
}

std::optional<ShadowRow> Shadow::TakeRow(std::optional<TimePoint> now) {
  if (!dirty_ || (now && *now - stored_at_ < kStoreEvery)) return std::nullopt;
  dirty_ = false;
  if (now) stored_at_ = *now;
  return row_;
}

ShadowView Shadow::View(const Service& service) const {
  return {.service = service.spec->name,
          .live_policy = service.spec->policy->path,
          .policy = service.spec->shadow->policy->path,
          .cost_per_hour = service.spec->cost_per_hour,
          .account = row_.account};
}

void Shadow::Gauge(ServiceGauges& gauges) const {
  const ShadowAccount& account = row_.account;
  gauges.shadow_faults = account.faults;
  if (account.evaluations == 0) return;
  gauges.shadow_agreement =
      static_cast<double>(account.agreed) / static_cast<double>(account.evaluations);
}

// --- Of all services ---

// After the tick has been carried out: whatever a shadow does, it does to nobody else. While
// something stronger than any policy keeps the capacity there is nothing to compare.
void Controller::TryShadows(const std::vector<Service*>& services, TimePoint now) {
  std::vector<Service*> tried;
  std::vector<EvaluationRequest> requests;
  for (Service* service : services) {
    if (IsHeld(*service) || service->outside) continue;
    tried.push_back(service);
    requests.push_back(service->shadow->Request(*service));
  }
  if (requests.empty()) return;
  const Deadline until = std::chrono::steady_clock::now() + kTriedWithin;
  std::vector<Evaluation> evaluations = options_.evaluator.Evaluate(requests, until);
  for (size_t i = 0; i < tried.size(); ++i) {
    if (evaluations[i].unserved || std::chrono::steady_clock::now() >= until) continue;
    Shadow& shadow = *tried[i]->shadow;
    const auto ask = [&](const Snapshot& snapshot) {
      const EvaluationRequest request{
          .policy = tried[i]->spec->shadow->policy, .snapshot = snapshot, .projected = true};
      return AnswerOf(options_.evaluator.Evaluate({&request, 1}, until).front());
    };
    shadow.Decide(*tried[i], std::move(evaluations[i]), now, ask);
    if (auto row = shadow.TakeRow(now)) batch_.shadows.push_back(*std::move(row));
  }
}

// The service's shadow as its specification says, on from `row`.
void Controller::PutShadow(Service& service, const ShadowRow* row) {
  if (!service.spec->shadow) {
    if (service.shadow || row != nullptr) batch_.removed_shadows.push_back(service.spec->name);
    service.shadow.reset();
  } else if (!service.shadow || service.shadow->identity() != Shadow::IdentityOf(*service.spec)) {
    service.shadow = std::make_shared<Shadow>(*service.spec, row, options_.clock.Now());
  }
}

void Controller::StoreShadows() {
  for (const auto& service : services_) {
    if (!service->shadow) continue;
    if (auto row = service->shadow->TakeRow(std::nullopt)) {
      batch_.shadows.push_back(*std::move(row));
    }
  }
}

}  // namespace autoscale
