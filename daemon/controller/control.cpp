// The controller's answers to people and to telemetry: each crosses to the tick thread and back.
#include <algorithm>
#include <map>

#include "daemon/controller/controller.h"
#include "daemon/controller/on_tick_thread.h"
#include "daemon/controller/shadow.h"
#include "daemon/telemetry/log.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

constexpr size_t kNamesSuggested = 3;
constexpr int kDecisionsSearched = 20;

// Names that share most of their beginning with what was asked for.
std::string Closest(const std::string& name, const std::vector<std::string>& known) {
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& candidate : known) {
    const auto common = std::mismatch(name.begin(), name.end(), candidate.begin(), candidate.end());
    ranked.emplace_back(static_cast<size_t>(common.first - name.begin()), candidate);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (size_t i = 0; i < std::min(kNamesSuggested, ranked.size()); ++i) {
    text += (i == 0 ? "" : ", ") + ranked[i].second;
  }
  return text;
}

const StageRecord* FindStage(const Decision& decision, std::string_view name) {
  const auto found = std::find_if(decision.stages.begin(), decision.stages.end(),
                                  [name](const StageRecord& stage) { return stage.name == name; });
  return found == decision.stages.end() ? nullptr : &*found;
}

}  // namespace

Error Controller::NoSuchService(const std::string& name) const {
  if (services_.empty()) return {ErrorKind::kNotFound, "no service is configured"};
  std::vector<std::string> names;
  for (const auto& service : services_) names.push_back(service->spec->name);
  return {ErrorKind::kNotFound,
          "no service '" + name + "'; configured are for example: " + Closest(name, names)};
}

ServiceView Controller::ViewOf(const Service& service) const {
  ServiceView view;
  view.name = service.spec->name;
  view.bounds = service.spec->rules.bounds;
  view.policy = service.spec->policy->path;
  view.provider = service.spec->provider;
  view.interval = service.spec->interval;
  view.dry_run = service.spec->dry_run;
  view.paused = service.paused;
  view.pause_reason = service.pause_reason;
  view.last_tick = service.last_tick;
  view.last_change = service.last_change;
  view.last_reason = service.decision.reason;
  options_.fleet.Describe(service.spec->name, view);
  view.cost_per_hour = service.spec->cost_per_hour * view.capacity.desired;
  // Before what follows from it.
  if (!store_problem_.empty() && !OnlyAdvises(*service.spec)) {
    view.problem = store_problem_ + (view.problem.empty() ? "" : "; " + view.problem);
  }
  if (!view.problem.empty()) return view;
  if (!service.last_tick) {
    view.problem = "waiting for the provider to tell what exists";
  } else if (service.proposal.cause == HoldCause::kFault ||
             service.proposal.cause == HoldCause::kMetric) {
    view.problem = service.proposal.reason;
  } else if (const StageRecord* cost = FindStage(service.decision, kCost)) {
    view.problem = "protection.cost_per_hour keeps it at " + std::to_string(cost->after) +
                   " instead of " + std::to_string(cost->before) + ": " + cost->reason;
  } else {
    view.problem = derived_.ProblemOf(*service.spec);
  }
  return view;
}

Result<std::vector<ServiceView>> Controller::ReadServices(std::optional<std::string> name) {
  using Views = std::vector<ServiceView>;
  return OnTickThread<Views>([this, name]() -> Result<Views> {
    Views views;
    if (name) {
      const Service* service = FindService(*name);
      if (service == nullptr) return NoSuchService(*name);
      views.push_back(ViewOf(*service));
      return views;
    }
    for (const auto& service : services_) views.push_back(ViewOf(*service));
    return views;
  });
}

// The last tick's record, with what came of the last decision that was stored.
Result<DecisionRecord> Controller::ReadLast(const std::string& name) {
  const Service* service = FindService(name);
  if (service == nullptr) return NoSuchService(name);
  if (!service->last_tick) {
    return Error{ErrorKind::kUnavailable, "service '" + name +
                                              "' has not been evaluated yet: its provider has not "
                                              "told what exists, or its first tick is under way"};
  }
  DecisionRecord record =
      RecordOf(*service, service->kept ? service->last_stored : 0, options_.policy_limits);
  if (service->open) {
    record.actions = service->open->actions;
  } else {
    // After a restart: of the last stored one that something came of.
    auto stored = options_.store.ReadDecisions(name, kDecisionsSearched);
    if (!stored.ok()) return std::move(stored).error();
    const auto with_actions = std::find_if(stored->begin(), stored->end(),
                                           [](const auto& one) { return !one.actions.empty(); });
    if (with_actions != stored->end()) record.actions = std::move(with_actions->actions);
  }
  return record;
}

Result<DecisionRecord> Controller::Explain(const std::string& service) {
  return OnTickThread<DecisionRecord>([this, service] { return ReadLast(service); });
}

Result<DecisionRecord> Controller::ReadById(int64_t id) {
  for (const Service* service : open_) {
    if (service->open && service->open->id == id) return *service->open;
  }
  auto stored = options_.store.ReadDecision(id);
  if (!stored.ok()) return std::move(stored).error();
  if (!*stored) {
    return Error{ErrorKind::kNotFound, "no decision " + std::to_string(id) +
                                           " is stored; `autoscalectl history` lists them"};
  }
  return **std::move(stored);
}

Result<DecisionRecord> Controller::ExplainDecision(int64_t id) {
  return OnTickThread<DecisionRecord>([this, id] { return ReadById(id); });
}

Result<DecisionRecord> Controller::Inputs(const std::string& name) {
  return OnTickThread<DecisionRecord>([this, name]() -> Result<DecisionRecord> {
    const Service* service = FindService(name);
    if (service != nullptr && service->last_tick && !service->decided) {
      return Error{ErrorKind::kUnavailable,
                   "service '" + name +
                       "' has not been decided on since the configuration was loaded again: try "
                       "after its next tick"};
    }
    return ReadLast(name);
  });
}

Result<DecisionRecord> Controller::InputsOfDecision(int64_t id) {
  return OnTickThread<DecisionRecord>([this, id]() -> Result<DecisionRecord> {
    auto record = ReadById(id);
    if (!record.ok()) return record;
    if (record->inputs == nullptr || record->inputs->basis.rules != nullptr) return record;
    auto basis = options_.store.ReadBasis(record->inputs->basis_hash);
    if (!basis.ok()) return std::move(basis).error();
    if (!*basis) return record;
    auto inputs = std::make_shared<DecisionInputs>(*record->inputs);
    inputs->basis = **std::move(basis);
    record->inputs = std::move(inputs);
    return record;
  });
}

Result<ShadowView> Controller::ReadShadow(const std::string& name) {
  return OnTickThread<ShadowView>([this, name]() -> Result<ShadowView> {
    const Service* service = FindService(name);
    if (service == nullptr) return NoSuchService(name);
    if (!service->shadow) {
      return Error{ErrorKind::kNotFound,
                   "service '" + name + "' has no shadow; `shadow: {policy: FILE}` in " +
                       service->spec->file + " has another policy tried beside its own"};
    }
    return service->shadow->View(*service);
  });
}

Result<std::vector<DecisionRecord>> Controller::History(const std::string& service, int limit) {
  using Records = std::vector<DecisionRecord>;
  return OnTickThread<Records>([this, service, limit]() -> Result<Records> {
    if (!service.empty() && FindService(service) == nullptr) return NoSuchService(service);
    auto records = options_.store.ReadDecisions(service, limit);
    if (!records.ok()) return records;
    for (DecisionRecord& record : *records) {
      const Service* known = FindService(record.service);
      if (known != nullptr && known->open && known->open->id == record.id) record = *known->open;
    }
    return records;
  });
}

Error Controller::NotStoredYet() const {
  return {ErrorKind::kUnavailable,
          "in force, but not stored yet, and a restart would forget it: " + store_problem_};
}

Status Controller::SetPaused(const std::string& name, bool paused, const std::string& reason) {
  return OnTickThread<Ok>([this, name, paused, reason]() -> Status {
    Service* service = FindService(name);
    if (service == nullptr) return NoSuchService(name);
    service->paused = paused;
    service->pause_reason = reason;
    batch_.services.push_back(RowOf(*service));
    Journal(options_.clock.Now());
    if (!store_problem_.empty()) return NotStoredYet();
    ReachFaultPoint(paused ? FaultPoint::kPauseStored : FaultPoint::kResumeStored);
    LogInfo(paused ? "paused" : "resumed", {{"service", name}, {"reason", reason}});
    return Ok{};
  });
}

Status Controller::Pause(const std::string& service, const std::string& reason) {
  return SetPaused(service, true, reason.empty() ? "no reason given" : reason);
}

Status Controller::Resume(const std::string& service) {
  Status closed = OnTickThread<Ok>([this, service]() -> Status {
    options_.fleet.CloseBreaker(service);
    return Ok{};
  });
  return closed.ok() ? SetPaused(service, false, "") : closed;
}

Status Controller::Protect(const std::string& name, const std::string& instance,
                           std::optional<Millis> duration, const std::string& reason) {
  return OnTickThread<Ok>([this, name, instance, duration, reason]() -> Status {
    if (FindService(name) == nullptr) return NoSuchService(name);
    const TimePoint now = options_.clock.Now();
    const bool off = duration && duration->count() == 0;
    const TimePoint until = off ? TimePoint{} : duration ? now + *duration : kForever;
    if (Status done = options_.fleet.Protect(name, instance, until, off ? "" : reason); !done) {
      return done;
    }
    Journal(now);
    if (!store_problem_.empty()) return NotStoredYet();
    LogInfo(off ? "protection taken off" : "protected",
            {{"service", name}, {"instance", instance}, {"reason", reason}});
    return Ok{};
  });
}

// --- Telemetry ---

std::vector<ServiceGauges> Controller::Gauges() {
  using All = std::vector<ServiceGauges>;
  auto answer = OnTickThread<All>([this]() -> Result<All> {
    All all;
    all.reserve(services_.size());
    for (const auto& service : services_) {
      const ServiceView view = ViewOf(*service);
      ServiceGauges& gauges = all.emplace_back();
      gauges.name = view.name;
      gauges.desired = view.capacity.desired;
      gauges.ready = view.capacity.ready;
      gauges.draining = view.draining;
      gauges.min = view.bounds.min;
      gauges.max = view.bounds.max;
      gauges.dry_run = view.dry_run;
      gauges.paused = view.paused;
      gauges.problem = !view.problem.empty();
      gauges.breaker = view.breaker;
      gauges.quarantined = service->quarantined;
      gauges.cost_per_hour = view.dry_run ? 0 : view.cost_per_hour;
      gauges.holding = service->proposal.cause == HoldCause::kMetric ||
                       service->proposal.cause == HoldCause::kFault;
      if (service->shadow) service->shadow->Gauge(gauges);
      for (size_t i = 0; i < service->samples.size(); ++i) {
        const Sample& sample = service->samples[i];
        gauges.metrics.push_back({.name = service->spec->metrics[i].spec->name,
                                  .value = sample.value,
                                  .state = sample.state,
                                  .age_s = sample.age_s,
                                  .coverage = sample.coverage,
                                  .substituted = sample.substituted});
      }
    }
    return all;
  });
  return answer.ok() ? std::move(answer).value() : All{};
}

std::string Controller::Unready() {
  auto answer = OnTickThread<std::string>([this]() -> Result<std::string> {
    return std::string(ticked_ || services_.empty() ? "" : "the first tick has not ended yet");
  });
  return answer.ok() ? *answer : answer.error().message;
}

std::string Controller::Unhealthy() {
  auto answer = OnTickThread<std::string>([this]() -> Result<std::string> {
    return store_problem_.empty() ? options_.store.problem() : store_problem_;
  });
  return answer.ok() ? *answer : answer.error().message;
}

}  // namespace autoscale
