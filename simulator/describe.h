// Describe: a simulated tick in words, for a failed test.
#pragma once

#include <string>

#include "engine/model/decision.h"
#include "simulator/simulation.h"

namespace autoscale {

// "4 -> 6: cpu is above its target; rate: at most 2", the stages that there were and what the
// metrics showed, a line each, indented.
std::string Describe(const SimulatedTick& tick, const ServiceSpec& service,
                     const std::string& indent);

// "web.lua:7: 4 -> 7 (track): the reason".
std::string Describe(const Proposal& proposal);

}  // namespace autoscale
