// The controller's answers to people and to telemetry: each crosses to the tick thread and back.
#include <algorithm>
#include <future>
#include <map>

#include "daemon/controller/controller.h"
#include "daemon/telemetry/log.h"

namespace autoscale {
namespace {

// How long a question waits for the tick thread, which is busy for milliseconds at most.
constexpr std::chrono::seconds kAnswerWithin{5};
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

}  // namespace

template <typename T>
Result<T> Controller::OnTickThread(std::function<Result<T>()> function) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  std::future<Result<T>> answer = promise->get_future();
  options_.courier.ToTick(
      [promise, function = std::move(function)] { promise->set_value(function()); });
  if (answer.wait_for(kAnswerWithin) != std::future_status::ready) {
    return Error{ErrorKind::kUnavailable, "the daemon is busy and did not answer within 5s"};
  }
  return answer.get();
}

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
  if (!view.problem.empty()) return view;
  if (!service.last_tick) {
    view.problem = "waiting for the provider to tell what exists";
  } else if (service.proposal.cause == HoldCause::kFault ||
             service.proposal.cause == HoldCause::kMetric) {
    view.problem = service.proposal.reason;
  } else if (!store_problem_.empty()) {
    view.problem = store_problem_;
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
  DecisionRecord record = RecordOf(*service, service->last_stored);
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

Result<DecisionRecord> Controller::ExplainDecision(int64_t id) {
  return OnTickThread<DecisionRecord>([this, id]() -> Result<DecisionRecord> {
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

Status Controller::SetPaused(const std::string& name, bool paused, const std::string& reason) {
  return OnTickThread<Ok>([this, name, paused, reason]() -> Status {
    Service* service = FindService(name);
    if (service == nullptr) return NoSuchService(name);
    service->paused = paused;
    service->pause_reason = reason;
    batch_.services.push_back(RowOf(*service));
    Journal(options_.clock.Now());
    if (!store_problem_.empty()) {
      return Error{ErrorKind::kUnavailable,
                   "in force, but not stored yet, and a restart would "
                   "forget it: " +
                       store_problem_};
    }
    LogInfo(paused ? "paused" : "resumed", {{"service", name}, {"reason", reason}});
    return Ok{};
  });
}

Status Controller::Pause(const std::string& service, const std::string& reason) {
  return SetPaused(service, true, reason.empty() ? "no reason given" : reason);
}

Status Controller::Resume(const std::string& service) { return SetPaused(service, false, ""); }

// --- Reload ---

// Gateways are made when the daemon is put together.
std::optional<Error> Controller::FindUnknownGateway(const std::vector<ServiceSpec>& specs) const {
  for (const ServiceSpec& spec : specs) {
    for (const GatewayUse& use : spec.gateways) {
      if (options_.fleet.HasGateway(use.gateway)) continue;
      return Error{ErrorKind::kInvalid,
                   spec.file + ":" + std::to_string(spec.line) + ": gateway '" + use.gateway +
                       "' is new, and gateways are made at the start: restart the daemon (the "
                       "fleet serves on meanwhile)"};
    }
  }
  return std::nullopt;
}

Result<ReloadReport> Controller::Reload() {
  LoadResult loaded = options_.load();
  if (!loaded.ok()) {
    ++options_.counters.reload_errors;
    std::string faults;
    for (const Diagnostic& diagnostic : loaded.diagnostics) {
      if (diagnostic.severity != Diagnostic::Severity::kError) continue;
      faults += (faults.empty() ? "" : "\n") + ToString(diagnostic);
    }
    LogError("the configuration has faults; the one in force stays", {{"faults", faults}});
    return Error{ErrorKind::kInvalid, faults};
  }
  if (auto unknown = FindUnknownGateway(loaded.configuration.services)) {
    ++options_.counters.reload_errors;
    return *std::move(unknown);
  }
  auto specs = std::make_shared<std::vector<ServiceSpec>>(std::move(loaded.configuration.services));
  auto report = OnTickThread<ReloadReport>(
      [this, specs]() -> Result<ReloadReport> { return Replace(std::move(*specs)); });
  if (!report.ok()) return report;
  ++options_.counters.reloads;
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    report->warnings.push_back(ToString(diagnostic));
  }
  LogInfo("configuration loaded", {{"services", static_cast<int64_t>(report->services)},
                                   {"added", static_cast<int64_t>(report->added)},
                                   {"changed", static_cast<int64_t>(report->changed)},
                                   {"removed", static_cast<int64_t>(report->removed)}});
  return report;
}

ReloadReport Controller::Replace(std::vector<ServiceSpec> specs) {
  ReloadReport report{.services = static_cast<int>(specs.size())};
  std::map<std::string, bool> wanted;
  for (ServiceSpec& spec : specs) {
    wanted[spec.name] = true;
    const Service* known = FindService(spec.name);
    if (known != nullptr && known->spec->content_hash == spec.content_hash) continue;
    ++(known == nullptr ? report.added : report.changed);
    Put(std::make_shared<const ServiceSpec>(std::move(spec)), nullptr, {});
  }
  std::erase_if(services_, [&](const std::unique_ptr<Service>& service) {
    const std::string name = service->spec->name;
    if (wanted.contains(name)) return false;
    ++report.removed;
    Close(*service);
    open_.erase(service.get());
    by_name_.erase(name);
    options_.fleet.Remove(name);
    return true;
  });
  if (report.added + report.changed + report.removed > 0) Regroup(options_.clock.Now());
  return report;
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
      for (size_t i = 0; i < service->samples.size(); ++i) {
        const Sample& sample = service->samples[i];
        gauges.metrics.push_back({.name = service->spec->metrics[i].spec->name,
                                  .value = sample.value,
                                  .fresh = sample.state == SampleState::kFresh});
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
  auto answer =
      OnTickThread<std::string>([this]() -> Result<std::string> { return store_problem_; });
  return answer.ok() ? *answer : answer.error().message;
}

}  // namespace autoscale
