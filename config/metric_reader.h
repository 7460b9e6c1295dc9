// Reads metric definitions and the ways services use them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/spec.h"

namespace autoscale {

struct MetricDefinition {
  std::shared_ptr<const MetricSpec> spec;
  std::vector<std::string> key_values;  // parallel to spec->key_labels; may hold {{service}}
};
using MetricTable = std::map<std::string, MetricDefinition>;

// Where `shared` looks a metric up, nearest first.
struct MetricScope {
  const MetricTable* file = nullptr;    // of a file with a list of services; may be null
  const MetricTable* daemon = nullptr;  // null: no daemon file was given
  std::string daemon_file;              // as messages show it
};

// Reads the section's `metrics`. A faulty definition is in the table all the same, so that its uses
// are not faults too.
MetricTable ReadMetricTable(Section& section);

// Reads a service's own `metrics`: definitions, and uses of shared ones.
std::vector<MetricUse> ReadMetricUses(Section& section, const std::string& service,
                                      const MetricScope& scope);

}  // namespace autoscale
