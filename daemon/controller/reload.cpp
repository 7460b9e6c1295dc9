// A reload: what may come in place of what is in force, and how it comes.
#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "daemon/controller/controller.h"
#include "daemon/controller/leaving.h"
#include "daemon/controller/on_tick_thread.h"
#include "daemon/telemetry/log.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

// What replaces files takes one away before it writes the next: a service that is missing is looked
// for once more after so long, before its instances are drained.
constexpr Millis kBeingReplaced = std::chrono::seconds(1);
constexpr size_t kWarningsTold = 20;  // of a configuration, each a line of the log

// Whoever reloads by SIGHUP sees nothing but the log.
void TellWarnings(const std::vector<std::string>& warnings) {
  for (size_t i = 0; i < std::min(kWarningsTold, warnings.size()); ++i) {
    LogWarning("the configuration has a warning", {{"warning", warnings[i]}});
  }
  if (warnings.size() <= kWarningsTold) return;
  LogWarning("the configuration has more warnings; autoscaled --check-config shows all",
             {{"more", static_cast<int64_t>(warnings.size() - kWarningsTold)}});
}

}  // namespace

// Gateways and plugins are made when the daemon is put together.
std::optional<Error> Controller::FindUnknownAdapter(const std::vector<ServiceSpec>& specs) const {
  for (const ServiceSpec& spec : specs) {
    if (!spec.provider.empty() && !options_.fleet.HasProvider(spec.provider)) {
      return Error{ErrorKind::kInvalid,
                   spec.file + ":" + std::to_string(spec.line) + ": plugin '" + spec.provider +
                       "' is new, and plugins are taken up at the start: restart the daemon (the "
                       "fleet serves on meanwhile)"};
    }
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

// Whether a service of now would be removed.
bool Controller::Removes(const std::vector<ServiceSpec>& specs) {
  std::unordered_set<std::string_view> names;
  for (const ServiceSpec& spec : specs) names.insert(spec.name);
  const auto removes = OnTickThread<bool>([this, &names]() -> Result<bool> {
    return std::any_of(services_.begin(), services_.end(),
                       [&](const auto& service) { return !names.contains(service->spec->name); });
  });
  return removes && *removes;
}

Result<ReloadReport> Controller::Reload(bool may_remove_all) {
  // One after the other, lest an older reading of the files comes last.
  const std::lock_guard lock(reloading_);
  LoadResult loaded = options_.load();
  if (loaded.ok() && Removes(loaded.configuration.services)) {
    if (options_.wait) options_.wait(kBeingReplaced);
    loaded = options_.load();
  }
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
  auto specs = std::make_shared<std::vector<ServiceSpec>>(std::move(loaded.configuration.services));
  auto report = OnTickThread<ReloadReport>(
      [this, specs, may_remove_all] { return ReplaceAll(std::move(*specs), may_remove_all); });
  if (!report.ok()) {
    ++options_.counters.reload_errors;
    LogError("the configuration is refused; the one in force stays",
             {{"faults", report.error().message}});
    return report;
  }
  ++options_.counters.reloads;
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    report->warnings.push_back(ToString(diagnostic));
  }
  TellWarnings(report->warnings);
  LogInfo("configuration loaded", {{"services", static_cast<int64_t>(report->services)},
                                   {"added", static_cast<int64_t>(report->added)},
                                   {"changed", static_cast<int64_t>(report->changed)},
                                   {"removed", static_cast<int64_t>(report->removed)}});
  return report;
}

// Two members must not publish one upstream, also not while the former owner is still leaving.
std::optional<Error> Controller::FindTakenUpstream(const std::vector<ServiceSpec>& specs) const {
  for (const ServiceSpec& spec : specs) {
    if (spec.dry_run) continue;
    for (const GatewayUse& use : spec.gateways) {
      const std::string owner = options_.fleet.OwnerOf(use.gateway, use.upstream);
      if (owner.empty() || owner == spec.name) continue;
      const std::string what = spec.file + ":" + std::to_string(spec.line) + ": upstream '" +
                               use.upstream + "' of gateway '" + use.gateway + "' is still ";
      if (ConfiguredName(owner) == spec.name) {
        return Error{ErrorKind::kInvalid, what + "being emptied; reload again in a moment"};
      }
      return Error{ErrorKind::kInvalid,
                   what + "published by service '" + ConfiguredName(owner) +
                       "'; take it away there, reload, and give it to '" + spec.name +
                       "' with a second reload, once what used it has drained"};
    }
  }
  return std::nullopt;
}

Result<ReloadReport> Controller::ReplaceAll(std::vector<ServiceSpec> specs, bool may_remove_all) {
  if (specs.empty() && !services_.empty() && !may_remove_all) {
    return Error{ErrorKind::kInvalid,
                 "no service is configured any more, and all " + std::to_string(services_.size()) +
                     " would be drained and stopped: is the folder of services there? If it is "
                     "meant, `autoscalectl reload --remove-all`"};
  }
  if (auto unknown = FindUnknownAdapter(specs)) return *std::move(unknown);
  if (auto moved = RefuseMoves(specs); !moved) return std::move(moved).error();
  if (auto taken = FindTakenUpstream(specs)) return *std::move(taken);
  ReloadReport report{.services = static_cast<int>(specs.size())};
  std::unordered_set<std::string> wanted;
  for (ServiceSpec& spec : specs) {
    wanted.insert(spec.name);
    Replace(std::move(spec), report);
  }
  std::erase_if(services_, [&](const std::unique_ptr<Service>& service) {
    const std::string name = service->spec->name;
    if (wanted.contains(name)) return false;
    ++report.removed;
    Close(*service);
    open_.erase(service.get());
    by_name_.erase(name);
    if (service->spec->dry_run) {
      absent_[name].row = RowOf(*service);
    } else {
      Leave(*service->spec, RowOf(*service));
    }
    options_.fleet.Remove(name);
    ReachFaultPoint(FaultPoint::kRemovalBegun);
    return true;
  });
  const TimePoint now = options_.clock.Now();
  if (report.added + report.changed + report.removed > 0) Regroup(now);
  options_.fleet.Look(now);
  ReachFaultPoint(FaultPoint::kReloaded);
  return report;
}

// One specification, new or changed or neither.
void Controller::Replace(ServiceSpec spec, ReloadReport& report) {
  const Service* known = FindService(spec.name);
  if (known != nullptr && known->spec->content_hash == spec.content_hash) return;
  ++(known == nullptr ? report.added : report.changed);
  // A new one may be an old one that has not gone yet.
  const Member* member = options_.fleet.Find(spec.name);
  const auto before = member == nullptr ? nullptr : member->spec;
  const auto now = std::make_shared<const ServiceSpec>(std::move(spec));
  const bool added = known == nullptr;
  auto absent = absent_.extract(now->name);
  auto left = leaving_.extract(now->name);
  if (!left.empty()) {  // how many there are to be says only what is found of it
    ServiceRow& row = left.mapped();
    row.history.Resume(options_.clock.Now());
    row.breaker.clear();  // the new specification may be the remedy
    Put(now, &row, {});
  } else if (absent.empty()) {
    Put(now, nullptr, {});
  } else {
    LogInfo("configured again: it goes on from what is stored of it", {{"service", now->name}});
    TakeUp(now, std::move(absent.mapped()), options_.clock.Now());
  }
  PutShadow(*FindService(now->name), nullptr);
  if (added) batch_.services.push_back(RowOf(*FindService(now->name)));  // it does not leave
  if (before != nullptr && !before->dry_run && !now->dry_run) DropUpstreams(*before, *now);
}

// Stored before anything of it is undone: a crash in the middle goes on with it.
void Controller::Leave(const ServiceSpec& spec, const ServiceRow& row) {
  batch_.services.push_back(row);
  batch_.services.back().desired = 0;
  batch_.services.back().leaving = EncodeLeaving(spec);
  leaving_[spec.name] = batch_.services.back();
}

}  // namespace autoscale
