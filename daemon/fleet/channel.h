// Channel: one gateway as the members that use it share it.
#pragma once

#include <string>
#include <unordered_map>

#include "daemon/fleet/fleet.h"

namespace autoscale {

// One gateway, as live or recording services see it.
struct Fleet::Channel {
  std::string name;
  Gateway* adapter = nullptr;
  std::unordered_map<std::string, Member*> services;  // by upstream
  bool busy = false;
  TimePoint next;
  std::string problem;
  int failures = 0;  // in a row, up to 5
};

inline std::string ToString(const ListVersion& version) {
  return std::to_string(version.epoch) + "." + std::to_string(version.sequence);
}
// The version under which the member's list number `sequence` goes out on this link.
inline ListVersion VersionOf(const Link& link, uint64_t sequence) {
  return {.epoch = link.epoch, .sequence = link.offset + sequence};
}
inline std::string ToString(const Link& link, uint64_t sequence) {
  return ToString(VersionOf(link, sequence));
}

}  // namespace autoscale
