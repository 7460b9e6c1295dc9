#include "daemon/telemetry/exposition.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <sstream>
#include <string_view>
#include <utility>

#include "daemon/telemetry/log.h"
#include "daemon/telemetry/process.h"

namespace autoscale {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;
// The daemon's own families go through prometheus-cpp. Those that grow with the services are
// written here in the same form: its tree of samples costs ten times the CPU and three times the
// memory.
class Page {
 public:
  void Single(const char* name, const char* help, MetricType type, double value,
              std::vector<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    std::ostringstream out;
    serializer_.Serialize(out, {{name, help, type, {std::move(metric)}}});
    text_ += out.str();
  }

  // Begins a family; one without samples is left out.
  void Begin(const char* name, const char* help, const char* type) {
    name_ = name;
    head_ = std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  // A finite value; `labels` are written by Label.
  void Add(std::string_view labels, double value) {
    text_ += std::exchange(head_, {});
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text_.append(name_).append("{").append(labels).append("} ").append(digits.data(), end) += '\n';
  }

  void Reserve(size_t bytes) { text_.reserve(bytes); }
  std::string Take() { return std::move(text_); }

 private:
  prometheus::TextSerializer serializer_;
  std::string text_, head_;
  std::string_view name_;
};

// name="value", escaped.
std::string Label(std::string_view name, std::string_view value) {
  std::string label;
  label.reserve(name.size() + value.size() + 3);
  label.append(name).append("=\"");
  for (const char c : value) {
    if (c == '\n') {
      label += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') label += '\\';
    label += c;
  }
  return label += '"';
}

struct CounterText {
  const char* name;
  const char* help;
  std::atomic<uint64_t> Counters::*counter;
};

constexpr CounterText kCounters[] = {
    {"autoscaled_ticks_total", "Passes over the services that were due.", &Counters::ticks},
    {"autoscaled_ticks_skipped_total", "Passes skipped because the one before had not ended.",
     &Counters::ticks_skipped},
    {"autoscaled_evaluations_total", "Policy evaluations.", &Counters::evaluations},
    {"autoscaled_policy_faults_total", "Evaluations in which the policy failed or was stopped.",
     &Counters::policy_faults},
    {"autoscaled_policy_quarantined_total",
     "Evaluations that were holds because the policy is quarantined.", &Counters::quarantined},
    {"autoscaled_policy_unserved_total",
     "Evaluations that were holds because policies had used up the time of a tick.",
     &Counters::policies_unserved},
    {"autoscaled_worker_restarts_total", "Policy workers started again after they ended.",
     &Counters::worker_restarts},
    {"autoscaled_decisions_out_total", "Decisions for more instances.", &Counters::decisions_out},
    {"autoscaled_decisions_in_total", "Decisions for fewer instances.", &Counters::decisions_in},
    {"autoscaled_holds_for_metrics_total", "Capacities held because a metric was not usable.",
     &Counters::holds_for_metrics},
    {"autoscaled_queries_total", "Queries sent to Prometheus.", &Counters::queries},
    {"autoscaled_query_errors_total", "Queries that failed, timed out or answered nonsense.",
     &Counters::query_errors},
    {"autoscaled_prometheus_failovers_total",
     "Changes of the Prometheus endpoint in use, because it failed and another answered.",
     &Counters::prometheus_failovers},
    {"autoscaled_history_queries_total", "Range queries sent to Prometheus, for derived metrics.",
     &Counters::history_queries},
    {"autoscaled_history_query_errors_total", "Range queries that failed.",
     &Counters::history_errors},
    {"autoscaled_forecasts_fitted_total", "Forecasts learned anew from a metric's history.",
     &Counters::forecasts_fitted},
    {"autoscaled_model_requests_total", "Requests sent to models outside, for predicted metrics.",
     &Counters::model_requests},
    {"autoscaled_model_errors_total", "Requests to models outside that failed.",
     &Counters::model_errors},
    {"autoscaled_instances_started_total", "Instances that providers were asked to start.",
     &Counters::instances_started},
    {"autoscaled_instances_stopped_total", "Instances that providers were asked to stop.",
     &Counters::instances_stopped},
    {"autoscaled_instances_lost_total", "Instances that ended without having been asked to.",
     &Counters::instances_lost},
    {"autoscaled_gateway_publishes_total", "Upstream lists sent to gateways.",
     &Counters::gateway_publishes},
    {"autoscaled_gateway_errors_total", "Calls to gateways that failed.",
     &Counters::gateway_errors},
    {"autoscaled_store_commits_total", "Transactions committed to the state database.",
     &Counters::store_commits},
    {"autoscaled_store_errors_total", "Transactions that failed.", &Counters::store_errors},
    {"autoscaled_reloads_total", "Configurations loaded while running.", &Counters::reloads},
    {"autoscaled_reload_errors_total", "Configurations refused while running.",
     &Counters::reload_errors},
};

void AddCounters(Page& page, const Counters& counters) {
  for (const CounterText& text : kCounters) {
    page.Single(text.name, text.help, MetricType::Counter,
                static_cast<double>((counters.*text.counter).load(std::memory_order_relaxed)));
  }
  page.Single(
      "autoscaled_tick_seconds_total", "Time spent in ticks, from the answers' arrival to the end.",
      MetricType::Counter,
      static_cast<double>(counters.tick_microseconds.load(std::memory_order_relaxed)) / 1e6);
  page.Single(
      "autoscaled_clock_offset_seconds", "The daemon's time minus the wall clock.",
      MetricType::Gauge,
      static_cast<double>(counters.clock_offset_millis.load(std::memory_order_relaxed)) / 1e3);
}

struct GaugeText {
  const char* name;
  const char* help;
  double (*read)(const ServiceGauges&);
};

constexpr GaugeText kGauges[] = {
    {"autoscaled_service_desired_instances", "The capacity decided.",
     [](const ServiceGauges& s) -> double { return s.desired; }},
    {"autoscaled_service_ready_instances", "Instances that pass their health check.",
     [](const ServiceGauges& s) -> double { return s.ready; }},
    {"autoscaled_service_draining_instances", "Instances that end their last requests.",
     [](const ServiceGauges& s) -> double { return s.draining; }},
    {"autoscaled_service_min_instances", "The least capacity allowed.",
     [](const ServiceGauges& s) -> double { return s.min; }},
    {"autoscaled_service_max_instances", "The greatest capacity allowed.",
     [](const ServiceGauges& s) -> double { return s.max; }},
    {"autoscaled_service_dry_run", "1 while decisions are only recorded.",
     [](const ServiceGauges& s) -> double { return s.dry_run; }},
    {"autoscaled_service_paused", "1 while an operator has paused scaling.",
     [](const ServiceGauges& s) -> double { return s.paused; }},
    {"autoscaled_service_problem", "1 while something is wrong; autoscalectl status says what.",
     [](const ServiceGauges& s) -> double { return s.problem; }},
    {"autoscaled_service_breaker_open",
     "1 while actions have kept failing and the service is left as it is.",
     [](const ServiceGauges& s) -> double { return s.breaker; }},
    {"autoscaled_service_quarantined",
     "1 while the policy is not run because of what it has cost before.",
     [](const ServiceGauges& s) -> double { return s.quarantined; }},
    {"autoscaled_service_cost_per_hour", "What the desired instances cost an hour.",
     [](const ServiceGauges& s) -> double { return s.cost_per_hour; }},
    {"autoscaled_service_holding",
     "1 while a metric that the policy needs is not usable, or the policy fails.",
     [](const ServiceGauges& s) -> double { return s.holding; }},
};

void AddServices(Page& page, const std::vector<ServiceGauges>& services,
                 const std::vector<std::string>& labels) {
  for (const GaugeText& text : kGauges) {
    page.Begin(text.name, text.help, "gauge");
    for (size_t i = 0; i < services.size(); ++i) page.Add(labels[i], text.read(services[i]));
  }
  double cost = 0;
  for (const ServiceGauges& service : services) cost += service.cost_per_hour;
  page.Single("autoscaled_fleet_cost_per_hour", "What all desired instances cost an hour.",
              MetricType::Gauge, cost);
}

void AddShadows(Page& page, const std::vector<ServiceGauges>& services,
                const std::vector<std::string>& labels) {
  page.Begin(
      "autoscaled_shadow_agreement_ratio",
      "Of the ticks in which a policy is tried beside the live one, those in which both want "
      "the same capacity.",
      "gauge");
  for (size_t i = 0; i < services.size(); ++i) {
    if (services[i].shadow_agreement) page.Add(labels[i], *services[i].shadow_agreement);
  }
  page.Begin("autoscaled_shadow_faults_total", "Ticks in which the policy that is tried failed.",
             "counter");
  for (size_t i = 0; i < services.size(); ++i) {
    if (!services[i].shadow_agreement) continue;
    page.Add(labels[i], static_cast<double>(services[i].shadow_faults));
  }
}

// One family of the services' metrics; `read` answers nothing where there is no such number.
template <typename Read>
void AddMetricGauge(Page& page, const std::vector<ServiceGauges>& services,
                    const std::vector<std::string>& labels, const Read& read) {
  for (size_t i = 0; i < services.size(); ++i) {
    for (const ServiceGauges::Metric& metric : services[i].metrics) {
      const std::optional<double> value = read(metric);
      if (!value || !std::isfinite(*value)) continue;
      page.Add(labels[i] + "," + Label("metric", metric.name), *value);
    }
  }
}

void AddMetrics(Page& page, const std::vector<ServiceGauges>& services,
                const std::vector<std::string>& labels) {
  using Metric = ServiceGauges::Metric;
  using Number = std::optional<double>;
  const auto is_fresh = [](const Metric& m) { return m.state == SampleState::kFresh; };
  // A number without meaning invites graphs.
  page.Begin("autoscaled_metric_value", "A metric as the policy saw it; absent while not fresh.",
             "gauge");
  AddMetricGauge(page, services, labels,
                 [&](const Metric& m) { return is_fresh(m) ? Number(m.value) : Number(); });
  page.Begin("autoscaled_metric_fresh", "1 when the metric may be acted on.", "gauge");
  AddMetricGauge(page, services, labels,
                 [&](const Metric& m) { return Number(is_fresh(m) ? 1 : 0); });
  page.Begin("autoscaled_metric_state", "Always 1; the label says which state the metric is in.",
             "gauge");
  for (size_t i = 0; i < services.size(); ++i) {
    for (const Metric& metric : services[i].metrics) {
      page.Add(labels[i] + "," + Label("metric", metric.name) + "," +
                   Label("state", ToString(metric.state)),
               1);
    }
  }
  page.Begin("autoscaled_metric_age_seconds",
             "Age of the newest data behind the metric; absent while there is none.", "gauge");
  AddMetricGauge(page, services, labels,
                 [](const Metric& m) { return m.age_s ? Number(*m.age_s) : Number(); });
  page.Begin("autoscaled_metric_coverage_ratio",
             "Series behind the metric, as a share of what is expected.", "gauge");
  AddMetricGauge(page, services, labels,
                 [](const Metric& m) { return m.coverage ? Number(*m.coverage) : Number(); });
  page.Begin("autoscaled_metric_substituted",
             "1 while when_empty, when_nan or a fallback stands in for the metric; else absent.",
             "gauge");
  AddMetricGauge(page, services, labels,
                 [](const Metric& m) { return m.substituted ? Number(1) : Number(); });
}

void AddPrometheus(Page& page, const std::vector<EndpointGauges>& endpoints) {
  page.Begin("autoscaled_prometheus_in_use", "1 for the endpoint that queries go to first.",
             "gauge");
  for (const EndpointGauges& endpoint : endpoints) {
    page.Add(Label("endpoint", endpoint.url), endpoint.in_use ? 1 : 0);
  }
  page.Begin("autoscaled_prometheus_up",
             "1 when the last query to the endpoint was answered; absent before the first.",
             "gauge");
  for (const EndpointGauges& endpoint : endpoints) {
    if (endpoint.up) page.Add(Label("endpoint", endpoint.url), *endpoint.up ? 1 : 0);
  }
}

void AddUsage(Page& page, const std::vector<UsageView>& usage) {
  std::vector<std::string> labels;
  labels.reserve(usage.size());
  for (const UsageView& view : usage) {
    labels.push_back(Label("service", view.service) + "," + Label("instance_id", view.instance) +
                     "," + Label("endpoint", view.endpoint));
  }
  page.Begin("autoscaled_instance_cpu_seconds_total", "CPU time that an instance has used.",
             "counter");
  for (size_t i = 0; i < usage.size(); ++i) {
    if (usage[i].cpu_seconds) page.Add(labels[i], *usage[i].cpu_seconds);
  }
  page.Begin("autoscaled_instance_memory_bytes", "Resident memory of an instance.", "gauge");
  for (size_t i = 0; i < usage.size(); ++i) {
    if (usage[i].memory_bytes) page.Add(labels[i], *usage[i].memory_bytes);
  }
}

// The names that every exporter uses for its own process.
void AddProcess(Page& page) {
  page.Single("autoscaled_build_info", "Always 1; the labels say which build runs.",
              MetricType::Gauge, 1, {{"version", AUTOSCALED_VERSION}});
  page.Single("autoscaled_log_lines_lost_total",
              "Lines of the log that were not written: nobody read it, or its file took none.",
              MetricType::Counter, static_cast<double>(LogLinesLost()));
  const auto own = ReadOwnUsage();
  if (!own) return;
  page.Single("process_cpu_seconds_total", "CPU time that the daemon has used.",
              MetricType::Counter, own->cpu_seconds);
  page.Single("process_resident_memory_bytes", "Resident memory of the daemon.", MetricType::Gauge,
              own->resident_bytes);
  page.Single("process_open_fds", "File descriptors that the daemon has open.", MetricType::Gauge,
              own->open_descriptors);
  page.Single("process_threads", "Threads of the daemon.", MetricType::Gauge, own->threads);
  page.Single("process_start_time_seconds", "When the daemon started, in unix seconds.",
              MetricType::Gauge, own->start_unix_seconds);
}

}  // namespace

std::string RenderMetrics(const Counters& counters, const std::vector<ServiceGauges>& services,
                          const std::vector<UsageView>& usage,
                          const std::vector<EndpointGauges>& prometheus) {
  std::vector<std::string> labels;
  labels.reserve(services.size());
  size_t metrics = 0;
  for (const ServiceGauges& service : services) {
    labels.push_back(Label("service", service.name));
    metrics += service.metrics.size();
  }
  constexpr size_t kLine = 96;  // bytes, what most lines stay below
  Page page;
  page.Reserve(kLine *
               (100 + services.size() * std::size(kGauges) + metrics * 5 + usage.size() * 2));
  AddProcess(page);
  AddCounters(page, counters);
  AddPrometheus(page, prometheus);
  AddServices(page, services, labels);
  AddShadows(page, services, labels);
  AddMetrics(page, services, labels);
  AddUsage(page, usage);
  return page.Take();
}

}  // namespace autoscale
