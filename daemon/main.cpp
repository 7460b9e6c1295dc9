// autoscaled: puts the parts together. The only file that names concrete types.
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <future>
#include <memory>
#include <thread>

#include "daemon/api/server.h"
#include "daemon/check.h"
#include "daemon/controller/controller.h"
#include "daemon/fleet/recording.h"
#include "daemon/memory.h"
#include "daemon/options.h"
#include "daemon/signals.h"
#include "daemon/telemetry/log.h"
#include "daemon/telemetry/notify.h"
#include "daemon/worker/worker.h"
#include "engine/model/file.h"
#include "net/fault_point.h"
#include "providers/plugin/plugin_host.h"
#include "providers/readiness/readiness.h"

namespace autoscale {
namespace {

constexpr std::chrono::seconds kUsageWithin{2};
constexpr Millis kStatusEvery = std::chrono::seconds(10);

void LogPlugin(PluginLogLevel level, const std::string& plugin, const std::string& text) {
  if (level == PluginLogLevel::kWarning) return LogWarning(text, {{"plugin", plugin}});
  LogInfo(text, {{"plugin", plugin}});
}

std::string TextOf(const std::string& path) {
  const auto text = ReadFile(path);
  return text.ok() ? *text : "";
}

// The daemon's parts, in the order in which they need each other; they go in reverse.
class Daemon {
 public:
  Daemon(Options options, DaemonSpec spec) : options_(std::move(options)), spec_(std::move(spec)) {}

  ~Daemon() {
    loop_.Stop();
    if (io_.joinable()) io_.join();
    if (reload_.joinable()) reload_.join();
  }

  Status Start(const std::vector<ServiceSpec>& services) {
    auto store = Store::Open(spec_.state_dir);
    if (!store.ok()) return std::move(store).error();
    store_ = std::move(store).value();
    for (const std::string& note : store_->notes()) LogWarning("state", {{"note", note}});
    clock_ = std::make_unique<SteadyClock>(store_->last_now());

    auto worker = PolicyWorker::Start(DefaultWorkerPath(), spec_.policy_limits, counters_);
    if (!worker.ok()) return std::move(worker).error().Within("policy worker");
    worker_ = std::move(worker).value();

    auto prometheus = ConnectTo(spec_.prometheus);
    if (!prometheus.ok()) return std::move(prometheus).error();
    prometheus_ = std::make_unique<PrometheusClient>(prometheus_http_, *prometheus);
    metrics_ = std::make_unique<PrometheusSource>(*prometheus_, courier_, counters_);

    if (Status made = MakeAdapters(); !made.ok()) return made;
    fleet_ = std::make_unique<Fleet>(
        FleetOptions{.courier = courier_,
                     .clock = *clock_,
                     .live = live_,
                     .recording = recording_,
                     .counters = counters_,
                     .epoch = store_->epoch(),
                     .failures_allowed = spec_.protection.failures,
                     .note = [this](const std::string& service, std::string text) {
                       controller_->Note(service, std::move(text));
                     }});
    controller_ = std::make_unique<Controller>(
        ControllerOptions{.clock = *clock_,
                          .courier = courier_,
                          .evaluator = *worker_,
                          .store = *store_,
                          .metrics = *metrics_,
                          .models = &models_,
                          .fleet = *fleet_,
                          .counters = counters_,
                          .query_timeout = spec_.prometheus.timeout,
                          .dry_run = options_.dry_run || spec_.dry_run,
                          .policy_limits = spec_.policy_limits,
                          .changes_per_minute = spec_.protection.changes_per_minute,
                          .cost_per_hour = spec_.protection.cost_per_hour,
                          .load = [this] { return Load(); }});
    io_ = std::thread([this] { loop_.Run(); });
    if (Status started = controller_->Start(services); !started.ok()) return started;

    auto telemetry =
        TelemetryServer::Start(spec_.listen_address, spec_.listen_port, counters_, TelemetryFrom());
    if (!telemetry.ok()) return std::move(telemetry).error().Within("listen");
    telemetry_ = std::move(telemetry).value();
    auto control = ControlServer::Start(spec_.control, *controller_);
    if (!control.ok()) return std::move(control).error().Within("control");
    control_ = std::move(control).value();
    return Ok{};
  }

  // Ticks until a signal ends it. The fleet serves on.
  void Run(int signals, size_t services) {
    loop_.Post([this, signals] {
      loop_.Watch(signals, EPOLLIN, [this, signals](uint32_t) { TakeSignals(signals); });
    });
    LogInfo("started", {{"version", AUTOSCALED_VERSION},
                        {"services", static_cast<int64_t>(services)},
                        {"listen", spec_.listen_address + ":" + std::to_string(telemetry_->port())},
                        {"control", spec_.control.socket},
                        {"epoch", static_cast<int64_t>(store_->epoch())},
                        {"dry_run", options_.dry_run || spec_.dry_run}});
    NotifyReady(std::to_string(services) + " services");
    const auto watchdog = WatchdogInterval();
    TimePoint next_watchdog = clock_->Now();
    TimePoint next_status = clock_->Now() + kStatusEvery;
    while (!stopping_) {
      inbox_.RunFor(controller_->Patience());
      controller_->Step();
      WatchClock();
      if (watchdog && clock_->Now() >= next_watchdog) {
        next_watchdog = clock_->Now() + *watchdog;
        NotifyWatchdog();
      }
      if (clock_->Now() >= next_status) {
        next_status = clock_->Now() + kStatusEvery;
        NotifyStatus(std::to_string(counters_.ticks.load()) + " ticks, " +
                     std::to_string(counters_.decisions_out + counters_.decisions_in) +
                     " changes of capacity");
      }
    }
    NotifyStopping();
    ReachFaultPoint(FaultPoint::kShutdownBegun);
    LogInfo("stopping; the fleet serves on");
    Close();
  }

 private:
  void TakeUp(const std::string& name, std::unique_ptr<Provider> made) {
    Provider& provider = *providers_.emplace_back(std::move(made));
    provider.SetListener(
        [this, name](const std::string& service, const ObservedInstance& observed) {
          courier_.ToTick([this, name, service, observed] {
            if (fleet_->IsAt(service, name)) fleet_->OnInstance(service, observed);
          });
        });
    provider.SetTargetListener([this, name](Observation seen) {
      courier_.ToTick([this, name, seen = std::move(seen)] {
        if (fleet_->IsAt(seen.service, name)) fleet_->OnTarget(seen);
      });
    });
    live_.providers[name] = &provider;
    recording_.providers[name] =
        providers_.emplace_back(std::make_unique<RecordingProvider>(provider)).get();
  }

  Status MakeAdapters() {
    for (const ProviderType& type : ProviderTypes()) {
      auto made = type.create(
          {.loop = loop_, .http = http_, .state_dir = spec_.state_dir + "/" + type.name});
      if (!made.ok()) return std::move(made).error().Within("provider " + type.name);
      TakeUp(type.name, std::move(made).value());
    }
    for (const PluginSpec& spec : spec_.plugins) {
      const std::string state_dir = spec_.state_dir + "/plugins/" + spec.name;
      TakeUp(spec.name, WithReadiness({.loop = loop_, .http = http_, .state_dir = state_dir},
                                      plugins_.Make(spec, state_dir)));
    }
    for (const GatewaySpec& spec : spec_.gateways) {
      for (const GatewayType& type : GatewayTypes()) {
        if (type.name != spec.type) continue;
        auto made =
            type.create({.loop = loop_, .http = http_, .name = spec.name, .options = spec.options});
        if (!made.ok()) return std::move(made).error().Within("gateway " + spec.name);
        live_.gateways[spec.name] = gateways_.emplace_back(std::move(made).value()).get();
      }
      recording_.gateways[spec.name] =
          gateways_.emplace_back(std::make_unique<RecordingGateway>()).get();
    }
    return Ok{};
  }

  // A wall clock that was set is told when it begins to matter and when it has been made up for.
  void WatchClock() {
    const Millis offset = clock_->Offset();
    counters_.clock_offset_millis = offset.count();
    const OffsetWatch::News news = clock_watch_.Take(offset);
    if (news == OffsetWatch::News::kBegins) {
      LogWarning(
          "the wall clock was set: the daemon's time goes after it by 5 % at most, so that windows "
          "and cooldowns keep their length",
          {{"ahead_seconds", ToSeconds(offset)}});
    } else if (news == OffsetWatch::News::kEnds) {
      LogInfo("the daemon's time is that of the wall clock again");
    }
  }

  // What a reload loads: services and what they share. The rest is put together once.
  LoadResult Load() {
    LoadResult loaded = LoadAndCheck(options_.config, options_.dry_run, ends_.get_token());
    if (TextOf(options_.config) != text_) {
      loaded.diagnostics.push_back(
          {.severity = Diagnostic::Severity::kWarning,
           .file = options_.config,
           .message = "has changed since the start: metrics and defaults are in force, all other "
                      "settings of this file only after a restart"});
    }
    return loaded;
  }

  TelemetrySources TelemetryFrom() {
    return {.services = [this] { return controller_->Gauges(); },
            .usage = [this] { return ReadUsage(); },
            .prometheus = [this] { return PrometheusEndpoints(); },
            .unhealthy = [this] { return controller_->Unhealthy(); },
            .unready = [this] { return controller_->Unready(); }};
  }

  std::vector<EndpointGauges> PrometheusEndpoints() {
    std::vector<EndpointGauges> gauges;
    for (PrometheusClient::EndpointView& view : prometheus_->endpoints()) {
      gauges.push_back({.url = std::move(view.url), .in_use = view.in_use, .up = view.up});
    }
    return gauges;
  }

  // Asks every provider on the loop's thread, from a thread of the listener.
  std::vector<UsageView> ReadUsage() {
    std::vector<UsageView> all;
    for (const auto& [name, provider] : live_.providers) {
      auto promise = std::make_shared<std::promise<std::vector<InstanceUsage>>>();
      auto answer = promise->get_future();
      loop_.Post([provider = provider, promise] {
        provider->ReadUsage(
            [promise](std::vector<InstanceUsage> usage) { promise->set_value(std::move(usage)); });
      });
      if (answer.wait_for(kUsageWithin) != std::future_status::ready) continue;
      for (InstanceUsage& usage : answer.get()) {
        all.push_back({.service = std::move(usage.service),
                       .instance = std::move(usage.instance),
                       .endpoint = std::move(usage.endpoint),
                       .cpu_seconds = usage.cpu_seconds,
                       .memory_bytes = usage.memory_bytes});
      }
    }
    return all;
  }

  void TakeSignals(int signals) {
    signalfd_siginfo info{};
    while (read(signals, &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGHUP) {
        BeginReload();
      } else if (ends_.request_stop()) {  // the first one
        LeaveInTime();
        courier_.ToTick([this] { stopping_ = true; });
      }
    }
  }

  // One at a time. What changes while one is under way may have been read already: it is followed
  // by one more, however many were asked for.
  void BeginReload() {
    if (ends_.stop_requested()) return;  // it would not be waited for
    if (reloads_wanted_.fetch_add(1) > 0) return;
    if (reload_.joinable()) reload_.join();
    reload_ = std::thread([this] {
      for (int seen = 0; reloads_wanted_.fetch_sub(seen) > seen;) {
        seen = reloads_wanted_;
        (void)controller_->Reload(false);  // it logs what came of it
      }
    });
  }

  // Ends the servers while the tick thread still answers the calls they are serving.
  void Close() {
    std::atomic<bool> closed{false};
    std::thread closer([&] {
      control_.reset();
      telemetry_.reset();
      if (reload_.joinable()) reload_.join();
      closed = true;
    });
    while (!closed) {
      inbox_.RunFor(Millis(20));
      controller_->Step();
    }
    closer.join();
    controller_->Finish();
  }

  const Options options_;
  const DaemonSpec spec_;
  const std::string text_ = TextOf(options_.config);  // as it was at the start
  Counters counters_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<SteadyClock> clock_;
  OffsetWatch clock_watch_;
  std::unique_ptr<PolicyWorker> worker_;
  EventLoop loop_;
  HttpClient http_{loop_, 16};
  HttpClient prometheus_http_{loop_, spec_.prometheus.max_connections};
  Inbox inbox_;
  ThreadCourier courier_{loop_, inbox_};
  std::unique_ptr<PrometheusClient> prometheus_;
  std::unique_ptr<PrometheusSource> metrics_;
  HttpModelSource models_{http_, courier_};
  PluginHost plugins_{loop_, LogPlugin};
  std::vector<std::unique_ptr<Provider>> providers_;
  std::vector<std::unique_ptr<Gateway>> gateways_;
  Adapters live_, recording_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<TelemetryServer> telemetry_;
  std::unique_ptr<ControlServer> control_;
  std::thread io_;
  std::thread reload_;
  std::atomic<int> reloads_wanted_{0};
  std::stop_source ends_;  // a signal has come
  bool stopping_ = false;  // tick thread
};

int Main(int argc, char** argv) {
  ReturnLargeBlocks();
  int exit_code = 0;
  const std::optional<Options> options = ParseOptions(argc, argv, &exit_code);
  if (!options) return exit_code;

  if (options->fault_points) {
    std::printf("%s", ListFaultPoints().c_str());
    return 0;
  }
  if (const Status armed = ArmFaultPoint(); !armed.ok()) {
    std::fprintf(stderr, "autoscaled: %s\n", armed.error().message.c_str());
    return 2;
  }

  if (!options->check_config) KeepHangups();
  LoadResult loaded = LoadAndCheck(options->config, options->dry_run);
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    std::fprintf(stderr, "%s\n", ToString(diagnostic).c_str());
  }
  if (!loaded.ok()) return 2;
  if (options->check_config) {
    std::printf("%s: fine, %zu services\n", options->config.c_str(),
                loaded.configuration.services.size());
    return 0;
  }
  const int signals = BlockSignals();
  std::optional<BoundedStart> bounded(std::in_place);
  if (const Status logging = StartLogging(loaded.configuration.daemon.log); !logging.ok()) {
    std::fprintf(stderr, "autoscaled: %s\n", logging.error().message.c_str());
    return 1;
  }
  if (IsFaultPointArmed()) LogWarning("a fault point is armed: this daemon will kill itself");
  Daemon daemon(*options, loaded.configuration.daemon);
  if (const Status started = daemon.Start(loaded.configuration.services); !started.ok()) {
    LogError("cannot start", {{"error", started.error().message}});
    std::fprintf(stderr, "autoscaled: %s\n", started.error().message.c_str());
    return 1;
  }
  const size_t services = loaded.configuration.services.size();
  loaded = {};
  bounded.reset();  // Run takes the signals
  daemon.Run(signals, services);
  return 0;
}

}  // namespace
}  // namespace autoscale

int main(int argc, char** argv) { return autoscale::Main(argc, argv); }
