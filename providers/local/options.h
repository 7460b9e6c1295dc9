// What providers of instances on this machine read alike from their sections.
#pragma once

#include <string>

#include "config/section.h"
#include "engine/model/time.h"

namespace autoscale {

struct HealthOptions {
  std::string path;         // of an HTTP GET that must answer 2xx; empty: a TCP connection
  Millis interval{500};     // between checks; while starting at most 100 ms
  Millis timeout{1000};     // of one check
  int healthy_after = 1;    // passes in a row
  int unhealthy_after = 3;  // failures in a row
};

// Each reads its own keys of a provider's section, with faults there: `health`, `ports` (required;
// first and last), `host` (the fallback when absent).
HealthOptions ParseHealth(Section& section);
void ParsePorts(Section& section, int& first, int& last);
std::string ParseHost(Section& section, const std::string& fallback);

}  // namespace autoscale
