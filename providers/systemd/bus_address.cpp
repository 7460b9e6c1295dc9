#include "providers/systemd/bus_address.h"

#include <cctype>
#include <cstdio>
#include <cstring>

namespace autoscale {
namespace {

// As the specification of D-Bus wants values of addresses.
std::string Escaped(const std::string& path) {
  std::string escaped;
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("-_/.\\*", c) != nullptr) {
      escaped += c;
      continue;
    }
    char text[8];
    std::snprintf(text, sizeof text, "%%%02x", static_cast<unsigned char>(c));
    escaped += text;
  }
  return escaped;
}

}  // namespace

BusAddress ChooseBusAddress(const std::string& bus, unsigned uid,
                            const std::function<const char*(const char*)>& environment) {
  const auto variable = [&](const char* name) {
    const char* const value = environment(name);
    return std::string(value != nullptr ? value : "");
  };
  if (bus == "user") {
    std::string folder = variable("XDG_RUNTIME_DIR");
    if (folder.empty()) folder = "/run/user/" + std::to_string(uid);
    return {"unix:path=" + Escaped(folder + "/systemd/private"), false};
  }
  if (bus != "system") return {bus, !bus.ends_with("/private")};
  if (uid == 0) return {"unix:path=/run/systemd/private", false};
  const std::string given = variable("DBUS_SYSTEM_BUS_ADDRESS");
  return {given.empty() ? "unix:path=/run/dbus/system_bus_socket" : given, true};
}

}  // namespace autoscale
