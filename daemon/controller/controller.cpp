#include "daemon/controller/controller.h"

#include <algorithm>
#include <utility>

#include "daemon/controller/case.h"
#include "daemon/controller/group.h"
#include "daemon/memory.h"
#include "daemon/metrics/collect.h"
#include "daemon/telemetry/log.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

// Of an interval, what may pass until the answers must be in.
constexpr double kDeadlineShare = 0.8;
constexpr Millis kLongestGrace{100};
constexpr Millis kLongestPatience{1000};
constexpr Millis kLongPass{500};                      // after it no other group is begun
constexpr Millis kTooOld = std::chrono::seconds(60);  // longer than any evaluation takes
constexpr Millis kStoreRetry{1000};
constexpr Millis kUnobservedRetry{20};
constexpr Millis kTidyEvery = std::chrono::minutes(10);
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
  KeepLast(batch.shadows, [](const ShadowRow& row) { return row.service; });
  KeepLast(batch.decisions, [](const DecisionRecord& record) { return record.id; });
  if (batch.decisions.size() > kDecisionsWaiting) {
    batch.decisions.erase(batch.decisions.begin(), batch.decisions.end() - kDecisionsWaiting);
  }
}

}  // namespace

Controller::Controller(ControllerOptions options)
    : options_(std::move(options)),
      last_decision_(options_.store.last_decision_id()),
      ledger_(options_.changes_per_minute),
      derived_({options_.clock, options_.metrics, options_.counters, options_.query_timeout},
               options_.models) {}
Controller::~Controller() = default;

void Controller::Step() {
  const TimePoint now = options_.clock.Now();
  SkipGap(now);
  const auto began = std::chrono::steady_clock::now();
  bool ticked = false;
  bool too_old = false;
  std::vector<Service*> shadowed;
  for (auto& group : groups_) {
    if (now >= group->next) Begin(*group, now);
  }
  for (Group* group : CompleteGroups(now)) {
    ticked = true;
    if (!Work(*group, now)) {
      too_old = true;
      continue;
    }
    for (Service* service : group->services) {
      if (service->shadow && service->last_tick == now) shadowed.push_back(service);
    }
    // The others have their turn in the next pass, so that this one ends while people, the fleet
    // and systemd are still waiting for it.
    if (std::chrono::steady_clock::now() - began > kLongPass) break;
  }
  if (too_old) options_.fleet.Forgive(now, options_.clock.Now());
  Journal(options_.clock.Now());
  Conclude();
  TryShadows(shadowed, now);
  derived_.Step();
  idle_since_ = options_.clock.Now();
  if (!ticked) return;
  options_.counters.tick_microseconds +=
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                std::chrono::steady_clock::now() - began)
                                .count());
}

// Who has waited longest comes first.
std::vector<Controller::Group*> Controller::CompleteGroups(TimePoint now) const {
  std::vector<Group*> complete;
  for (const auto& group : groups_) {
    if (IsComplete(*group, now)) complete.push_back(group.get());
  }
  std::stable_sort(complete.begin(), complete.end(),
                   [](const Group* a, const Group* b) { return a->deadline < b->deadline; });
  return complete;
}

bool Controller::Work(Group& group, TimePoint now) {
  std::vector<Case> cases = Collect(group, now);
  ReachFaultPoint(FaultPoint::kTickCollected);
  Evaluate(cases, now);
  Foresee(cases, now);
  ReachFaultPoint(FaultPoint::kTickEvaluated);
  if (options_.clock.Now() - now > kTooOld) {
    ++options_.counters.ticks_skipped;  // nobody acts on what was true before a suspend
    return false;
  }
  Deal(cases, now);
  for (Case& one : cases) Settle(one, now);
  ReachFaultPoint(FaultPoint::kTickDecided);
  return true;
}

void Controller::Finish() {
  for (Service* service : open_) Close(*service);
  open_.clear();
  StoreShadows();
  Journal(options_.clock.Now());
  ReachFaultPoint(FaultPoint::kShutdownJournaled);
}

Millis Controller::Patience() const {
  const TimePoint now = options_.clock.Now();
  TimePoint next = now + kLongestPatience;
  for (const auto& group : groups_) {
    next = std::min(next, group->next);
    if (group->running) next = std::min(next, group->deadline);
    if (IsComplete(*group, now)) next = now;
  }
  if (!store_problem_.empty()) {
    next = std::min(next, std::max(store_retry_, now));  // nothing else can be done before
  } else if (const auto look = options_.fleet.NextLook(now)) {
    next = std::min(next, *look);
  }
  if (const auto look = derived_.NextLook()) next = std::min(next, *look);
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
  // A little later than the queries give up, so that what they say of it is heard.
  group.deadline = now + timeout + std::min(group.interval / 10, kLongestGrace);
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
  ReachFaultPoint(FaultPoint::kTickBegun);
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
    cases.push_back(
        {.service = service, .conditions = {.protected_instances = CountProtected(*member, now)}});
  }
  for (size_t i = 0; i < group.plan.size(); ++i) {
    Distribute(group, i, now);
    group.answers[i].reset();  // megabytes, for many services
  }
  TellOutage(group, now);
  for (const Case& one : cases) {
    derived_.Fill(*one.service->spec, one.service->capacity, one.service->samples);
    TellSamples(*one.service, now);
  }
  return cases;
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
    const PlannedUse& use = planned.uses.front();
    NoteFault(group, group.services[use.service]->spec->metrics[use.metric].spec->name, *error);
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

// --- Records ---

// Gives the last tick's decision a number and a row. What comes of a change is gathered in its
// record until all is settled; a hold in the meantime is kept beside it.
void Controller::Keep(Service& service, bool gather) {
  service.last_stored = ++last_decision_;
  service.kept = true;
  DecisionRecord record = RecordOf(service, service.last_stored, options_.policy_limits);
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
  service.open =
      std::make_unique<DecisionRecord>(RecordOf(service, last_decision_, options_.policy_limits));
  service.open->inputs.reset();  // nothing was decided
  service.open->at = options_.clock.Now();
  service.open->capacity = capacity;
  service.open->proposal = {.capacity = capacity.desired, .reason = text};
  service.open->decision = {
      .before = capacity.desired, .desired = capacity.desired, .reason = text};
  batch_.decisions.push_back(*service.open);
  open_.insert(&service);
}

// An open decision gets no more actions; those it has are stored.
void Controller::Close(Service& service) {
  if (noted_.erase(&service) > 0) batch_.decisions.push_back(std::move(*service.open));
  service.open.reset();
}

// What came of open decisions is stored as it comes: the account of a crash begins before it.
void Controller::StoreActions() {
  for (Service* service : noted_) batch_.decisions.push_back(*service->open);
  noted_.clear();
}

void Controller::TakeBreakers() {
  for (const std::string& name : options_.fleet.TakeBreakers()) {
    Service* service = FindService(name);
    const Member* member = options_.fleet.Find(name);
    if (service == nullptr || member == nullptr) continue;
    service->breaker = member->breaker;
    service->breaker_since = member->breaker_since;
    service->contested = member->contested;
    batch_.services.push_back(RowOf(*service));
    if (service->breaker.empty()) {
      LogInfo("the breaker is closed: the service is acted on again", {{"service", name}});
    } else {
      LogError("the breaker is open: nothing is acted on until a person has looked",
               {{"service", name}, {"error", service->breaker}});
    }
  }
}

void Controller::TakeSizes() {
  for (const std::string& name : options_.fleet.TakeSizes()) {
    Service* service = FindService(name);
    const Member* member = options_.fleet.Find(name);
    if (service == nullptr || member == nullptr || !member->sizing) continue;
    service->size = member->sizing->stored;
    // What somebody else set holds from now on, also over a crash.
    if (service->spec->owner == CapacityOwner::kShared) service->desired = member->desired;
    batch_.services.push_back(RowOf(*service));
  }
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
    noted_.insert(service);
  }
}

// --- Journal, reconcile, publish ---

void Controller::Journal(TimePoint now) {
  options_.fleet.Reconcile(now, batch_);
  TakeBreakers();
  TakeSizes();
  StoreActions();
  if (!batch_.empty()) {
    if (now < store_retry_) return options_.fleet.PublishLosses(now);
    batch_.now = now;
    ReachFaultPoint(FaultPoint::kBatchComposed);
    if (const Status stored = options_.store.Commit(batch_); !stored.ok()) {
      // What is not stored is not done: the calls that follow from it wait.
      ++options_.counters.store_errors;
      store_retry_ = now + kStoreRetry;
      store_problem_ = stored.error().message;
      TellStore(store_problem_);
      options_.fleet.Freeze(true);
      options_.fleet.Reconcile(now, batch_);  // anew: of the lists nothing but losses goes on
      options_.fleet.PublishLosses(now);
      Compact(batch_);
      return;
    }
    ++options_.counters.store_commits;
    store_problem_.clear();
    TellStore("");
    options_.fleet.Freeze(false);
    for (const ServiceRow& row : batch_.services) {
      Service* service = FindService(row.name);
      if (service != nullptr && (row.generation > 0 || row.desired > 0)) {
        service->stored = row.desired;
      }
    }
    batch_ = {};
    ReachFaultPoint(FaultPoint::kBatchCommitted);
  }
  options_.fleet.Act(now);
  for (const std::string& left : options_.fleet.TakeLeft()) {
    ReachFaultPoint(FaultPoint::kRemovalFinished);
    batch_.removed_services.push_back(left);
    leaving_.erase(left);
    LogInfo("removed: its instances have ended", {{"service", left}});
  }
  if (now >= next_tidy_) {
    next_tidy_ = now + kTidyEvery;
    ReturnFreePages();
  }
  if (const Status maintained = options_.store.Maintain(now); !maintained.ok()) {
    LogWarning("the state database could not be maintained",
               {{"error", maintained.error().message}});
  }
}

// An outage of the store is told when it begins, changes and ends; not by every try.
void Controller::TellStore(const std::string& problem) {
  if (problem == store_told_) return;
  if (problem.empty()) {
    LogInfo("storing works again: what waited is acted on");
  } else {
    LogError("nothing is acted on until it can be stored", {{"error", problem}});
  }
  store_told_ = problem;
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
