#include "engine/model/zone.h"

#include <algorithm>
#include <chrono>

namespace autoscale {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr int64_t kDay = 86'400;

// Rounded down, also below zero.
int64_t Divide(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

// Seconds since 1970 of a clock that shows this time and never changes.
int64_t Count(const CivilTime& time) {
  const int64_t months = time.year * 12 + time.month - 1;
  const year_month_day first{
      year(static_cast<int>(Divide(months, 12))),
      std::chrono::month(static_cast<unsigned>(months - Divide(months, 12) * 12 + 1)),
      std::chrono::day(1)};
  const int64_t day = sys_days(first).time_since_epoch().count() + time.day - 1;
  return day * kDay + time.hour * 3600 + time.minute * 60 + time.second;
}

}  // namespace

LocalTime ToLocal(const Zone& zone, int64_t unix) {
  const auto after =
      std::upper_bound(zone.changes.begin(), zone.changes.end(), unix,
                       [](int64_t time, const ZoneChange& change) { return time < change.unix; });
  LocalTime out;
  if (!zone.changes.empty()) {
    out.offset_s = (after == zone.changes.begin() ? after : std::prev(after))->offset_s;
  }
  const int64_t local = unix + out.offset_s;
  const sys_days day{days(Divide(local, kDay))};
  const int64_t second = local - Divide(local, kDay) * kDay;
  const year_month_day date{day};
  out.civil = {.year = int{date.year()},
               .month = unsigned{date.month()},
               .day = unsigned{date.day()},
               .hour = second / 3600,
               .minute = second / 60 % 60,
               .second = second % 60};
  out.weekday = static_cast<int>(std::chrono::weekday(day).iso_encoding());
  out.yearday =
      static_cast<int>((day - sys_days(date.year() / std::chrono::January / 1)).count()) + 1;
  return out;
}

Instant FromLocal(const Zone& zone, const CivilTime& time) {
  const int64_t local = Count(time);
  const std::vector<ZoneChange>& changes = zone.changes;
  if (changes.empty()) return {.unix = local};
  // Offsets are less than a day, so that only changes within two days around it matter.
  auto at =
      std::upper_bound(changes.begin(), changes.end(), local - 2 * kDay,
                       [](int64_t value, const ZoneChange& change) { return value < change.unix; });
  if (at != changes.begin()) --at;
  for (; std::next(at) != changes.end(); ++at) {
    const ZoneChange& next = *std::next(at);
    const int64_t unix = local - at->offset_s;
    if (unix < next.unix) {
      return {unix, local - next.offset_s >= next.unix ? Occurrence::kTwice : Occurrence::kOnce};
    }
    if (local - next.offset_s < next.unix) return {next.unix, Occurrence::kGap};
  }
  return {.unix = local - at->offset_s};
}

}  // namespace autoscale
