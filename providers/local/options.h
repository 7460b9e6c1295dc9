// What providers of instances on this machine read alike from their sections.
#pragma once

#include <string>

#include "config/section.h"
#include "engine/model/time.h"

namespace autoscale {

struct HealthOptions {
  std::string path;         // of an HTTP request that must answer 2xx; empty: a TCP connection
  std::string body;         // sent with POST, as JSON; empty: the request is a GET
  std::string contains;     // must stand in the answer
  Millis interval{500};     // between checks; while starting at most 100 ms
  Millis timeout{1000};     // of one check
  int healthy_after = 1;    // passes in a row
  int unhealthy_after = 3;  // failures in a row
};

// Each reads its own keys of a provider's section, with faults there: `health` or another key that
// says the same, `ports` (required; first and last), `host` (the fallback when absent).
HealthOptions ParseHealth(Section& section, const std::string& key = "health");
void ParsePorts(Section& section, int& first, int& last);
std::string ParseHost(Section& section, const std::string& fallback);

}  // namespace autoscale
