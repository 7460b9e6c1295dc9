// The ways in which Prometheus, or what lies before it, answers wrongly: one row each.
#pragma once

#include <string>
#include <vector>

#include "tests/fakes/prometheus.h"
#include "tests/sanitized.h"

namespace autoscale {

// Milliseconds: of the daemon that meets the faults.
inline constexpr int kQueryTimeout = 400 * kSlower;

// The answer to the query of `service` at `now` while the fault lasts.
using FaultyAnswer = FakeAnswer (*)(const std::string& service, double now);

struct FaultRow {
  std::string name;  // also the service's
  FaultyAnswer answer;
  std::string state;                 // of the sample while it lasts
  std::vector<std::string> phrases;  // that `explain` and the log say; empty: nothing is wrong
  // Of the metric that meets it.
  bool series = true;  // it asks for age and number of the series behind it
  int expect = 1;      // series
};

// With a load of 2 before. What each suggests, if believed: another capacity, mostly a smaller one.
const std::vector<FaultRow>& FaultRows();

}  // namespace autoscale
