#include "daemon/controller/controller.h"

#include <algorithm>
#include <utility>

#include "daemon/controller/group.h"
#include "daemon/memory.h"
#include "daemon/metrics/collect.h"
#include "daemon/telemetry/log.h"
#include "engine/decision/decide.h"

namespace autoscale {
namespace {

// Of an interval, what may pass until the answers must be in.
constexpr double kDeadlineShare = 0.8;
constexpr Millis kLongestPatience{1000};
constexpr Millis kStoreRetry{1000};
constexpr Millis kUnobservedRetry{20};
constexpr Millis kPruneEvery = std::chrono::minutes(10);
constexpr int kDecisionsKept = 1000;       // a service
constexpr size_t kActionsKept = 50;        // a decision
constexpr int kDecisionsWaiting = 10'000;  // while the store fails

// What the metric is held against; nothing where it does not ask.
void FindInstances(const MetricSpec& spec, const Member& member, TimePoint now,
                   std::vector<KnownInstance>& known) {
  known.clear();
  if (spec.instance_label.empty() && spec.expect.kind != Expectation::Kind::kInstances) return;
  for (const Instance& instance : member.instances) {
    known.push_back({.id = instance.id,
                     .endpoint = instance.endpoint,
                     .ready = IsReady(instance),
                     .serving_for = now - instance.since});
  }
}

// Of what waits to be stored, only the last word on each service and decision: an outage of the
// disk must not become one of memory.
template <typename T, typename Key>
void KeepLast(std::vector<T>& rows, Key key) {
  std::map<std::decay_t<decltype(key(rows.front()))>, size_t> last;
  for (size_t i = 0; i < rows.size(); ++i) last[key(rows[i])] = i;
  std::vector<T> kept;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (last[key(rows[i])] == i) kept.push_back(std::move(rows[i]));
  }
  rows = std::move(kept);
}

void Compact(StoreBatch& batch) {
  KeepLast(batch.services, [](const ServiceRow& row) { return row.name; });
  KeepLast(batch.instances, [](const InstanceRow& row) { return row.service + '/' + row.id; });
  KeepLast(batch.decisions, [](const DecisionRecord& record) { return record.id; });
  if (batch.decisions.size() > kDecisionsWaiting) {
    batch.decisions.erase(batch.decisions.begin(), batch.decisions.end() - kDecisionsWaiting);
  }
}

}  // namespace

// One service in one tick.
struct Controller::Case {
  Service* service = nullptr;
  Evaluation evaluation;
};

Controller::Controller(ControllerOptions options)
    : options_(std::move(options)), last_decision_(options_.store.last_decision_id()) {}
Controller::~Controller() = default;

void Controller::Step() {
  const TimePoint now = options_.clock.Now();
  const auto began = std::chrono::steady_clock::now();
  bool ticked = false;
  for (auto& group : groups_) {
    if (now >= group->next) Begin(*group, now);
  }
  for (auto& group : groups_) {
    if (!IsComplete(*group, now)) continue;
    std::vector<Case> cases = Collect(*group, now);
    Evaluate(cases, now);
    for (Case& one : cases) Decide(one, now);
    ticked = true;
  }
  Journal(now);
  Conclude();
  if (!ticked) return;
  options_.counters.tick_microseconds +=
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                std::chrono::steady_clock::now() - began)
                                .count());
}

void Controller::Finish() {
  for (Service* service : open_) Close(*service);
  open_.clear();
  Journal(options_.clock.Now());
}

Millis Controller::Patience() const {
  const TimePoint now = options_.clock.Now();
  TimePoint next = now + kLongestPatience;
  for (const auto& group : groups_) {
    next = std::min(next, group->next);
    if (group->running) next = std::min(next, group->deadline);
  }
  if (!store_problem_.empty()) {
    next = std::min(next, std::max(store_retry_, now));  // nothing else can be done before
  } else if (const auto look = options_.fleet.NextLook(now)) {
    next = std::min(next, *look);
  }
  return std::max(next - now, Millis(0));
}

// --- Collect ---

void Controller::Begin(Group& group, TimePoint now) {
  // Before the provider has told what exists nobody could be decided on.
  if (std::none_of(group.services.begin(), group.services.end(), [this](const Service* service) {
        const Member* member = options_.fleet.Find(service->spec->name);
        return member != nullptr && member->observed;
      })) {
    group.next = now + kUnobservedRetry;
    return;
  }
  while (group.next <= now) {
    // Missed turns are skipped, never stacked: the first of them is this tick.
    group.next += group.interval;
    if (group.next <= now) ++options_.counters.ticks_skipped;
  }
  if (group.running) {
    ++options_.counters.ticks_skipped;
    return;
  }
  const auto share = FromSeconds(ToSeconds(group.interval) * kDeadlineShare);
  const Millis timeout = std::min(share, options_.query_timeout);
  group.running = true;
  ++group.round;
  group.deadline = now + timeout;
  group.outstanding = group.plan.size();
  group.answers.clear();
  group.answers.resize(group.plan.size());
  for (size_t i = 0; i < group.plan.size(); ++i) {
    options_.metrics.Ask(group.plan[i].query, timeout,
                         [this, at = &group, generation = generation_, round = group.round,
                          i](Result<Answer> answer) {
                           if (generation != generation_ || round != at->round || !at->running) {
                             return;
                           }
                           at->answers[i] = std::move(answer);
                           --at->outstanding;
                         });
  }
}

bool Controller::IsComplete(const Group& group, TimePoint now) const {
  return group.running && (group.outstanding == 0 || now >= group.deadline);
}

std::vector<Controller::Case> Controller::Collect(Group& group, TimePoint now) {
  group.running = false;
  ++options_.counters.ticks;
  std::vector<Case> cases;
  cases.reserve(group.services.size());
  group.members.assign(group.services.size(), nullptr);
  for (size_t i = 0; i < group.services.size(); ++i) {
    Service* const service = group.services[i];
    const Member* const member = options_.fleet.Find(service->spec->name);
    if (member == nullptr || !member->observed) continue;  // the provider has not told yet
    if (member->rehearsal) options_.fleet.Anchor(service->spec->name);
    group.members[i] = member;
    service->samples.resize(service->spec->metrics.size());
    service->last_tick = now;
    service->capacity = CapacityOf(*member);
    cases.push_back({.service = service});
  }
  for (size_t i = 0; i < group.plan.size(); ++i) {
    Distribute(group, i, now);
    group.answers[i].reset();  // megabytes, for many services
  }
  TellOutage(group);
  return cases;
}

// An outage is told when it begins, changes and ends; not by every query on every tick.
void Controller::TellOutage(Group& group) {
  if (group.failed > 0 && group.error != group.told) {
    LogWarning("queries fail; what depends on them holds",
               {{"failed", static_cast<int64_t>(group.failed)},
                {"of", static_cast<int64_t>(group.plan.size())},
                {"error", group.error}});
    group.told = group.error;
  } else if (group.failed == 0 && !group.told.empty()) {
    LogInfo("queries are answered again");
    group.told.clear();
  }
  group.failed = 0;
}

// Hands each service its rows of one answer. Rows and uses are both in the order of their keys.
void Controller::Distribute(Group& group, size_t query, TimePoint now) {
  const PlannedQuery& planned = group.plan[query];
  const std::optional<Result<Answer>>& answer = group.answers[query];
  std::shared_ptr<const std::string> error;
  if (!answer) {
    error = std::make_shared<const std::string>("Prometheus did not answer in time");
  } else if (!answer->ok()) {
    error = std::make_shared<const std::string>(answer->error().message);
  }
  if (error) {
    ++group.failed;
    group.error = *error;
  }
  const Answer::Row* row = error ? nullptr : (*answer)->rows().data();
  const Answer::Row* const end = error ? nullptr : row + (*answer)->rows().size();
  std::vector<KnownInstance> known;  // one buffer for all
  for (const PlannedUse& use : planned.uses) {
    const Member* const member = group.members[use.service];
    if (member == nullptr) continue;
    Service& service = *group.services[use.service];
    const MetricUse& metric = service.spec->metrics[use.metric];
    Sample& sample = service.samples[use.metric];
    if (error) {
      sample = MakeErrorSample(error);
      continue;
    }
    while (row != end && row->key < metric.key) ++row;
    const Answer::Row* last = row;
    while (last != end && last->key == metric.key) ++last;
    FindInstances(*metric.spec, *member, now, known);
    sample = MakeSample(*metric.spec, {row, last}, known);
  }
}

// --- Evaluate, decide ---

void Controller::Evaluate(std::vector<Case>& cases, TimePoint now) {
  std::vector<EvaluationRequest> requests;
  requests.reserve(cases.size());
  for (const Case& one : cases) {
    const Service& service = *one.service;
    requests.push_back({.policy = service.spec->policy,
                        .snapshot = {.service = service.spec->name,
                                     .now = now,
                                     .capacity = service.capacity,
                                     .bounds = service.spec->rules.bounds,
                                     .metrics = service.spec->declared,
                                     .samples = service.samples,
                                     .params = &service.spec->params,
                                     .state = service.policy_state}});
  }
  ticked_ |= !cases.empty();
  std::vector<Evaluation> evaluations = options_.evaluator.Evaluate(requests);
  options_.counters.evaluations += evaluations.size();
  for (size_t i = 0; i < cases.size(); ++i) cases[i].evaluation = std::move(evaluations[i]);
}

void Controller::Decide(Case& one, TimePoint now) {
  Service& service = *one.service;
  const ScalingRules& rules = service.spec->rules;
  bool changed = false;
  if (one.evaluation.state && *one.evaluation.state != service.policy_state) {
    service.policy_state = std::move(*one.evaluation.state);
    changed = true;
  }
  service.proposal = std::move(one.evaluation.proposal);
  const int recommended = service.decision.desired;
  changed |= service.history.AddProposal(now, service.proposal.capacity);
  service.decision =
      autoscale::Decide(rules, service.proposal, service.capacity, now, service.history);
  if (service.paused) {
    const int wanted = service.decision.desired;
    service.decision.desired = service.capacity.desired;
    service.decision.stages.push_back({.name = kPause,
                                       .before = wanted,
                                       .after = service.capacity.desired,
                                       .reason = "paused: " + service.pause_reason});
    service.decision.reason += "; paused: " + service.pause_reason;
  }
  if (service.proposal.cause == HoldCause::kFault) ++options_.counters.policy_faults;
  if (service.proposal.cause == HoldCause::kMetric) ++options_.counters.holds_for_metrics;

  const int delta = service.decision.desired - service.capacity.desired;
  if (delta != 0) options_.fleet.SetDesired(service.spec->name, service.decision.desired);
  // A dry run recommends the same on each tick; as if it had acted, that is one change.
  if (delta != 0 && !(service.spec->dry_run && service.decision.desired == recommended)) {
    Apply(service, delta, now);
    changed = true;
  }
  if (!service.spec->dry_run && service.desired != service.decision.desired) {
    service.desired = service.decision.desired;
    changed = true;
  }
  service.history.Forget(now, rules);
  if (changed) batch_.services.push_back(RowOf(service));
  const uint64_t outcome = OutcomeOf(service);
  if (outcome == service.outcome && (delta == 0 || service.spec->dry_run)) return;
  service.outcome = outcome;
  Keep(service, delta != 0);
}

// A changed capacity: from now on it is what ought to be.
void Controller::Apply(Service& service, int delta, TimePoint now) {
  service.history.AddChange(now, delta);
  service.last_change = now;
  ++service.generation;
  ++(delta > 0 ? options_.counters.decisions_out : options_.counters.decisions_in);
}

// Gives the last tick's decision a number and a row. What comes of a change is gathered in its
// record until all is settled; a hold in the meantime is kept beside it.
void Controller::Keep(Service& service, bool gather) {
  service.last_stored = ++last_decision_;
  DecisionRecord record = RecordOf(service, service.last_stored);
  batch_.decisions.push_back(record);
  if (gather) {
    Close(service);
    service.open = std::make_unique<DecisionRecord>(std::move(record));
    open_.insert(&service);
  }
  const Decision& decision = service.decision;
  const auto log = service.proposal.cause == HoldCause::kFault ? LogError : LogInfo;
  log(decision.before == decision.desired ? "hold" : "scale",
      {{"service", service.spec->name},
       {"decision", service.last_stored},
       {"from", static_cast<int64_t>(decision.before)},
       {"to", static_cast<int64_t>(decision.desired)},
       {"reason", decision.reason},
       {"at", service.proposal.at},
       {"dry_run", service.spec->dry_run}});
}

// Something happened that no decision asked for: an instance was lost, a gateway fell back.
void Controller::KeepEvent(Service& service, const std::string& text) {
  const Member* member = options_.fleet.Find(service.spec->name);
  const Capacity capacity = member == nullptr ? Capacity{} : CapacityOf(*member);
  ++last_decision_;
  service.open = std::make_unique<DecisionRecord>(RecordOf(service, last_decision_));
  service.open->at = options_.clock.Now();
  service.open->capacity = capacity;
  service.open->proposal = {.capacity = capacity.desired, .reason = text};
  service.open->decision = {
      .before = capacity.desired, .desired = capacity.desired, .reason = text};
  batch_.decisions.push_back(*service.open);
  open_.insert(&service);
}

// Stores an open decision again, with what came of it.
void Controller::Close(Service& service) {
  if (service.open && !service.open->actions.empty()) {
    batch_.decisions.push_back(std::move(*service.open));
  }
  service.open.reset();
}

void Controller::Note(const std::string& name, std::string text) {
  Service* service = FindService(name);
  if (service == nullptr) {
    if (name.empty()) {
      LogWarning(text);
    } else {
      LogInfo(text, {{"service", name}});
    }
    return;
  }
  // A dry run says the same on every tick; once a decision is enough.
  if (service->spec->dry_run && !service->open) return;
  if (!service->open) KeepEvent(*service, text);
  LogInfo(text, {{"service", name}, {"decision", service->open->id}});
  if (service->open->actions.size() < kActionsKept) {
    service->open->actions.push_back({options_.clock.Now(), std::move(text)});
  }
}

// --- Journal, reconcile, publish ---

void Controller::Journal(TimePoint now) {
  options_.fleet.Reconcile(now, batch_);
  if (!batch_.empty()) {
    if (now < store_retry_) return;
    batch_.now = now;
    if (const Status stored = options_.store.Commit(batch_); !stored.ok()) {
      // What is not stored is not done: the calls that follow from it wait.
      ++options_.counters.store_errors;
      store_retry_ = now + kStoreRetry;
      store_problem_ = stored.error().message;
      LogError("nothing is acted on until it can be stored", {{"error", store_problem_}});
      Compact(batch_);
      return;
    }
    ++options_.counters.store_commits;
    store_problem_.clear();
    batch_ = {};
  }
  options_.fleet.Act(now);
  for (const std::string& left : options_.fleet.TakeLeft()) {
    batch_.removed_services.push_back(left);
    LogInfo("removed: its instances have ended", {{"service", left}});
  }
  if (now >= next_prune_) {
    next_prune_ = now + kPruneEvery;
    ReturnFreePages();
    if (const Status pruned = options_.store.PruneDecisions(kDecisionsKept); !pruned.ok()) {
      LogWarning("old decisions could not be dropped", {{"error", pruned.error().message}});
    }
  }
}

// Closes the decisions whose consequences have all come in.
void Controller::Conclude() {
  for (auto it = open_.begin(); it != open_.end();) {
    Service& service = **it;
    if (!service.spec->dry_run && !options_.fleet.IsSettled(service.spec->name)) {
      ++it;
      continue;
    }
    Close(service);
    it = open_.erase(it);
  }
}

}  // namespace autoscale
