// Views: the daemon's state as values, for the API and telemetry. Built by the controller.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/model/snapshot.h"
#include "engine/model/time.h"

namespace autoscale {

struct InstanceView {
  std::string id;
  std::string phase;     // "requested", "starting", "serving", "draining", "stopping"
  std::string endpoint;  // empty while unknown
  std::string detail;    // one phrase when something is to be said
  TimePoint since;       // of the phase
  int in_flight = -1;    // requests while draining; -1: not known
};

struct GatewayView {
  std::string gateway;
  std::string upstream;
  std::string wanted;     // version "epoch.sequence" that the gateway ought to have
  std::string confirmed;  // version it confirmed last; empty: none yet
  std::string problem;    // empty: fine
};

struct ServiceView {
  std::string name;
  Capacity capacity;
  Bounds bounds;
  int draining = 0;
  std::string policy;
  std::string provider;
  Millis interval{0};
  bool dry_run = false;
  bool paused = false;
  std::string pause_reason;
  std::optional<TimePoint> last_tick;
  std::optional<TimePoint> last_change;  // of desired
  std::string last_reason;               // of the last decision
  std::string problem;                   // why it is not well; empty: it is
  std::vector<InstanceView> instances;   // by id
  std::vector<GatewayView> gateways;
};

}  // namespace autoscale
