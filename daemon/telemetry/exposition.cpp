#include "daemon/telemetry/exposition.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "daemon/telemetry/process.h"

namespace autoscale {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Writes family by family: only the text grows with the services, not a tree of all samples.
class Page {
 public:
  Page() : family_(1) {}

  void Begin(const char* name, const char* help, MetricType type, size_t expected = 1) {
    family_[0].name = name;
    family_[0].help = help;
    family_[0].type = type;
    family_[0].metric.clear();
    family_[0].metric.reserve(expected);
  }
  void Add(double value, Labels labels = {}) {
    ClientMetric& metric = family_[0].metric.emplace_back();
    metric.label = std::move(labels);
    (family_[0].type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  }
  // A family without samples is left out.
  void End() {
    if (!family_[0].metric.empty()) serializer_.Serialize(text_, family_);
  }
  void Single(const char* name, const char* help, MetricType type, double value) {
    Begin(name, help, type);
    Add(value);
    End();
  }
  std::string Take() { return std::move(text_).str(); }

 private:
  std::vector<prometheus::MetricFamily> family_;
  prometheus::TextSerializer serializer_;
  std::ostringstream text_;
};

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
    {"autoscaled_worker_restarts_total", "Policy workers started again after they ended.",
     &Counters::worker_restarts},
    {"autoscaled_decisions_out_total", "Decisions for more instances.", &Counters::decisions_out},
    {"autoscaled_decisions_in_total", "Decisions for fewer instances.", &Counters::decisions_in},
    {"autoscaled_holds_for_metrics_total", "Capacities held because a metric was not usable.",
     &Counters::holds_for_metrics},
    {"autoscaled_queries_total", "Queries sent to Prometheus.", &Counters::queries},
    {"autoscaled_query_errors_total", "Queries that failed, timed out or answered nonsense.",
     &Counters::query_errors},
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
};

void AddServices(Page& page, const std::vector<ServiceGauges>& services) {
  for (const GaugeText& text : kGauges) {
    page.Begin(text.name, text.help, MetricType::Gauge, services.size());
    for (const ServiceGauges& service : services) {
      page.Add(text.read(service), {{"service", service.name}});
    }
    page.End();
  }
}

// The value of a metric that is not fresh is left out: a number without meaning invites graphs.
void AddMetrics(Page& page, const std::vector<ServiceGauges>& services) {
  size_t total = 0;
  for (const ServiceGauges& service : services) total += service.metrics.size();

  page.Begin("autoscaled_metric_value", "A metric as the policy saw it; absent while not fresh.",
             MetricType::Gauge, total);
  for (const ServiceGauges& service : services) {
    for (const ServiceGauges::Metric& metric : service.metrics) {
      if (metric.fresh)
        page.Add(metric.value, {{"service", service.name}, {"metric", metric.name}});
    }
  }
  page.End();
  page.Begin("autoscaled_metric_fresh", "1 when the metric may be acted on.", MetricType::Gauge,
             total);
  for (const ServiceGauges& service : services) {
    for (const ServiceGauges::Metric& metric : service.metrics) {
      page.Add(metric.fresh ? 1 : 0, {{"service", service.name}, {"metric", metric.name}});
    }
  }
  page.End();
}

Labels InstanceLabels(const UsageView& view) {
  return {{"service", view.service}, {"instance_id", view.instance}, {"endpoint", view.endpoint}};
}

void AddUsage(Page& page, const std::vector<UsageView>& usage) {
  page.Begin("autoscaled_instance_cpu_seconds_total", "CPU time that an instance has used.",
             MetricType::Counter, usage.size());
  for (const UsageView& view : usage) page.Add(view.cpu_seconds, InstanceLabels(view));
  page.End();
  page.Begin("autoscaled_instance_memory_bytes", "Resident memory of an instance.",
             MetricType::Gauge, usage.size());
  for (const UsageView& view : usage) page.Add(view.memory_bytes, InstanceLabels(view));
  page.End();
}

// The names that every exporter uses for its own process.
void AddProcess(Page& page) {
  page.Begin("autoscaled_build_info", "Always 1; the labels say which build runs.",
             MetricType::Gauge);
  page.Add(1, {{"version", AUTOSCALED_VERSION}});
  page.End();
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
                          const std::vector<UsageView>& usage) {
  Page page;
  AddProcess(page);
  AddCounters(page, counters);
  AddServices(page, services);
  AddMetrics(page, services);
  AddUsage(page, usage);
  return page.Take();
}

}  // namespace autoscale
