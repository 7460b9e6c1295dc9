// The provider before a manager made by hand.
#include "tests/unit/systemd/rig.h"

namespace autoscale {
namespace {

using SystemdProviderTest = SystemdRig;

TEST_F(SystemdProviderTest, StartsUnitsOfTheLowestFreePortsAndTellsWhenTheyServe) {
  EXPECT_TRUE(Observe().instances.empty());
  const auto answers = Launch({"web-1-1", "web-1-2"});
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers[0].ok() && answers[1].ok());
  EXPECT_EQ(systemd_.history, (Names{"start " + Unit(0), "start " + Unit(1)}));
  ASSERT_TRUE(Await("web-1-1", InstanceState::kReady));
  ASSERT_TRUE(Await("web-1-2", InstanceState::kReady));
  const Observation seen = Observe();
  EXPECT_TRUE(seen.abilities.names_instances);
  EXPECT_FALSE(seen.capacity);
  EXPECT_EQ(Ids(seen), (Names{"web-1-1", "web-1-2"}));
  EXPECT_EQ(seen.instances[1].endpoint, "127.0.0.1:" + std::to_string(first_ + 1));
  EXPECT_EQ(buses_, Names{"system"});
}

TEST_F(SystemdProviderTest, AskingTwiceStartsOnce) {
  Observe();
  Launch({"web-1-1"});
  EXPECT_TRUE(Launch({"web-1-1"})[0].ok());
  EXPECT_EQ(systemd_.Asked("start " + Unit(0)), 1);
  EXPECT_EQ(systemd_.history.size(), 1u);
}

TEST_F(SystemdProviderTest, EndsExactlyTheVictim) {
  Observe();
  Launch({"a", "b", "c"});
  ASSERT_TRUE(Await("c", InstanceState::kReady));
  EXPECT_TRUE(Terminate({"b"})[0].ok());
  ASSERT_TRUE(Await("b", InstanceState::kGone));
  EXPECT_EQ(told_["b"].detail, "stopped");
  EXPECT_FALSE(systemd_.Has(Unit(1)));
  EXPECT_TRUE(systemd_.Has(Unit(0)) && systemd_.Has(Unit(2)));
  // Its port is not given away before its end is stored.
  Launch({"d"});
  EXPECT_EQ(systemd_.Asked("start " + Unit(3)), 1);
  provider_->Forget("web", "b");
  Launch({"e"});
  EXPECT_EQ(systemd_.Asked("start " + Unit(1)), 2);
  EXPECT_TRUE(Terminate({"nobody", "b"})[1].ok());
}

TEST_F(SystemdProviderTest, AUnitThatFailsAtOnceIsToldInAPhrase) {
  Observe();
  systemd_.holds_starts = true;
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kStarting));
  systemd_.Fail(Unit(0), {.result = "exit-code", .code = CLD_EXITED, .status = 203});
  ASSERT_TRUE(Await("a", InstanceState::kGone));
  EXPECT_EQ(told_["a"].detail, "its program cannot be run (status 203/EXEC)");
  EXPECT_EQ(systemd_.Asked("reset " + Unit(0)), 0);  // for a person to look at until then
  provider_->Forget("web", "a");
  EXPECT_EQ(systemd_.Asked("reset " + Unit(0)), 1);
  EXPECT_TRUE(Observe().instances.empty());
}

TEST_F(SystemdProviderTest, AStartThatLeadsToNothingTellsWhatBecameOfIt) {
  Observe();
  systemd_.holds_starts = true;
  Launch({"a"});
  systemd_.Vanish(Unit(0), "dependency");
  ASSERT_TRUE(Await("a", InstanceState::kGone));
  EXPECT_EQ(told_["a"].detail, "did not start: a unit that it needs failed");
}

TEST_F(SystemdProviderTest, AUnitThatSystemdStartsAgainIsFollowed) {
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.Fail(Unit(0), {.result = "signal", .code = CLD_KILLED, .status = SIGSEGV});
  systemd_.Set(Unit(0), "activating", "auto-restart");  // as it goes on within one signal
  ASSERT_TRUE(Until([&] {
    return told_["a"].detail == "was killed by SIGSEGV; systemd starts it again";
  })) << told_["a"].detail;
  EXPECT_EQ(told_["a"].state, InstanceState::kUnready);
  systemd_.Run(Unit(0));
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  EXPECT_EQ(told_["a"].detail, "");
  EXPECT_EQ(systemd_.history, Names{"start " + Unit(0)});
}

TEST_F(SystemdProviderTest, OneThatFailsWhileItsLastEndIsReadIsGoneAllTheSame) {
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.holds_ends = true;
  systemd_.Set(Unit(0), "activating", "auto-restart");
  ASSERT_TRUE(Until([&] { return systemd_.reads == 1; }));
  systemd_.Fail(Unit(0), {.result = "exit-code", .code = CLD_EXITED, .status = 1});
  Settle();
  EXPECT_EQ(systemd_.reads, 1);
  systemd_.holds_ends = false;
  const int listed = systemd_.lists;
  systemd_.LetGo();
  ASSERT_TRUE(Await("a", InstanceState::kGone));
  EXPECT_EQ(told_["a"].detail, "exited with status 1");
  EXPECT_EQ(systemd_.lists, listed) << "no other list is waited for";
}

TEST_F(SystemdProviderTest, WhoIgnoresTheStopIsKilledAfterTheBound) {
  target_->stop_timeout = Millis(100);
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.ignores_sigterm = true;
  EXPECT_TRUE(Terminate({"a"})[0].ok());
  ASSERT_TRUE(Await("a", InstanceState::kStopping));
  ASSERT_TRUE(Await("a", InstanceState::kGone));
  EXPECT_EQ(told_["a"].detail, "stopped; it was killed by SIGKILL");
  EXPECT_EQ(systemd_.history, (Names{"start " + Unit(0), "stop " + Unit(0), "kill " + Unit(0)}));
}

TEST_F(SystemdProviderTest, WithoutABoundNobodyIsKilled) {
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.ignores_sigterm = true;
  Terminate({"a"});
  Settle();
  EXPECT_EQ(systemd_.Asked("kill " + Unit(0)), 0);
  systemd_.Vanish(Unit(0));
  ASSERT_TRUE(Await("a", InstanceState::kGone));
}

TEST_F(SystemdProviderTest, AStopThatIsRefusedIsToldAndAskedAgain) {
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.answers.insert({"stop", {ErrorKind::kForbidden, "no"}});
  EXPECT_EQ(Terminate({"a"})[0].error().kind, ErrorKind::kForbidden);
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.answers.clear();
  EXPECT_TRUE(Terminate({"a"})[0].ok());
  ASSERT_TRUE(Await("a", InstanceState::kGone));
}

TEST_F(SystemdProviderTest, UnitsOfOthersInTheRangeAreTakenIn) {
  systemd_.Run(Unit(2));
  systemd_.Run("web@1.service");  // out of the range
  systemd_.Run("web@x.service");
  systemd_.Set(Unit(3), "deactivating", "stop-sigterm", "stop");
  systemd_.Fail(Unit(4), {.result = "exit-code", .status = 1});
  const std::string id = UnitStem(Unit(2));
  EXPECT_EQ(Ids(Observe()), Names{id});  // with the very first look
  ASSERT_TRUE(Await(id, InstanceState::kReady));
  systemd_.Run(Unit(1));  // later on, too
  ASSERT_TRUE(Await(UnitStem(Unit(1)), InstanceState::kReady));
  EXPECT_EQ(Ids(Observe()).size(), 2u);
  // What others use or end just now is no free port.
  Launch({"a", "b"});
  EXPECT_EQ(systemd_.history, (Names{"start " + Unit(0), "reset " + Unit(4), "start " + Unit(4)}));
  EXPECT_TRUE(Terminate({id})[0].ok());
  ASSERT_TRUE(Await(id, InstanceState::kGone));
}

TEST_F(SystemdProviderTest, OneThatSomebodyStopsIsOnItsWayOutAndThenGone) {
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.Set(Unit(0), "deactivating", "stop-sigterm", "stop");
  ASSERT_TRUE(Await("a", InstanceState::kStopping));
  systemd_.Vanish(Unit(0), "done");
  ASSERT_TRUE(Await("a", InstanceState::kGone));
  EXPECT_EQ(told_["a"].detail, "is inactive: it ended by itself, or somebody stopped it");
}

TEST_F(SystemdProviderTest, TheNextDaemonFindsEveryUnitByItsName) {
  Observe();
  Launch({"a", "b"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  ASSERT_TRUE(Await("b", InstanceState::kReady));
  StartProvider();
  systemd_.Drop(Unit(1));  // ended in the meantime
  const Observation seen = Observe();
  ASSERT_EQ(Ids(seen), Names{"a"});
  EXPECT_EQ(seen.instances[0].state, InstanceState::kReady);  // until a check says otherwise
  EXPECT_TRUE(Launch({"a"})[0].ok());
  EXPECT_EQ(systemd_.Asked("start " + Unit(0)), 1);
  Launch({"c"});
  EXPECT_EQ(systemd_.Asked("start " + Unit(1)), 2);  // the port of b is free again
}

TEST_F(SystemdProviderTest, AStartWhoseAnswerIsLostIsNotMadeTwice) {
  Observe();
  systemd_.answers.insert({"start", kGone});
  systemd_.drops_starts = true;
  EXPECT_EQ(Launch({"a"})[0].error().kind, ErrorKind::kUnavailable);
  systemd_.answers.clear();
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  EXPECT_TRUE(Launch({"a"})[0].ok());
  EXPECT_EQ(systemd_.history, Names{"start " + Unit(0)});
}

TEST_F(SystemdProviderTest, AClaimWhoseStartNeverCameIsDropped) {
  Observe();
  systemd_.answers.insert({"start", kGone});
  EXPECT_FALSE(Launch({"a"})[0].ok());
  systemd_.answers.clear();
  EXPECT_TRUE(Observe().instances.empty());
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/web/a"));
  EXPECT_TRUE(Launch({"b"})[0].ok());
  EXPECT_EQ(systemd_.Asked("start " + Unit(0)), 2);
}

TEST_F(SystemdProviderTest, AListOfBeforeAStartSaysNothingOfIt) {
  Observe();
  systemd_.HoldLists();
  bool seen = false;
  provider_->Observe({Ref()}, [&](const Result<std::vector<Observation>>&) { seen = true; });
  systemd_.Run("web@9.service");  // so that a list is asked for
  EXPECT_FALSE(Until([&] { return seen; }, Millis(50)));
  EXPECT_TRUE(Launch({"a"})[0].ok());
  systemd_.LetGo();
  ASSERT_TRUE(Until([&] { return seen; }));
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  EXPECT_EQ(ends_, 0);
}

TEST_F(SystemdProviderTest, WhatIsRefusedLeavesNothingBehind) {
  Observe();
  systemd_.answers.insert({"start", {ErrorKind::kNotFound, "there is no unit web@.service"}});
  EXPECT_EQ(Launch({"a"})[0].error().message, "there is no unit web@.service");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/web"));
  EXPECT_TRUE(Observe().instances.empty());
}

TEST_F(SystemdProviderTest, AManagerThatCannotBeReachedIsToldAndChangesNothing) {
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  systemd_.Break(kGone);
  ASSERT_TRUE(Until([&] { return pushed_.size() == 1; }));
  ASSERT_TRUE(pushed_[0].fault);
  EXPECT_EQ(pushed_[0].fault->kind, ErrorKind::kUnavailable);
  EXPECT_EQ(Observe().fault->message, "cannot reach systemd");
  EXPECT_EQ(told_["a"].state, InstanceState::kReady);
  EXPECT_EQ(Launch({"b"})[0].error().kind, ErrorKind::kUnavailable);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/web/b"));
  systemd_.Break(std::nullopt);
  ASSERT_TRUE(Until([&] { return pushed_.size() == 2; }));
  EXPECT_FALSE(pushed_[1].fault);
  EXPECT_EQ(Ids(pushed_[1]), Names{"a"});
  EXPECT_TRUE(Launch({"b"})[0].ok());
}

TEST_F(SystemdProviderTest, NoPortLeftIsToldAndStartsNothing) {
  target_->last_port = first_ + 1;
  Observe();
  const auto answers = Launch({"a", "b", "c"});
  EXPECT_TRUE(answers[0].ok() && answers[1].ok());
  EXPECT_EQ(answers[2].error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(systemd_.history.size(), 2u);
}

TEST_F(SystemdProviderTest, UnitsOfATemplateThatIsNotMeantAnyMoreStayUntilTheyAreEnded) {
  Observe();
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  target_ = std::make_shared<SystemdTarget>(*target_);
  target_->unit = *UnitTemplate::Parse("shop@.service");
  EXPECT_EQ(Ids(Observe()), Names{"a"});
  Launch({"b"});
  EXPECT_EQ(systemd_.Asked("start " + Unit(1)), 1);
  EXPECT_TRUE(Terminate({"a"})[0].ok());
  ASSERT_TRUE(Await("a", InstanceState::kGone));
}

TEST_F(SystemdProviderTest, UnitsOfAnEscapedNameAreFound) {
  target_->unit = *UnitTemplate::Parse("web\\x2dapi@.service");
  systemd_.Run(Unit(1));
  const std::string id = UnitStem(Unit(1));
  EXPECT_EQ(Ids(Observe()), Names{id});
  Launch({"a"});
  ASSERT_TRUE(Await("a", InstanceState::kReady));
  target_ = std::make_shared<SystemdTarget>(*target_);
  target_->unit = *UnitTemplate::Parse("shop@.service");  // then each is listed by its name
  Settle();
  EXPECT_EQ(ends_, 0);
  EXPECT_TRUE(Terminate({"a"})[0].ok());
  ASSERT_TRUE(Await("a", InstanceState::kGone));
}

TEST_F(SystemdProviderTest, TellsWhatUnitsUseWhereTheManagerCountsIt) {
  EXPECT_TRUE(Usage().empty());
  Observe();
  Launch({"a", "b", "c"});
  ASSERT_TRUE(Await("c", InstanceState::kReady));
  systemd_.usages[Unit(0)] = {.cpu_seconds = 1.5, .memory_bytes = 4096};
  systemd_.usages[Unit(1)] = {};  // not counted there
  systemd_.usages[Unit(2)] = {.cpu_seconds = 3, .memory_bytes = {}};
  const std::vector<InstanceUsage> usage = Usage();
  ASSERT_EQ(usage.size(), 2u);
  EXPECT_EQ(usage[0].service, "web");
  EXPECT_EQ(usage[0].instance, "a");
  EXPECT_EQ(usage[0].endpoint, "127.0.0.1:" + std::to_string(first_));
  EXPECT_EQ(usage[0].cpu_seconds, 1.5);
  EXPECT_EQ(usage[0].memory_bytes, 4096);
  EXPECT_EQ(usage[1].instance, "c");
  EXPECT_EQ(usage[1].cpu_seconds, 3);
  EXPECT_FALSE(usage[1].memory_bytes);
  systemd_.answers["usage"] = {ErrorKind::kUnavailable, "no"};
  EXPECT_TRUE(Usage().empty());
}

TEST_F(SystemdProviderTest, ATornRecordIsNone) {
  std::filesystem::create_directories(folder_ + "/web");
  FILE* const file = std::fopen((folder_ + "/web/a").c_str(), "w");
  std::fputs(("bus system\nunit " + Unit(0) + "\nport 2").c_str(), file);
  std::fclose(file);
  StartProvider();
  systemd_.Run(Unit(0));
  EXPECT_EQ(Ids(Observe()), Names{UnitStem(Unit(0))});
}

}  // namespace
}  // namespace autoscale
