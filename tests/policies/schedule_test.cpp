// The module schedule: cron fields, windows of time, overlaps, and days on which clocks change.
// In Berlin they went forward on 2026-03-29 (02:00 -> 03:00, at 01:00 UTC) and go back on
// 2026-10-25 (03:00 -> 02:00, at 01:00 UTC).
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/policies/rig.h"

namespace autoscale {
namespace {

constexpr int64_t kDay = 86400;

// Unix seconds of a time in UTC, "2026-03-29 01:00".
double Utc(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0;
  EXPECT_EQ(std::sscanf(text.c_str(), "%d-%d-%d %d:%d", &year, &month, &day, &hour, &minute), 5);
  const std::chrono::sys_days date = std::chrono::year(year) /
                                     std::chrono::month(static_cast<unsigned>(month)) /
                                     std::chrono::day(static_cast<unsigned>(day));
  return static_cast<double>(date.time_since_epoch().count() * kDay + hour * 3600 + minute * 60);
}

std::string Text(double seconds) {
  const TimePoint time = FromUnixSeconds(seconds);
  const auto date = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day day(date);
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(time - date).count();
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d", static_cast<int>(day.year()),
                static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()),
                static_cast<int>(minutes / 60), static_cast<int>(minutes % 60));
  return text;
}

// What an expression with `schedule` gives at that time (UTC), as text.
std::string Ask(const std::string& at, const std::string& expression, const std::string& zone) {
  PolicyRig rig =
      PolicyRig::Of("local schedule = require 'autoscale.schedule'\nlocal e = " + expression +
                    "\nreturn hold(tostring(type(e) == 'table' and "
                    "(e.name or e.capacity) or e))");
  const std::string why = rig.Zone(zone).At(Utc(at)).Has(1).Why();
  EXPECT_NE(rig.last().proposal.cause, HoldCause::kFault) << why;
  return why;
}

std::string Time(const std::string& function, const std::string& at, const std::string& cron,
                 const std::string& zone) {
  const std::string answer = Ask(at, "schedule." + function + "('" + cron + "')", zone);
  return answer == "nil" ? answer : Text(std::stod(answer));
}
std::string Last(const std::string& at, const std::string& cron, const std::string& zone = "UTC") {
  return Time("last", at, cron, zone);
}
std::string Next(const std::string& at, const std::string& cron, const std::string& zone = "UTC") {
  return Time("next", at, cron, zone);
}

// 2026-01-05 is a Monday.
TEST(Schedule, Fields) {
  EXPECT_EQ(Last("2026-01-07 12:34", "0 8 * * *"), "2026-01-07 08:00");
  EXPECT_EQ(Last("2026-01-07 07:59", "0 8 * * *"), "2026-01-06 08:00");
  EXPECT_EQ(Last("2026-01-07 08:00", "0 8 * * *"), "2026-01-07 08:00");  // included
  EXPECT_EQ(Next("2026-01-07 08:00", "0 8 * * *"), "2026-01-08 08:00");  // excluded
  EXPECT_EQ(Last("2026-01-07 12:34", "*/15 * * * *"), "2026-01-07 12:30");
  EXPECT_EQ(Next("2026-01-07 12:34", "*/15 * * * *"), "2026-01-07 12:45");
  EXPECT_EQ(Last("2026-01-07 12:34", "5-20/5 12 * * *"), "2026-01-07 12:20");
  EXPECT_EQ(Next("2026-01-07 12:34", "0,30 8-18/2 * * *"), "2026-01-07 14:00");
  EXPECT_EQ(Next("2026-01-07 12:34", "40/10 12 * * *"), "2026-01-07 12:40");
  EXPECT_EQ(Next("2026-01-07 12:50", "40/10 12 * * *"), "2026-01-08 12:40");
}

TEST(Schedule, DaysAndMonths) {
  EXPECT_EQ(Last("2026-01-11 12:00", "0 8 * * mon-fri"), "2026-01-09 08:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 8 * * MON-FRI"), "2026-01-12 08:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 8 * * 0"), "2026-01-11 08:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 8 * * 7"), "2026-01-11 08:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 8 * * sun"), "2026-01-11 08:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 8 * * fri-sun"), "2026-01-10 08:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 0 1 */3 *"), "2026-04-01 00:00");
  EXPECT_EQ(Last("2026-01-09 12:00", "0 0 24 dec *"), "2025-12-24 00:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 0 31 * *"), "2026-01-31 00:00");
  EXPECT_EQ(Next("2026-02-01 12:00", "0 0 31 * *"), "2026-03-31 00:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 0 29 2 *"), "2028-02-29 00:00");
  EXPECT_EQ(Last("2099-12-31 12:00", "0 0 29 2 *"), "2096-02-29 00:00");
  EXPECT_EQ(Next("2026-01-09 12:00", "0 0 30 2 *"), "nil");
  // When both days are restricted, either: Friday the 16th, or the 13th.
  EXPECT_EQ(Next("2026-01-10 12:00", "0 0 13 * fri"), "2026-01-13 00:00");
  EXPECT_EQ(Next("2026-01-13 12:00", "0 0 13 * fri"), "2026-01-16 00:00");
}

TEST(Schedule, TimesOfAZone) {
  EXPECT_EQ(Last("2026-01-07 12:00", "0 8 * * *", "Europe/Berlin"), "2026-01-07 07:00");
  EXPECT_EQ(Last("2026-07-07 12:00", "0 8 * * *", "Europe/Berlin"), "2026-07-07 06:00");
  EXPECT_EQ(Last("2026-01-06 23:30", "0 0 * * *", "Europe/Berlin"), "2026-01-06 23:00");
}

TEST(Schedule, ATimeThatIsLeftOutIsTheFirstMomentAfterTheGap) {
  EXPECT_EQ(Next("2026-03-29 00:00", "30 2 * * *", "Europe/Berlin"), "2026-03-29 01:00");
  EXPECT_EQ(Last("2026-03-29 00:59", "30 2 * * *", "Europe/Berlin"), "2026-03-28 01:30");
  EXPECT_EQ(Last("2026-03-29 01:00", "30 2 * * *", "Europe/Berlin"), "2026-03-29 01:00");
  EXPECT_EQ(Next("2026-03-29 01:00", "30 2 * * *", "Europe/Berlin"), "2026-03-30 00:30");
}

TEST(Schedule, ATimeThatComesTwiceCountsOnce) {
  EXPECT_EQ(Next("2026-10-25 00:00", "30 2 * * *", "Europe/Berlin"), "2026-10-25 00:30");
  EXPECT_EQ(Next("2026-10-25 00:30", "30 2 * * *", "Europe/Berlin"), "2026-10-26 01:30");
  EXPECT_EQ(Last("2026-10-25 01:29", "30 2 * * *", "Europe/Berlin"), "2026-10-25 00:30");
  EXPECT_EQ(Last("2026-10-25 01:31", "30 2 * * *", "Europe/Berlin"), "2026-10-25 00:30");
  // At 02:15 for the second time, 02:45 has been: 00:45 UTC.
  EXPECT_EQ(Last("2026-10-25 01:15", "45 2 * * *", "Europe/Berlin"), "2026-10-25 00:45");
}

constexpr const char* kHours =
    "schedule.active {{start = '0 8 * * mon-fri', stop = '0 18 * * mon-fri', name = 'open'}}";

TEST(Schedule, FromAStartToAStop) {
  EXPECT_EQ(Ask("2026-01-07 07:59", kHours, "UTC"), "nil");
  EXPECT_EQ(Ask("2026-01-07 08:00", kHours, "UTC"), "open");
  EXPECT_EQ(Ask("2026-01-07 17:59", kHours, "UTC"), "open");
  EXPECT_EQ(Ask("2026-01-07 18:00", kHours, "UTC"), "nil");
  EXPECT_EQ(Ask("2026-01-10 12:00", kHours, "UTC"), "nil");  // Saturday
  EXPECT_EQ(Ask("2026-01-07 07:30", kHours, "Europe/Berlin"), "open");
  const char* night =
      "schedule.active {{start = '0 22 * * *', stop = '0 6 * * *', name = 'night'}}";
  EXPECT_EQ(Ask("2026-01-07 23:00", night, "UTC"), "night");
  EXPECT_EQ(Ask("2026-01-07 05:59", night, "UTC"), "night");
  EXPECT_EQ(Ask("2026-01-07 06:00", night, "UTC"), "nil");
}

TEST(Schedule, FromAStartForAWhile) {
  const char* four = "schedule.active {{start = '0 22 * * *', seconds = 14400, name = 'batch'}}";
  EXPECT_EQ(Ask("2026-01-07 21:59", four, "UTC"), "nil");
  EXPECT_EQ(Ask("2026-01-08 01:59", four, "UTC"), "batch");
  EXPECT_EQ(Ask("2026-01-08 02:00", four, "UTC"), "nil");
  // Real time: from 22:00 of Berlin (21:00 UTC) for 4 hours, over the change of the clock.
  const char* eight = "schedule.active {{start = '0 22 * * *', seconds = 28800, name = 'batch'}}";
  EXPECT_EQ(Ask("2026-03-29 04:59", eight, "Europe/Berlin"), "batch");
  EXPECT_EQ(Ask("2026-03-29 05:00", eight, "Europe/Berlin"), "nil");
  EXPECT_EQ(Ask("2026-10-25 03:59", eight, "Europe/Berlin"), "batch");
  EXPECT_EQ(Ask("2026-10-25 04:00", eight, "Europe/Berlin"), "nil");
}

TEST(Schedule, Overlaps) {
  const std::string entries =
      "{{start = '0 8 * * *', seconds = 36000, capacity = 4}, "
      "{start = '0 12 * * *', seconds = 3600, capacity = 9}, "
      "{start = '0 12 * * *', seconds = 7200, capacity = 2}}";
  EXPECT_EQ(Ask("2026-01-07 09:00", "schedule.active " + entries, "UTC"), "4");
  EXPECT_EQ(Ask("2026-01-07 12:30", "schedule.active " + entries, "UTC"), "9");
  EXPECT_EQ(Ask("2026-01-07 13:30", "schedule.active " + entries, "UTC"), "4");
  EXPECT_EQ(Ask("2026-01-07 12:30", "schedule.active(" + entries + ", {overlap = 'first'})", "UTC"),
            "4");
  EXPECT_EQ(Ask("2026-01-07 07:00", "schedule.active(" + entries + ", {at = now + 3600})", "UTC"),
            "4");
}

TEST(Schedule, WrongExpressionsAreNamed) {
  const auto fault = [](const std::string& call) {
    PolicyRig rig =
        PolicyRig::Of("local schedule = require 'autoscale.schedule'\nreturn hold(" + call + ")");
    const std::string why = rig.Has(1).Why();
    EXPECT_EQ(rig.last().proposal.cause, HoldCause::kFault) << why;
    return why.substr(why.find(": ") + 2);
  };
  EXPECT_EQ(fault("schedule.next('0 25 * * *')"),
            "schedule.next: \"0 25 * * *\": '25' is no hour from 0 to 23");
  EXPECT_EQ(fault("schedule.next('0 8 * * mo')"),
            "schedule.next: \"0 8 * * mo\": 'mo' is no weekday from 0 to 7");
  EXPECT_EQ(fault("schedule.next('0 8 * *')"),
            "schedule.next: \"0 8 * *\" has 4 fields instead of minute, hour, day, month, weekday");
  EXPECT_EQ(fault("schedule.next('0 18-8 * * *')"),
            "schedule.next: \"0 18-8 * * *\": '18-8' ends before it begins");
  EXPECT_EQ(fault("schedule.next('*/0 * * * *')"),
            "schedule.next: \"*/0 * * * *\": '*/0' has no step");
  EXPECT_EQ(fault("schedule.active {{start = '0 8 * * *'}}"),
            "schedule.active: entry 1 needs either stop or seconds");
}

// Over two days: never back, never in the future, and the next after the last is still to come.
TEST(Schedule, GoesOnlyForwardOnDaysWhenClocksChange) {
  for (const char* day : {"2026-03-28 12:00", "2026-10-24 12:00"}) {
    for (const char* cron : {"*/7 1-3 * * *", "30 2 * * *", "0 3 * * *", "59 1 * * *"}) {
      double last = Utc(day) - 2 * static_cast<double>(kDay);
      for (double at = Utc(day); at < Utc(day) + static_cast<double>(kDay); at += 5220) {
        const double answer = Utc(Last(Text(at), cron, "Europe/Berlin"));
        EXPECT_LE(answer, at);
        EXPECT_GE(answer, last);
        last = answer;
        const double next = Utc(Next(Text(answer), cron, "Europe/Berlin"));
        EXPECT_GT(next, at) << day << " " << cron << " " << Text(at);
      }
    }
  }
}

}  // namespace
}  // namespace autoscale
