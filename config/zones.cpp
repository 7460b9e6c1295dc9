#include "config/zones.h"

#include <date/tz.h>

#include <exception>
#include <fstream>
#include <vector>

#include "config/scalar.h"

namespace autoscale {
namespace {

// Compiled zones end in 2037, whatever the rule that would go on.
constexpr date::sys_days kBegin = date::year(2000) / 1 / 1;
constexpr date::sys_days kEnd = date::year(2038) / 1 / 1;

// "# version 2025b", which is where Debian says it.
std::string Version() {
  std::ifstream file("/usr/share/zoneinfo/tzdata.zi");
  std::string hash, word, version;
  if (file >> hash >> word >> version && word == "version") return version;
  return "unknown";
}

std::vector<std::string> Names(const date::tzdb& data) {
  std::vector<std::string> names{"UTC"};
  for (const date::time_zone& zone : data.zones) names.push_back(zone.name());
  return names;
}

std::shared_ptr<const Zone> Convert(const date::time_zone& from) {
  Zone zone{.name = from.name(), .version = Version()};
  for (date::sys_seconds at = kBegin; at < kEnd;) {
    const date::sys_info info = from.get_info(at);
    const auto offset = static_cast<int>(info.offset.count());
    if (zone.changes.empty() || zone.changes.back().offset_s != offset ||
        zone.changes.back().abbreviation != info.abbrev) {
      zone.changes.push_back({at.time_since_epoch().count(), offset, info.abbrev});
    }
    at = info.end;
  }
  return std::make_shared<const Zone>(std::move(zone));
}

Result<std::shared_ptr<const Zone>> ReadZone(const std::string& name) {
  // Needs no data: a machine without any knows this one.
  if (name == "UTC") return std::make_shared<const Zone>(Zone{.name = name});
  try {
    const date::tzdb& data = date::get_tzdb();
    for (const date::time_zone& zone : data.zones) {
      if (zone.name() == name) return Convert(zone);
    }
    const std::string hint = DidYouMean(name, Names(data));
    return Error{ErrorKind::kInvalid,
                 "unknown time zone '" + name + "'" +
                     (hint.empty() ? "; zones are named such as Europe/Berlin" : hint)};
  } catch (const std::exception& error) {
    return Error{ErrorKind::kInvalid, "cannot read time zone '" + name + "' (" + error.what() +
                                          "); is the package tzdata installed?"};
  }
}

}  // namespace

Result<std::shared_ptr<const Zone>> ZoneFiles::Read(const std::string& name) {
  const auto found = zones_.find(name);
  if (found != zones_.end()) return found->second;
  return zones_.emplace(name, ReadZone(name)).first->second;
}

}  // namespace autoscale
