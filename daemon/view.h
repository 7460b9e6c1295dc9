// Views: the daemon's state as values, for the API and telemetry. Built by the controller.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/model/snapshot.h"
#include "engine/model/time.h"
#include "engine/record/shadow.h"

namespace autoscale {

struct InstanceView {
  std::string id;
  std::string phase;          // "requested", "starting", "serving", "draining", "stopping"
  std::string endpoint;       // empty while unknown
  std::string detail;         // one phrase when something is to be said
  TimePoint since;            // of the phase
  int in_flight = -1;         // requests while draining; -1: not known
  bool is_protected = false;  // no scale-in takes it away
  std::optional<TimePoint> protected_until;  // absent: until a person says so
  std::string protect_reason;
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
  double cost_per_hour = 0;              // of what is desired; 0: it costs nothing
  bool breaker = false;                  // open: it is left as it is until a person has looked
  std::vector<InstanceView> instances;   // by id
  std::vector<GatewayView> gateways;
};

struct ShadowView {
  std::string service;
  std::string live_policy;
  std::string policy;
  double cost_per_hour = 0;  // of one instance; 0: not known
  ShadowAccount account;
};

}  // namespace autoscale
