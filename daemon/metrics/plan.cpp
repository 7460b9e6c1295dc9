#include "daemon/metrics/plan.h"

#include <algorithm>
#include <unordered_map>

namespace autoscale {
namespace {

constexpr std::string_view kTemplate = "{{service}}";

std::string Expand(std::string text, const std::string& service) {
  for (size_t at = text.find(kTemplate); at != std::string::npos;
       at = text.find(kTemplate, at + service.size())) {
    text.replace(at, kTemplate.size(), service);
  }
  return text;
}

bool IsTemplate(const MetricSpec& spec) {
  return spec.query.find(kTemplate) != std::string::npos ||
         spec.series.find(kTemplate) != std::string::npos;
}

}  // namespace

MetricQuery QueryOf(const MetricSpec& spec, const std::string& service) {
  return {.value = Expand(spec.query, service),
          .series = Expand(spec.series, service),
          .by = spec.key_labels,
          .instance_label = spec.instance_label};
}

std::string QueryIdentity(const MetricQuery& query) {
  std::string identity = query.value + '\x1e' + query.series + '\x1e' + query.instance_label;
  for (const std::string& label : query.by) identity += '\x1e' + label;
  return identity;
}

std::vector<PlannedQuery> PlanQueries(
    const std::vector<std::shared_ptr<const ServiceSpec>>& services) {
  std::vector<PlannedQuery> plan;
  std::unordered_map<std::string, size_t> by_text;
  std::unordered_map<const MetricSpec*, size_t> by_spec;

  for (uint32_t s = 0; s < services.size(); ++s) {
    for (uint32_t m = 0; m < services[s]->metrics.size(); ++m) {
      const MetricSpec& spec = *services[s]->metrics[m].spec;
      if (spec.derived != nullptr) continue;
      const bool shared = !IsTemplate(spec);
      size_t at = plan.size();
      if (const auto known = by_spec.find(&spec); shared && known != by_spec.end()) {
        at = known->second;
      } else {
        MetricQuery query = QueryOf(spec, services[s]->name);
        at = by_text.try_emplace(QueryIdentity(query), plan.size()).first->second;
        if (at == plan.size()) plan.push_back({.query = std::move(query)});
        if (shared) by_spec[&spec] = at;
      }
      plan[at].uses.push_back({s, m});
    }
  }
  for (PlannedQuery& planned : plan) {
    std::sort(planned.uses.begin(), planned.uses.end(),
              [&](const PlannedUse& a, const PlannedUse& b) {
                return services[a.service]->metrics[a.metric].key <
                       services[b.service]->metrics[b.metric].key;
              });
    planned.uses.shrink_to_fit();
  }
  return plan;
}

}  // namespace autoscale
