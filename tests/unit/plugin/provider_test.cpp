// What a plugin is asked and told while all is well.
#include <algorithm>

#include "tests/unit/plugin/rig.h"

namespace autoscale {
namespace {

using PluginProviderTest = PluginRig;

TEST_F(PluginProviderTest, ObservesManyTargetsInOneCallAndValidatesEachOnce) {
  UseFake("well");
  const std::vector<TargetRef> refs = {Target("web", "{group: a}"), Target("api", "{group: b}")};
  auto seen = Observe(refs);
  for (const char* service : {"web", "api"}) {
    ASSERT_FALSE(seen[service].fault) << seen[service].fault->message;
    EXPECT_EQ(seen[service].capacity, 2);
    EXPECT_FALSE(seen[service].abilities.names_instances);
  }
  Observe(refs);
  EXPECT_EQ(CountNotes("validate web"), 1);
  EXPECT_EQ(CountNotes("observe web"), 2);
  EXPECT_EQ(CountNotes("start"), 1);
  Observe({Target("web", "{group: c}")});  // other options: another target
  EXPECT_EQ(CountNotes("validate web"), 2);
  EXPECT_EQ(CountLog("is ready: fake for " AUTOSCALED_VERSION " 1"), 1);
}

TEST_F(PluginProviderTest, HandsOverAWishAsItIs) {
  UseFake("well");
  EXPECT_TRUE(
      Set(Target("web"), {.capacity = 3, .victims = {"a", "b"}, .seen = 5, .intent = "web/7/1"})
          .ok());
  EXPECT_EQ(CountNotes("set web 3 seen 5 web/7/1 a b"), 1);
}

TEST_F(PluginProviderTest, TellsWhatARefusedWishMeans) {
  UseFake("well");
  const auto set = [&](int code) {
    return Set(Target("web", "{code: " + std::to_string(code) + "}"), {.capacity = 1}).error();
  };
  EXPECT_EQ(set(10).kind, ErrorKind::kConflict);
  EXPECT_EQ(set(9).kind, ErrorKind::kBlocked);
  EXPECT_EQ(set(11).kind, ErrorKind::kOutOfRange);
  EXPECT_EQ(set(7).message, "plugin fake: SetCapacity: as told (PERMISSION_DENIED)");
  const Error throttled = set(8);
  EXPECT_EQ(throttled.kind, ErrorKind::kThrottled);
  EXPECT_EQ(throttled.retry_after, std::chrono::seconds(9));
}

TEST_F(PluginProviderTest, IsGivenTheHandshakeAndNoSecretsOfTheDaemon) {
  setenv("INHERITED", "yes", 1);
  setenv("SECRET", "hush", 1);
  PluginCommand command = Fake("tcp");
  command.environment = {{"GIVEN", "so"}};
  command.inherit = {"INHERITED"};
  Use(command);
  EXPECT_EQ(FaultOf(Target("web")), "");
  EXPECT_EQ(CountNotes("cookie 8f1d versions 1"), 1);
  EXPECT_EQ(CountNotes("GIVEN=so"), 1);
  EXPECT_EQ(CountNotes("INHERITED=yes"), 1);
  EXPECT_EQ(CountNotes("SECRET=hush"), 0);
}

TEST_F(PluginProviderTest, RefusedOptionsHoldTheirServiceAloneAndAreNotAskedAgain) {
  UseFake("well");
  const std::vector<TargetRef> refs = {Target("bad", "{bad: true}"), Target("web")};
  for (int i = 0; i < 2; ++i) {
    auto seen = Observe(refs);
    EXPECT_FALSE(seen["web"].fault);
    ASSERT_TRUE(seen["bad"].fault);
    EXPECT_EQ(seen["bad"].fault->message,
              "plugin fake: it refuses the options under 'provider': 'bad' must not be true "
              "(INVALID_ARGUMENT)");
  }
  EXPECT_EQ(CountNotes("validate bad"), 1);
  EXPECT_EQ(CountNotes("observe bad"), 0);
}

TEST_F(PluginProviderTest, TwoServicesWithOneTargetDoNotFight) {
  UseFake("well");
  EXPECT_EQ(FaultOf(Target("web", "{group: g, n: 1}")), "");
  EXPECT_TRUE(
      Holds(FaultOf(Target("api", "{group: g, n: 2}")),
            "the target is that of service 'web' already (g); the two would fight over it"));
  EXPECT_EQ(FaultOf(Target("web", "{group: h}")), "");
  EXPECT_EQ(FaultOf(Target("api", "{group: g, n: 3}")), "");  // it is free now
}

TEST_F(PluginProviderTest, ValidateIsOptional) {
  UseFake("unvalidating");
  EXPECT_EQ(FaultOf(Target("web", "{bad: true}")), "");
}

TEST_F(PluginProviderTest, IsAskedToEndAndLeavesNothingBehind) {
  UseFake("well");
  EXPECT_EQ(FaultOf(Target("web")), "");
  EXPECT_EQ(CountProcesses(), 2);
  provider_.reset();
  host_.reset();
  EXPECT_EQ(CountNotes("shutdown"), 1);
  RunUntil([&] { return CountProcesses() == 0; });  // the kernel takes its time
}

TEST_F(PluginProviderTest, OneThatDoesNotEndIsKilled) {
  UseFake("deathless");
  EXPECT_EQ(FaultOf(Target("web")), "");
  provider_.reset();
  host_.reset();
  EXPECT_EQ(CountNotes("shutdown"), 1);
  RunUntil([&] { return CountProcesses() == 0; });  // the kernel takes its time
}

// As when a daemon is started while the last one's plugin is still about to end.
TEST_F(PluginProviderTest, TwoProcessesOfOnePluginNeverRunAtOnce) {
  UseFake("well");
  EXPECT_EQ(FaultOf(Target("web")), "");
  auto first_host = std::move(host_);
  auto first = std::move(provider_);
  UseFake("well");
  std::optional<Observation> seen;
  provider_->Observe({Target("web")}, [&](Result<std::vector<Observation>> answer) {
    seen = answer->front();
    loop_.Stop();
  });
  RunUntil([&] { return CountProcesses() == 3; });  // the second waits for the lock
  EXPECT_EQ(CountNotes("start"), 1);
  EXPECT_FALSE(seen);
  first.reset();
  first_host.reset();
  RunUntil([&] { return seen.has_value(); });
  EXPECT_FALSE(seen->fault);
  EXPECT_EQ(CountNotes("start"), 2);
}

TEST_F(PluginProviderTest, IsNotStartedBeforeSomethingIsObserved) {
  UseFake("well");
  loop_.Post([this] { loop_.Stop(); });
  loop_.Run();
  EXPECT_EQ(CountNotes("start"), 0);
}

}  // namespace
}  // namespace autoscale
