// Setup: what is simulated, written in the words of a service's file.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/section.h"
#include "config/spec.h"
#include "engine/model/result.h"
#include "simulator/simulation.h"

namespace autoscale {

struct Setup {
  ServiceSpec service;
  PolicyLimits limits;
  SimulationStart start;
};

// Reads YAML with the keys of a service's file, of which only `max` is required, and besides:
//   start, start_delay, desired            when the clock begins, how long instances take, how many
//   service_file, name, daemon_file        instead of all the others: a service as it is configured
// A metric needs no query (`cpu: ratio` is enough), and a policy that is not named is
// `default_policy`. `file` is what messages and relative paths go by; `also_known` are keys that
// the caller took out, for messages. Blocks on file reads. Answers nothing, and an error among the
// diagnostics, when it cannot be simulated.
std::optional<Setup> ReadSetup(const std::string& file, std::string text,
                               const std::string& default_policy,
                               std::vector<Diagnostic>* diagnostics,
                               std::span<const char* const> also_known = {});

// "2026-03-29T00:00:00Z", also without seconds or with an offset such as +02:00. Error: a sentence
// that shows the form.
Result<TimePoint> ParseTime(std::string_view text);

}  // namespace autoscale
