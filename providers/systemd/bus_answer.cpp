#include "providers/systemd/bus_answer.h"

#include <systemd/sd-bus.h>

#include <string>

namespace autoscale {
namespace {

Error Garbled() { return {ErrorKind::kUnavailable, "systemd's answer cannot be read"}; }

}  // namespace

Result<std::vector<UnitStatus>> ReadUnits(sd_bus_message* reply) {
  std::vector<UnitStatus> units;
  if (sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0) return Garbled();
  const char *name = nullptr, *active = nullptr, *sub = nullptr, *job = nullptr;
  int more = 0;
  while ((more = sd_bus_message_read(reply, "(ssssssouso)", &name, nullptr, nullptr, &active, &sub,
                                     nullptr, nullptr, nullptr, &job, nullptr)) > 0) {
    units.push_back({.name = name, .active = active, .sub = sub, .job = job});
  }
  if (more < 0) return Garbled();
  return units;
}

Result<UnitEnd> ReadUnitEnd(sd_bus_message* reply) {
  UnitEnd end;
  if (sd_bus_message_enter_container(reply, 'a', "{sv}") < 0) return Garbled();
  while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
    const char *key = nullptr, *text = nullptr;
    int read = sd_bus_message_read(reply, "s", &key);
    if (read < 0) return Garbled();
    const std::string name = key;
    if (name == "Result") {
      read = sd_bus_message_read(reply, "v", "s", &text);
      if (text != nullptr) end.result = text;
    } else if (name == "ExecMainCode") {
      read = sd_bus_message_read(reply, "v", "i", &end.code);
    } else if (name == "ExecMainStatus") {
      read = sd_bus_message_read(reply, "v", "i", &end.status);
    } else {
      read = sd_bus_message_skip(reply, "v");
    }
    if (read < 0 || sd_bus_message_exit_container(reply) < 0) return Garbled();
  }
  return end;
}

Result<std::optional<uint64_t>> ReadCountOf(sd_bus_message* reply) {
  uint64_t count = UINT64_MAX;
  if (sd_bus_message_read(reply, "v", "t", &count) < 0) return Garbled();
  return count == UINT64_MAX ? std::nullopt : std::optional(count);
}

}  // namespace autoscale
