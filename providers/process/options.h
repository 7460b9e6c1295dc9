// What a service's `provider: {type: process, ...}` says.
#pragma once

#include <csignal>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/loader.h"
#include "engine/model/time.h"
#include "providers/local/options.h"

namespace autoscale {

struct StopOptions {
  int signal = SIGTERM;
  Millis grace{10000};  // then SIGKILL
};

struct ProcessTarget final : ProviderTarget {
  std::vector<std::string> command;  // never empty
  std::string directory;             // absolute
  std::vector<std::pair<std::string, std::string>> environment;
  std::string host = "127.0.0.1";  // an IPv4 address of this machine
  int first_port = 0;
  int last_port = 0;
  HealthOptions health;
  StopOptions stop;
  uint64_t output_max_bytes = 10u << 20;  // of each output file; twice that with the older part

  // The host and its range of ports: two services may not share one.
  [[nodiscard]] std::string identity() const override;
  [[nodiscard]] std::string place() const override { return {}; }  // by records of its own
  [[nodiscard]] PortRange ports() const override { return {host, first_port, last_port}; }
};

// A TargetParser. Faults go to the section; then the answer may be null.
std::shared_ptr<const ProviderTarget> ParseProcessTarget(Section& section,
                                                         const std::string& service);

// The text with each {name} of the map replaced; other braces stay as they are.
std::string Expand(std::string text, const std::map<std::string, std::string>& values);

}  // namespace autoscale
