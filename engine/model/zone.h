// Zone: a time zone as a plain list of its changes, so that the same input gives the same local
// time on every machine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace autoscale {

// From `unix` on, local time is UTC and `offset_s`.
struct ZoneChange {
  int64_t unix = 0;
  int offset_s = 0;
  std::string abbreviation;  // "CEST"
};

struct Zone {
  std::string name;                 // "Europe/Berlin"
  std::string version;              // of the time zone data: "2025b"
  std::vector<ZoneChange> changes;  // ascending; the first holds before it, too; empty: UTC
};
using Zones = std::span<const std::shared_ptr<const Zone>>;

// A date and a time of day. Fields beyond their usual range count on: day 32 is in the next month.
struct CivilTime {
  int64_t year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
};

struct LocalTime {
  CivilTime civil;
  int weekday = 1;  // 1: Monday
  int yearday = 1;
  int offset_s = 0;
};

enum class Occurrence : uint8_t {
  kOnce,
  kGap,    // the clocks are put forward over it
  kTwice,  // they are put back over it
};

struct Instant {
  int64_t unix = 0;  // of a time in a gap: when the gap ends; of one that comes twice: the first
  Occurrence occurrence = Occurrence::kOnce;
};

// Outside of these a time is not converted.
inline constexpr int64_t kLeastUnix = 0;
inline constexpr int64_t kMostUnix = 4'102'444'799;  // 2099-12-31T23:59:59Z

LocalTime ToLocal(const Zone& zone, int64_t unix);
Instant FromLocal(const Zone& zone, const CivilTime& time);

}  // namespace autoscale
