// A plugin that cannot be started, answers nonsense, hangs or dies.
#include <fstream>

#include "tests/unit/plugin/rig.h"

namespace autoscale {
namespace {

using PluginFailure = PluginRig;

struct StartCase {
  std::string mode;
  std::string why;
};

// Each is told as one reason, in the log once however often it is tried, and to whoever asks.
TEST_F(PluginFailure, WhateverKeepsItFromStartingIsTold) {
  const StartCase kCases[] = {
      {"exit", "it exited with status 3 before its handshake; its last words: 'no credentials'"},
      {"garbage", "the first line on its standard output must be a handshake such as"},
      {"version", "it speaks version '2' of the provider protocol; autoscaled speaks 1"},
      {"undescribed", "Describe: who am I (INTERNAL)"},
  };
  for (const StartCase& one : kCases) {
    UseFake(one.mode);
    const auto starts = CountNotes("start");
    const std::string fault = FaultOf(Target("web"));
    EXPECT_TRUE(Holds(fault, "plugin fake does not run: " + one.why));
    EXPECT_LT(fault.size(), 500u);
    EXPECT_EQ(FaultOf(Target("web")), fault);  // at once, while it rests
    RunUntil([&] { return CountNotes("start") >= starts + 3; });
    EXPECT_EQ(CountLog("does not run: " + one.why), 1) << one.mode;
  }
}

TEST_F(PluginFailure, WhoeverDoesNotGetReadyInTimeIsKilledAndTold) {
  const StartCase kCases[] = {{"mute", "it printed no handshake within 500ms"},
                              {"deaf", "it was not ready within 500ms"},
                              {"sick", "it was not ready within 500ms"},
                              {"late-description", "it was not ready within 500ms"}};
  for (const StartCase& one : kCases) {
    PluginCommand command = Fake(one.mode);
    command.start_timeout = Millis(500);
    Use(command);
    EXPECT_TRUE(Holds(FaultOf(Target("web")), one.why)) << one.mode;
    RunUntil([&] { return CountProcesses() == 0; });
  }
}

TEST_F(PluginFailure, AProgramThatCannotBeRunIsTold) {
  const auto fault_with = [&](const std::string& program, const std::string& sha256 = "") {
    PluginCommand command = Fake("well");
    command.command[0] = program;
    command.sha256 = sha256;
    Use(command);
    return FaultOf(Target("web"));
  };
  const std::string file = folder_ / "file";
  std::ofstream(file) << "text\n";
  EXPECT_TRUE(Holds(fault_with("/nowhere/p"), "cannot run /nowhere/p: No such file or directory"));
  EXPECT_TRUE(Holds(fault_with(file), "cannot run " + file + ": Permission denied"));
  EXPECT_TRUE(Holds(fault_with(folder_), "cannot run " + folder_.string() + ": Permission denied"));
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  EXPECT_TRUE(Holds(fault_with(file), "cannot run " + file + ": Exec format error"));
  EXPECT_TRUE(
      Holds(fault_with(FAKE_PLUGIN, std::string(64, '0')), "and 'sha256' says 0000000000000000"));
  EXPECT_TRUE(Holds(fault_with("/nowhere/p", std::string(64, '0')), "cannot read /nowhere/p"));
  EXPECT_EQ(CountNotes("start"), 0);
}

TEST_F(PluginFailure, TheRightChecksumIsTaken) {
  PluginCommand command = Fake("well");
  FILE* const sum = popen("sha256sum " FAKE_PLUGIN, "r");
  std::string digits(64, ' ');
  ASSERT_EQ(fread(digits.data(), 1, 64, sum), 64u);
  pclose(sum);
  command.sha256 = digits;
  Use(command);
  EXPECT_EQ(FaultOf(Target("web")), "");
}

TEST_F(PluginFailure, AFolderTooDeepForASocketIsTold) {
  folder_ /= std::string(100, 'x');
  UseFake("well");
  folder_ = folder_.parent_path();
  EXPECT_TRUE(Holds(FaultOf(Target("web")), "has too long a path for a socket in it (107 bytes"));
}

TEST_F(PluginFailure, OneThatStartsAtLastIsObservedWithoutBeingAsked) {
  UseFake("exit", 2);
  EXPECT_TRUE(Holds(FaultOf(Target("web")), "it exited with status 3"));
  RunUntil([&] { return !reported_.empty(); });
  EXPECT_FALSE(reported_.back().fault);
  EXPECT_EQ(CountNotes("start"), 3);
}

// Else our own change would look like somebody else's.
TEST_F(PluginFailure, WhatIsObservedUnaskedIsDroppedOnceAWishHasBegun) {
  UseFake("late");
  Observe({Target("api"), Target("web")});
  RunUntil([&] { return CountNotes("observing") == 1; });
  EXPECT_TRUE(Set(Target("web"), {.capacity = 1}).ok());
  std::ofstream(folder_ / "go") << "";
  RunUntil([&] { return !reported_.empty(); });
  ASSERT_EQ(reported_.size(), 1u);
  EXPECT_EQ(reported_[0].service, "api");
  EXPECT_FALSE(reported_[0].fault);
  EXPECT_EQ(FaultOf(Target("web")), "");
}

TEST_F(PluginFailure, OneThatDiesAtEachCallCostsAFaultAndIsStartedAgain) {
  UseFake("crash", 2);
  EXPECT_TRUE(Holds(FaultOf(Target("web")), "plugin fake"));
  // Seen again without being asked, as soon as it is well.
  RunUntil([&] { return !reported_.empty() && !reported_.back().fault; });
  EXPECT_EQ(CountNotes("start"), 3);
  EXPECT_EQ(reported_.back().capacity, 2);
  EXPECT_GE(CountLog("it was ended by signal 6 (SIGABRT)"), 1);
}

TEST_F(PluginFailure, OneThatIsStoppedIsKilledAndStartedAgain) {
  PluginCommand command = Fake("stop", 1);
  command.call_timeout = Millis(300);
  Use(command);
  EXPECT_EQ(FaultOf(Target("web")), "plugin fake: Observe: did not answer within 300ms");
  RunUntil([&] { return !reported_.empty() && !reported_.back().fault; });
  EXPECT_EQ(CountLog("it hangs: its health check did not answer within 300ms"), 1);
  int sockets = 0;  // the one that was killed could not remove its own
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "fake")) {
    sockets += entry.is_socket() ? 1 : 0;
  }
  EXPECT_EQ(sockets, 1);
  EXPECT_EQ(CountNotes("start"), 2);
}

TEST_F(PluginFailure, OneThatIsOnlySlowIsNotKilled) {
  PluginCommand command = Fake("slow");
  command.call_timeout = Millis(200);
  Use(command);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(FaultOf(Target("web")), "plugin fake: Observe: did not answer within 200ms");
  }
  EXPECT_TRUE(Set(Target("web"), {.capacity = 1}).ok());
  EXPECT_EQ(CountNotes("start"), 1);
}

TEST_F(PluginFailure, AnAnswerThatIsNotClearIsAFaultOfItsTargetAlone) {
  const StartCase kCases[] = {
      {"fail", "plugin fake: Observe: the cloud is down (UNAVAILABLE)"},
      {"say-nothing", "plugin fake: Observe: says nothing of this target"},
      {"say-twice", "plugin fake: Observe: tells two states of this target"},
      {"no-verdict", "plugin fake: Validate: says nothing of these options"},
      {"negative", "plugin fake: Observe: tells a capacity of -1"}};
  for (const StartCase& one : kCases) {
    UseFake(one.mode);
    auto seen = Observe({Target("api"), Target("web")});
    ASSERT_TRUE(seen["web"].fault) << one.mode;
    EXPECT_TRUE(Holds(seen["web"].fault->message, one.why));
    EXPECT_EQ(seen["api"].fault.has_value(), one.mode != "negative");
  }
}

TEST_F(PluginFailure, OneThatAsksUsToWaitIsNotAskedMeanwhile) {
  UseFake("throttle");
  const std::string why = "plugin fake: Observe: as told (RESOURCE_EXHAUSTED)";
  EXPECT_TRUE(Holds(FaultOf(Target("web")), why));
  EXPECT_TRUE(Holds(FaultOf(Target("web")), why));
  EXPECT_EQ(CountNotes("throttled"), 1);
  FaultOf(Target("api"));  // another service's wait is its own
  EXPECT_EQ(CountNotes("throttled"), 2);
  FaultOf(Target("web", "{group: moved}"));  // another target, too
  EXPECT_EQ(CountNotes("throttled"), 3);
}

TEST_F(PluginFailure, OneThatAskedUsToWaitIsAskedAgainAfterwards) {
  UseFake("throttle-once");
  EXPECT_NE(FaultOf(Target("web")), "");
  RunUntil([&] { return FaultOf(Target("web")).empty(); });
  EXPECT_EQ(CountNotes("throttled"), 1);
}

TEST_F(PluginFailure, AFloodOfOutputIsBoundedAndCallsGoOn) {
  UseFake("flood");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(FaultOf(Target("web")), "");
  RunUntil([&] { return CountLog(std::string(200, 'f')) >= 100; });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(FaultOf(Target("web")), "");
  EXPECT_LE(log_.size(), 300u);
}

}  // namespace
}  // namespace autoscale
