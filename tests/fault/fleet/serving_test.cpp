// Instances that serve and then do not.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "tests/fault/fleet/fleet_fixture.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

using Clock = std::chrono::steady_clock;

class ServingFault : public FleetFixture {
 protected:
  // How long after `since` the first list without the port came; it has come.
  [[nodiscard]] long MillisUntilGone(int port, Clock::time_point since) const {
    for (const FakeNginx::Push& push : gateway_.pushes()) {
      if (push.at < since || push.serving.contains(port)) continue;
      return std::chrono::duration_cast<std::chrono::milliseconds>(push.at - since).count();
    }
    return -1;
  }
  [[nodiscard]] bool EverServedNothing() const {
    bool served = false;
    for (const FakeNginx::Push& push : gateway_.pushes()) {
      if (served && push.serving.empty()) return true;
      served = served || !push.serving.empty();
    }
    return false;
  }
};

TEST_F(ServingFault, TheDeadAreOffTheListAtOnceAndReplaced) {
  WriteService("web");
  StartWith(3);
  const std::set<pid_t> before = rig_.BackendPids();
  const int port = FirstPort() + 1;
  const pid_t victim = PidAt(port);
  const auto killed = Clock::now();
  SignalOne(victim, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return MillisUntilGone(port, killed) >= 0; }));
  std::printf("death_to_confirmed_list_ms=%ld\n", MillisUntilGone(port, killed));
  AwaitSettled(3);
  EXPECT_TRUE(LogSays("is lost: ended by SIGKILL after "));
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 1);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_started_total"), 4);

  const std::set<pid_t> second = rig_.BackendPids();
  for (const pid_t pid : second) SignalOne(pid, SIGKILL);  // all at once
  ASSERT_TRUE(Eventually([&] {
    return rig_.Metric("autoscaled_instances_lost_total") == 4 && rig_.Settled("web", 3);
  })) << Status();
  EXPECT_FALSE(EverServedNothing()) << "a list without a serving instance was pushed";
  // The gateway ends up with those that live.
  EXPECT_TRUE(Eventually([&] { return gateway_.Serving("web") == Ports(3); }));
}

TEST_F(ServingFault, OneThatIgnoresItsEndIsKilledAfterTheGrace) {
  WriteService("web", {.arguments = {"--ignore-term"}});
  StartWith(2);
  Want(1);
  AwaitSettled(1);
  EXPECT_TRUE(Eventually([&] { return rig_.Backends().size() == 1; }));
  EXPECT_TRUE(
      Eventually([&] { return LogSays("has ended: killed: still running 2s after SIGTERM"); }));
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_stopped_total"), 1);
}

TEST_F(ServingFault, OneThatFlapsIsFollowedByTheListAndNotReplaced) {
  WriteService("web");
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const int port = FirstPort();
  for (int flap = 0; flap < 6; ++flap) {
    Answers(port, "500");
    ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == std::set<int>{port + 1}; }));
    EXPECT_TRUE(StatusSays("GET /healthz answered 500"));
    Answers(port, "");
    ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == Ports(2); }));
  }
  EXPECT_EQ(rig_.BackendPids(), before);
  EXPECT_EQ(rig_.Metric("autoscaled_instances_started_total"), 2);
  // While all fail, nobody is taken away: it may be what they all depend on.
  Answers(0, "500");
  ASSERT_TRUE(Eventually([&] { return Metric("ready_instances") == 0; }));
  EXPECT_TRUE(Eventually([&] { return gateway_.Serving("web") == Ports(2); }));
  Answers(0, "");
  AwaitSettled(2);
  EXPECT_EQ(rig_.BackendPids(), before);
  EXPECT_FALSE(EverServedNothing());
}

TEST_F(ServingFault, TheSickLeaveTheListAndAreReplacedInTime) {
  WriteService("web");
  StartWith(6);
  const int first = FirstPort();
  const pid_t sound = PidAt(first + 5);
  const std::set<pid_t> before = rig_.BackendPids();
  Answers(first, "hang");
  Answers(first + 1, "500");
  Answers(first + 2, "garbage");
  Answers(first + 3, "close");
  SignalOne(PidAt(first + 4), SIGSTOP);  // accepts, by the kernel, and never answers
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == std::set<int>{first + 5}; }));
  EXPECT_TRUE(Says(Status(), {"timed out after 2s", "GET /healthz answered 500"})) << Status();
  EXPECT_EQ(rig_.BackendPids(), before) << "replaced at the first doubt";
  // They are ended half a minute later, even the one that is stopped and hears no SIGTERM.
  for (int port = first; port < first + 5; ++port) {
    EXPECT_TRUE(Eventually([&] { return !before.contains(PidAt(port)); }, std::chrono::seconds(90)))
        << port;
    Answers(port, "");
  }
  EXPECT_TRUE(Eventually([&] { return LogSays("has failed its health check for 30"); }));
  AwaitSettled(6);
  EXPECT_TRUE(rig_.BackendPids().contains(sound));
  EXPECT_TRUE(LogSays("killed: still running 2s after SIGTERM"));
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0) << "it was us who ended them";
}

TEST_F(ServingFault, WhatTheDeadLeaveBehindIsEnded) {
  WriteService("web", {.arguments = {"--helper"}});
  Want(2);
  rig_.Start();
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == Ports(2); }));
  EXPECT_EQ(rig_.Backends().size(), 4u);
  // The parent is the one that the record names.
  std::set<pid_t> parents;
  for (const auto& entry :
       std::filesystem::directory_iterator(rig_.folder() / "state/process/web")) {
    std::istringstream record(ReadWhole(entry.path() / "record"));
    std::string key;
    pid_t pid = 0;
    if (record >> key >> pid) parents.insert(pid);
  }
  ASSERT_EQ(parents.size(), 2u);
  const std::set<pid_t> before = rig_.BackendPids();
  for (const pid_t parent : parents) SignalOne(parent, SIGKILL);
  // Helpers in sessions of their own, which hold the ports, go too: the ports are used again.
  ASSERT_TRUE(Eventually([&] {
    const std::set<pid_t> now = rig_.BackendPids();
    return now.size() == 4 &&
           std::none_of(before.begin(), before.end(), [&](pid_t pid) { return now.contains(pid); });
  }));
  EXPECT_TRUE(Eventually([&] { return gateway_.Serving("web").size() == 2; }));
}

TEST_F(ServingFault, AProcessThatEscapedIsToldByThePortThatItKeeps) {
  WriteService("web", {.arguments = {"--start", "abandon"}, .ports = 2});
  Want(1);
  rig_.Start();
  EXPECT_TRUE(Eventually([&] {
    return StatusSays("no free port in ") && StatusSays("2 of them taken by other programs");
  })) << Status();
  EXPECT_EQ(rig_.Backends().size(), 2u) << "it dropped all that tied it to its instance";
  for (const pid_t pid : rig_.BackendPids()) SignalOne(pid, SIGKILL);
  WriteService("web");
  Reload();
  AwaitSettled(1);
}

}  // namespace
}  // namespace autoscale
