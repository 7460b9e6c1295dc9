#include "providers/systemd/unit.h"

#include <gtest/gtest.h>

#include <csignal>

namespace autoscale {
namespace {

TEST(SystemdUnit, NamesAndPorts) {
  const auto web = UnitTemplate::Parse("web@.service");
  ASSERT_TRUE(web.ok());
  EXPECT_EQ(web->name(), "web@.service");
  EXPECT_EQ(web->Unit(20003), "web@20003.service");
  EXPECT_EQ(web->Pattern(), "web@*.service");
  EXPECT_EQ(web->PortOf("web@20003.service"), 20003);
  // What nobody of us would write is not ours.
  for (const char* other :
       {"web@020003.service", "web@.service", "web@a.service", "web@-1.service",
        "web@70000.service", "web@0.service", "web@1 .service", "api@20003.service",
        "web@20003.socket", "my-web@20003.service", "web@20003@.service", "web@", ""}) {
    EXPECT_EQ(web->PortOf(other), 0) << other;
  }
  EXPECT_EQ(UnitStem("web@20003.service"), "web@20003");
  EXPECT_EQ(TemplateOf("web@20003.service"), "web@.service");
  EXPECT_EQ(PatternOfTemplate("web@20003.service"), "web@*.service");
}

TEST(SystemdUnit, AnEscapedNameIsItsOwnPattern) {
  const auto escaped = UnitTemplate::Parse("a\\x2db@.service");
  ASSERT_TRUE(escaped.ok());
  EXPECT_EQ(escaped->Pattern(), "a\\x2db@*.service");
  EXPECT_EQ(escaped->PortOf("a\\x2db@7.service"), 7);
  EXPECT_EQ(PatternOfTemplate("a\\x2db@7.service"), "a\\x2db@*.service");
}

TEST(SystemdUnit, OnlyTemplatesOfServicesCount) {
  for (const char* name :
       {"web.service", "web@20000.service", "@.service", "web@.socket", "web@", "", "a/b@.service",
        "we*b@.service", "we?b@.service", "[web]@.service", "we b@.service"}) {
    const auto made = UnitTemplate::Parse(name);
    ASSERT_FALSE(made.ok()) << name;
    EXPECT_EQ(made.error().kind, ErrorKind::kInvalid);
  }
}

UnitPhase Of(const char* active, const char* sub, const char* job = "") {
  return PhaseOf({.name = "web@1.service", .active = active, .sub = sub, .job = job});
}

TEST(SystemdUnit, StatesAsPhases) {
  EXPECT_EQ(Of("active", "running"), UnitPhase::kRunning);
  EXPECT_EQ(Of("reloading", "reload"), UnitPhase::kRunning);
  EXPECT_EQ(Of("active", "running", "stop"), UnitPhase::kStopping);
  EXPECT_EQ(Of("activating", "start-pre", "start"), UnitPhase::kStarting);
  EXPECT_EQ(Of("inactive", "dead", "start"), UnitPhase::kStarting);
  EXPECT_EQ(Of("failed", "failed", "restart"), UnitPhase::kStarting);
  EXPECT_EQ(Of("activating", "auto-restart"), UnitPhase::kRestarting);
  EXPECT_EQ(Of("failed", "failed-before-auto-restart"), UnitPhase::kRestarting);
  EXPECT_EQ(Of("deactivating", "stop-sigterm", "stop"), UnitPhase::kStopping);
  EXPECT_EQ(Of("deactivating", "stop-sigterm", "restart"), UnitPhase::kRestarting);
  EXPECT_EQ(Of("deactivating", "stop-post"), UnitPhase::kRestarting);
  EXPECT_EQ(Of("failed", "failed"), UnitPhase::kFailed);
  EXPECT_EQ(Of("inactive", "dead"), UnitPhase::kAbsent);
}

TEST(SystemdUnit, EndsInAPhrase) {
  EXPECT_EQ(Describe({.result = "exit-code", .status = 3}), "exited with status 3");
  EXPECT_EQ(Describe({.result = "exit-code", .status = 203}),
            "its program cannot be run (status 203/EXEC)");
  EXPECT_EQ(Describe({.result = "signal", .status = SIGKILL}), "was killed by SIGKILL");
  EXPECT_EQ(Describe({.result = "core-dump", .status = SIGSEGV}), "crashed with SIGSEGV");
  EXPECT_EQ(Describe({.result = "timeout"}), "did not start or stop in its time (timeout)");
  EXPECT_EQ(Describe({.result = "something-new"}), "failed (something-new)");
  EXPECT_EQ(Describe({}), "failed");
  EXPECT_EQ(DescribeJob("dependency"), "did not start: a unit that it needs failed");
  EXPECT_EQ(DescribeJob("done"), "is inactive: it ended by itself, or somebody stopped it");
}

}  // namespace
}  // namespace autoscale
