// Local time: what clocks show where they are changed, to the second.
#include <gtest/gtest.h>

#include "config/zones.h"
#include "tests/unit/policy/bench.h"

namespace autoscale {
namespace {

std::shared_ptr<const Zone> ReadZone(const std::string& name) {
  auto zone = ZoneFiles().Read(name);
  EXPECT_TRUE(zone) << zone.error().message;
  return zone ? *zone : std::make_shared<const Zone>();
}

std::string Shown(const std::string& zone, int64_t unix) {
  const LocalTime local = ToLocal(*ReadZone(zone), unix);
  char text[80];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d %d %d %+d",
                static_cast<int>(local.civil.year), static_cast<int>(local.civil.month),
                static_cast<int>(local.civil.day), static_cast<int>(local.civil.hour),
                static_cast<int>(local.civil.minute), static_cast<int>(local.civil.second),
                local.weekday, local.yearday, local.offset_s);
  return text;
}

// "unix" with " gap" or " twice".
std::string At(const std::string& zone, const CivilTime& time) {
  const Instant instant = FromLocal(*ReadZone(zone), time);
  const char* words[] = {"", " gap", " twice"};
  return std::to_string(instant.unix) + words[static_cast<int>(instant.occurrence)];
}

TEST(ZoneTest, SpringAndAutumnInBerlin) {
  const std::string zone = "Europe/Berlin";
  constexpr int64_t kSpring = 1774746000;  // 2026-03-29T01:00:00Z
  EXPECT_EQ(Shown(zone, kSpring - 1), "2026-03-29 01:59:59 7 88 +3600");
  EXPECT_EQ(Shown(zone, kSpring), "2026-03-29 03:00:00 7 88 +7200");
  EXPECT_EQ(At(zone, {2026, 3, 29, 1, 59, 59}), "1774745999");
  EXPECT_EQ(At(zone, {2026, 3, 29, 2, 0, 0}), "1774746000 gap");
  EXPECT_EQ(At(zone, {2026, 3, 29, 2, 59, 59}), "1774746000 gap");
  EXPECT_EQ(At(zone, {2026, 3, 29, 3, 0, 0}), "1774746000");
  constexpr int64_t kAutumn = 1792890000;  // 2026-10-25T01:00:00Z
  EXPECT_EQ(Shown(zone, kAutumn - 1), "2026-10-25 02:59:59 7 298 +7200");
  EXPECT_EQ(Shown(zone, kAutumn), "2026-10-25 02:00:00 7 298 +3600");
  EXPECT_EQ(At(zone, {2026, 10, 25, 1, 59, 59}), "1792886399");
  EXPECT_EQ(At(zone, {2026, 10, 25, 2, 0, 0}), "1792886400 twice");
  EXPECT_EQ(At(zone, {2026, 10, 25, 2, 59, 59}), "1792889999 twice");
  EXPECT_EQ(At(zone, {2026, 10, 25, 3, 0, 0}), "1792893600");
}

TEST(ZoneTest, OtherZones) {
  // 2026-03-08T07:00:00Z: the clocks of New York go forward.
  EXPECT_EQ(Shown("America/New_York", 1772953199), "2026-03-08 01:59:59 7 67 -18000");
  EXPECT_EQ(Shown("America/New_York", 1772953200), "2026-03-08 03:00:00 7 67 -14400");
  EXPECT_EQ(At("America/New_York", {2026, 3, 8, 2, 30, 0}), "1772953200 gap");
  EXPECT_EQ(At("America/New_York", {2026, 11, 1, 1, 30, 0}), "1793511000 twice");
  EXPECT_EQ(Shown("Asia/Kolkata", 1774746000), "2026-03-29 06:30:00 7 88 +19800");
  EXPECT_EQ(At("Asia/Kolkata", {2026, 3, 29, 6, 30, 0}), "1774746000");
  // Half an hour of summer time. 2026-04-04T15:00:00Z back to +10:30, 2026-10-03T15:30:00Z forward.
  EXPECT_EQ(Shown("Australia/Lord_Howe", 1775314799), "2026-04-05 01:59:59 7 95 +39600");
  EXPECT_EQ(Shown("Australia/Lord_Howe", 1775314800), "2026-04-05 01:30:00 7 95 +37800");
  EXPECT_EQ(At("Australia/Lord_Howe", {2026, 4, 5, 1, 30, 0}), "1775313000 twice");
  EXPECT_EQ(At("Australia/Lord_Howe", {2026, 10, 4, 2, 0, 0}), "1791041400 gap");
  EXPECT_EQ(At("Australia/Lord_Howe", {2026, 10, 4, 2, 30, 0}), "1791041400");
  EXPECT_EQ(Shown("UTC", 1774746000), "2026-03-29 01:00:00 7 88 +0");
  EXPECT_EQ(At("UTC", {2024, 2, 29, 23, 59, 60}), "1709251200");
}

TEST(ZoneTest, ThereAndBackAgainInEveryHourOfAYear) {
  for (const char* name : {"Europe/Berlin", "America/New_York", "Asia/Kolkata",
                           "Australia/Lord_Howe", "Africa/Casablanca", "UTC"}) {
    const auto zone = ReadZone(name);
    for (int64_t unix = 1767225600; unix < 1798761600; unix += 900) {
      const Instant back = FromLocal(*zone, ToLocal(*zone, unix).civil);
      // Of two the first, which is at most an hour before.
      ASSERT_LE(back.unix, unix) << name;
      ASSERT_TRUE(back.unix == unix || back.occurrence == Occurrence::kTwice)
          << name << " " << unix;
      ASSERT_GE(back.unix, unix - 3600) << name;
      ASSERT_NE(back.occurrence, Occurrence::kGap) << name << " " << unix;
    }
  }
}

TEST(ZoneTest, AZoneIsKnownFrom2000To2037WithItsVersion) {
  const auto zone = ReadZone("Europe/Berlin");
  EXPECT_EQ(zone->changes.front().unix, 946684800);
  EXPECT_EQ(zone->changes.back().unix, 2140045200);  // 2037-10-25T01:00:00Z
  EXPECT_EQ(zone->changes.size(), 77U);              // two a year, and the first
  EXPECT_EQ(zone->changes[1].abbreviation, "CEST");
  EXPECT_TRUE(zone->version.starts_with("20")) << zone->version;
  const auto unknown = ZoneFiles().Read("Europe/Berln");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message,
            "unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?");
}

class CalendarTest : public ::testing::Test {
 protected:
  Proposal Run(const std::string& text) {
    Snapshot snapshot = service_.View();
    snapshot.zones = zones_;
    return host_.Evaluate(MakePolicy(text), snapshot).proposal;
  }
  std::string Value(const std::string& expression) {
    return Run("return hold(tostring(" + expression + "))").reason;
  }

  PolicyHost host_{PolicyLimits{}};
  TestService service_;
  std::vector<std::shared_ptr<const Zone>> zones_{ReadZone("Europe/Berlin"),
                                                  ReadZone("Asia/Kolkata")};
};

TEST_F(CalendarTest, LocalTimeIsOfTheFirstZoneUnlessOneIsNamed) {
  service_.now = FromUnixSeconds(1774746000.75);
  EXPECT_EQ(Run("local t = local_time(now)\n"
                "return hold(string.format('%d %d %d %d:%d:%d %d %d %d', t.year, t.month, t.day, "
                "t.hour, t.minute, t.second, t.weekday, t.yearday, t.offset))")
                .reason,
            "2026 3 29 3:0:0 7 88 7200");
  EXPECT_EQ(Value("local_time().hour"), "3");
  EXPECT_EQ(Value("local_time(now, 'Asia/Kolkata').minute"), "30");
  EXPECT_EQ(Value("local_time(now, 'UTC').hour"), "1");
  zones_.clear();
  EXPECT_EQ(Value("local_time(now).hour"), "1");
}

TEST_F(CalendarTest, TimeAtSaysWhetherTheTimeWasThere) {
  const std::string show = " return hold(string.format('%d %s', at, tostring(kind)))";
  EXPECT_EQ(
      Run("local at, kind = time_at({year = 2026, month = 3, day = 29, hour = 2, minute = 30})" +
          show)
          .reason,
      "1774746000 gap");
  EXPECT_EQ(
      Run("local at, kind = time_at {year = 2026, month = 10, day = 25, hour = 2}" + show).reason,
      "1792886400 ambiguous");
  EXPECT_EQ(
      Run("local at, kind = time_at({year = 2026, month = 10, day = 25, hour = 2}, 'UTC')" + show)
          .reason,
      "1792893600 nil");
  // Days and hours count on.
  EXPECT_EQ(Value("time_at({year = 2026, month = 12, day = 32}, 'UTC') == "
                  "time_at({year = 2027, month = 1, day = 0, hour = 24}, 'UTC')"),
            "true");
  EXPECT_EQ(Value("time_at({year = 2026, month = 14, day = 1}, 'UTC') == "
                  "time_at({year = 2027, month = 2, day = 1}, 'UTC')"),
            "true");
}

TEST_F(CalendarTest, WhatCannotBeIsToldWithWhatHelps) {
  EXPECT_EQ(Run("return hold(local_time(now, 'Asia/Tokyo').hour)").reason,
            "test.lua:1: local_time: time zone 'Asia/Tokyo' is not declared: add it to the "
            "service's timezone: (declared: Europe/Berlin, Asia/Kolkata)");
  for (const auto& [call, message] : std::initializer_list<std::pair<const char*, const char*>>{
           {"local_time('x')",
            "local_time: the time must be a number of unix seconds, not a string"},
           {"local_time(-1)", "local_time: the time must lie in the years 1970 to 2099"},
           {"local_time(0/0)", "local_time: the time must lie in the years 1970 to 2099"},
           {"local_time(1e300)", "local_time: the time must lie in the years 1970 to 2099"},
           {"local_time(1, 7)",
            "local_time: the zone must be a name such as \"Europe/Berlin\", not a number"},
           {"time_at(7)",
            "time_at needs a date: time_at({year = 2026, month = 3, day = 29, hour = 8})"},
           {"time_at {year = 2026, month = 3}", "time_at: day must be a whole number"},
           {"time_at {year = 2026, month = 3, day = 1.5}", "time_at: day must be a whole number"},
           {"time_at {year = 2026, month = 3, day = 1e300}", "time_at: day must be a whole number"},
           {"time_at {year = 9999, month = 3, day = 1}",
            "time_at: the time must lie in the years 1970 to 2099"}}) {
    EXPECT_EQ(Value(call), std::string("test.lua:1: ") + message);
  }
}

TEST_F(CalendarTest, AnUndeclaredZoneDoesNotLoad) {
  const std::string text = "return scale_to(local_time(now, 'Asia/Tokyo').hour)";
  EXPECT_FALSE(host_.Check(MakePolicy(text), service_.View()));
  zones_ = {ReadZone("Asia/Tokyo")};
  Snapshot snapshot = service_.View();
  snapshot.zones = zones_;
  const auto checked = host_.Check(MakePolicy(text), snapshot);
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_EQ(*checked, "");
}

}  // namespace
}  // namespace autoscale
