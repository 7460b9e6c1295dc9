// Reads the definitions of derived metrics, and finds what they are made of.
#pragma once

#include <memory>
#include <vector>

#include "config/section.h"
#include "config/spec.h"

namespace autoscale {

// Reads the required `unit`.
Unit ReadUnit(Section& section);

// Whether a metric's definition says forecast, anomaly or predict.
bool IsDerived(const Section& section);

// Reads the definition of a derived metric, all of it, into a specification that has its name.
void ReadDerived(Section& section, MetricSpec& spec);

// The derived metric with the unit, the sign and the spread that it has from this base; itself
// where it has them already.
std::shared_ptr<const MetricSpec> WithInherited(std::shared_ptr<const MetricSpec> derived,
                                                const MetricSpec& base);

// Finds the base of each derived metric among all that a service uses. `metrics` is where a fault
// is reported.
void FindBases(Section& metrics, std::vector<MetricUse>& uses);

}  // namespace autoscale
