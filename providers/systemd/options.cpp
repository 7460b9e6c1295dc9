#include "providers/systemd/options.h"

#include <unistd.h>

namespace autoscale {
namespace {

void ParseUnit(Section& section, SystemdTarget& target) {
  const std::string name = section.RequiredString("unit");
  if (name.empty()) return;
  auto unit = UnitTemplate::Parse(name);
  if (unit.ok()) {
    target.unit = *std::move(unit);
  } else {
    section.Fault("unit", unit.error().message);
  }
}

void ParseBus(Section& section, SystemdTarget& target) {
  static const std::vector<std::string> kManagers = {"system", "user"};
  // Who is not root has a manager of its own, and there needs nobody's leave.
  const size_t usual = geteuid() == 0 ? 0 : 1;
  target.bus = kManagers[section.Choice("manager", usual, kManagers)];
  const std::string address = section.String("bus");
  if (!section.Has("bus")) return;
  if (section.Has("manager")) {
    section.Fault("bus", "say one of manager and bus");
  } else if (!address.starts_with("unix:")) {
    section.Fault("bus",
                  "bus must be the address of a socket on this machine, such as "
                  "unix:path=/run/systemd/private");
  }
  target.bus = address;
}

}  // namespace

std::string SystemdTarget::identity() const { return unit.name() + " of " + bus; }

int SystemdTarget::PortOf(const std::string& name) const {
  const int port = unit.PortOf(name);
  return port >= first_port && port <= last_port ? port : 0;
}

std::shared_ptr<const ProviderTarget> ParseSystemdTarget(Section& section,
                                                         const std::string& /*service*/) {
  auto target = std::make_shared<SystemdTarget>();
  section.String("type");  // read by whoever chose this parser
  ParseUnit(section, *target);
  ParseBus(section, *target);
  ParsePorts(section, target->first_port, target->last_port);
  target->host = ParseHost(section, target->host);
  target->health = ParseHealth(section);
  target->stop_timeout = section.Duration("stop_timeout", target->stop_timeout,
                                          {.min = Millis(100), .max = std::chrono::hours(1)});
  section.Finish();
  return target;
}

}  // namespace autoscale
