// Situations: a policy with random parameters in a random moment of a service, for what must hold
// in each of them. One number, the seed, makes a whole situation.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulator/step.h"
#include "tests/random.h"

namespace autoscale {

// A metric as a policy uses it.
struct MetricRole {
  std::string name;
  Unit unit = Unit::kRatio;
  double usual = 1;          // values are mostly up to twice this
  bool is_load = true;       // more of it never means fewer instances
  bool needed = true;        // without it nothing may be removed
  bool by_instance = false;  // may be kept apart by instance
};

struct Situation {
  std::string policy;  // "keda"
  ServiceSpec service;
  std::vector<MetricRole> roles;  // parallel to the service's metrics
  StepInput input;                // all metrics usable

  [[nodiscard]] std::string Told() const;
};

// How many policies there are: those we ship, and some that use the rest of the library.
int CountPolicies();

// What a policy may have kept and what may have been decided before: some ticks were run. All by
// `random`, in `host`, whose policy is number `policy`.
Situation RandomSituation(Random& random, PolicyHost& host, int policy);

// A usable sample of the metric.
Sample UsableSample(Random& random, const MetricRole& role, const Capacity& capacity);
// One in that state, with all that a policy must not fall for.
Sample UnusableSample(Random& random, const MetricRole& role, SampleState state);
// The same with more load, each instance more or the same.
Sample Raised(Random& random, const Sample& sample);

}  // namespace autoscale
