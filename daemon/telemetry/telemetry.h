// Telemetry: /metrics (prometheus-cpp's text form), /healthz and /readyz from one listener.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/view.h"
#include "engine/model/metric.h"
#include "engine/model/result.h"

namespace autoscale {

// Counters of the whole daemon; incremented from any thread, read at a scrape.
struct Counters {
  std::atomic<uint64_t> ticks{0};
  std::atomic<uint64_t> ticks_skipped{0};      // due while the previous one had not ended
  std::atomic<uint64_t> tick_microseconds{0};  // sum, from the answers' arrival to the end
  std::atomic<uint64_t> evaluations{0};
  std::atomic<uint64_t> policy_faults{0};
  std::atomic<uint64_t> worker_restarts{0};
  std::atomic<uint64_t> quarantined{0};        // evaluations
  std::atomic<uint64_t> policies_unserved{0};  // evaluations for which a tick had no time
  std::atomic<uint64_t> decisions_out{0}, decisions_in{0}, holds_for_metrics{0};
  std::atomic<uint64_t> queries{0}, query_errors{0}, prometheus_failovers{0};
  std::atomic<uint64_t> history_queries{0}, history_errors{0};  // for derived metrics
  std::atomic<uint64_t> forecasts_fitted{0};
  std::atomic<uint64_t> model_requests{0}, model_errors{0};
  std::atomic<uint64_t> instances_started{0}, instances_stopped{0}, instances_lost{0};
  std::atomic<uint64_t> gateway_publishes{0}, gateway_errors{0};
  std::atomic<uint64_t> store_commits{0}, store_errors{0};
  std::atomic<uint64_t> reloads{0}, reload_errors{0};
  // No counter: the daemon's time minus the wall clock, now.
  std::atomic<int64_t> clock_offset_millis{0};
};

struct UsageView {
  std::string service, instance, endpoint;
  std::optional<double> cpu_seconds, memory_bytes;  // absent: not measured
};

// One of the Prometheus endpoints that queries go to.
struct EndpointGauges {
  std::string url;
  bool in_use = false;
  std::optional<bool> up;  // whether its last query was answered; absent: none yet
};

// One service's gauges at a scrape.
struct ServiceGauges {
  std::string name;
  int desired = 0, ready = 0, draining = 0, min = 0, max = 0;
  bool dry_run = false, paused = false, problem = false, breaker = false;
  bool holding = false;      // a metric or the policy's own fault keeps it from deciding
  bool quarantined = false;  // its policy is not run, because of what it has cost before
  double cost_per_hour = 0;  // of what is desired
  struct Metric {
    std::string name;
    double value = 0;
    SampleState state = SampleState::kEmpty;
    std::optional<float> age_s, coverage;
    bool substituted = false;
  };
  std::vector<Metric> metrics;
  // Of the policy tried beside the live one; absent: there is none, or it was not evaluated yet.
  std::optional<double> shadow_agreement;  // 0 to 1
  int64_t shadow_faults = 0;
};

// Where a scrape gets its facts; called on the listener's threads, bounded in time.
struct TelemetrySources {
  std::function<std::vector<ServiceGauges>()> services;  // empty when the tick thread is busy
  std::function<std::vector<UsageView>()> usage;
  std::function<std::vector<EndpointGauges>()> prometheus;
  // Empty: alive and well; else the sentence that /healthz answers with 503.
  std::function<std::string()> unhealthy;
  // Empty: deciding; else what it still waits for.
  std::function<std::string()> unready;
};

class HttpServer;

class TelemetryServer {
 public:
  // Listens on an IPv4 address; port 0 takes any free one. `counters` outlives the server.
  static Result<std::unique_ptr<TelemetryServer>> Start(const std::string& address, int port,
                                                        const Counters& counters,
                                                        TelemetrySources sources);
  ~TelemetryServer();
  [[nodiscard]] int port() const;

 private:
  explicit TelemetryServer(std::unique_ptr<HttpServer> server);
  std::unique_ptr<HttpServer> server_;
};

}  // namespace autoscale
