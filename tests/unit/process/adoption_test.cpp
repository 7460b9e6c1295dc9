// What a daemon finds of an earlier one.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "providers/process/folder.h"
#include "providers/process/identity.h"
#include "tests/signal_one.h"
#include "tests/unit/process/rig.h"

namespace autoscale {
namespace {

// Lets another daemon launch "orphan" with the backend's options and die at once by SIGKILL.
void LaunchAndDie(const Rig& rig, std::vector<std::string> options = {}) {
  const std::string port = std::to_string(rig.first_port());
  std::vector<std::string> words = {BesideTest("process_doomed_daemon"),
                                    rig.root() + "/state",
                                    port,
                                    BesideTest("process_backend"),
                                    "--port",
                                    port};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  ASSERT_EQ(posix_spawn(&pid, arguments[0], nullptr, nullptr, arguments.data(), environ), 0);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

// An instance's folder as an earlier daemon might have left it.
InstanceFolder Leave(const Rig& rig, const std::string& id) {
  InstanceFolder folder(rig.Folder(id));
  EXPECT_TRUE(folder.Create().ok());
  EXPECT_TRUE(folder.Write("claim", "127.0.0.1:" + std::to_string(rig.first_port()) + "\n").ok());
  return folder;
}

TEST(ProcessAdoption, RunningInstanceStaysReady) {
  Rig rig;
  rig.Launch(rig.Target(), {"a"});
  rig.Await("a", InstanceState::kReady);
  const pid_t pid = rig.Pid("a");
  rig.StopProvider();
  EXPECT_TRUE(Lives(pid));
  rig.StartProvider();
  const auto observed = rig.Observe(rig.Target());
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].state, InstanceState::kReady);
  EXPECT_EQ(observed[0].endpoint, "127.0.0.1:" + std::to_string(rig.first_port()));
  EXPECT_TRUE(rig.Launch(rig.Target(), {"a"})[0].ok());  // not a second time
  EXPECT_EQ(rig.Pid("a"), pid);
  // Its port is known: another instance gets the next.
  rig.Launch(rig.Target(), {"b"});
  EXPECT_EQ(rig.Await("b", InstanceState::kReady).endpoint,
            "127.0.0.1:" + std::to_string(rig.first_port() + 1));
  rig.Terminate(rig.Target(), {"a"});
  rig.Await("a", InstanceState::kGone);
  EXPECT_FALSE(Lives(pid));
}

TEST(ProcessAdoption, OrphanOfAKilledDaemonIsFoundAndStopped) {
  Rig rig;
  rig.StopProvider();
  LaunchAndDie(rig);
  rig.StartProvider();
  ASSERT_EQ(rig.Observe(rig.Target()).size(), 1u);  // launching or running, but never overlooked
  rig.Await("orphan", InstanceState::kReady);
  const pid_t pid = rig.Pid("orphan");
  rig.Terminate(rig.Target(), {"orphan"});
  const auto gone = rig.Await("orphan", InstanceState::kGone);
  EXPECT_NE(gone.detail.find("it was started before the daemon"), std::string::npos) << gone.detail;
  EXPECT_FALSE(Lives(pid));
}

TEST(ProcessAdoption, OrphanAskedToStopBeforeItIsKnownIsStopped) {
  Rig rig;
  rig.StopProvider();
  LaunchAndDie(rig);
  rig.StartProvider();
  rig.Terminate(rig.Target(), {"orphan"});
  rig.Await("orphan", InstanceState::kGone);
  EXPECT_FALSE(Lives(rig.Pid("orphan")));
}

// Many programs take a second signal as an order to drop everything.
TEST(ProcessAdoption, StopSignalIsSentOnceAndItsGraceGoesOn) {
  Rig rig;
  auto target = rig.Target();
  target->command = {"sh", "-c",
                     "trap 'echo asked' TERM; " + BesideTest("process_backend") +
                         " --ignore-term --port {port} & while :; do wait; done"};
  target->stop.grace = std::chrono::minutes(10);
  rig.Launch(target, {"a"});
  rig.Await("a", InstanceState::kReady);
  rig.Terminate(target, {"a"});
  EXPECT_TRUE(Eventually([&] { return rig.File("a", "stdout.log") == "asked\n"; }));
  EXPECT_TRUE(Eventually([&] { return !rig.File("a", "stop").empty(); }));
  rig.StopProvider();
  rig.StartProvider();
  auto hurried = std::make_shared<ProcessTarget>(*target);
  hurried->stop.grace = Millis(1);  // over, as it began when the signal was sent
  rig.Terminate(hurried, {"a"});
  EXPECT_EQ(rig.Await("a", InstanceState::kGone).detail, "killed: still running 1ms after SIGTERM");
  EXPECT_EQ(rig.File("a", "stdout.log"), "asked\n");
}

TEST(ProcessAdoption, LauncherStillAtWorkIsWaitedFor) {
  Rig rig;
  rig.StopProvider();
  const InstanceFolder folder = Leave(rig, "a");
  UniqueFd launcher = folder.Lock();  // as the launcher holds it before its record is there
  ASSERT_TRUE(launcher);
  rig.StartProvider();
  ASSERT_EQ(rig.Observe(rig.Target()).size(), 1u);
  EXPECT_EQ(rig.Observe(rig.Target())[0].state, InstanceState::kStarting);
  launcher = UniqueFd();  // dies without a record
  EXPECT_EQ(rig.Await("a", InstanceState::kGone).detail,
            "was not started: its launcher ended early");
}

TEST(ProcessAdoption, LaunchCutShortBeforeTheSpawnIsGone) {
  Rig rig;
  rig.StopProvider();
  ASSERT_TRUE(InstanceFolder(rig.Folder("bare")).Create().ok());
  Leave(rig, "claimed");
  rig.StartProvider();
  rig.Await("bare", InstanceState::kGone);
  rig.Await("claimed", InstanceState::kGone);
}

TEST(ProcessAdoption, ReusedPidIsNeverTouched) {
  Rig rig;
  // A bystander that now has the pid of an instance that ended long ago.
  rig.Launch(rig.Target(), {"bystander"}, "other");
  rig.Await("bystander", InstanceState::kReady, "other");
  const auto bystander = ParseProcessIdentity(rig.File("bystander", "record", "other"));
  ASSERT_TRUE(bystander);
  rig.StopProvider();
  auto other_start = *bystander, other_boot = *bystander;
  other_start.start_ticks -= 1;
  other_boot.boot_id = "00000000-0000-0000-0000-000000000000";
  ASSERT_TRUE(Leave(rig, "start").Write("record", ToText(other_start)).ok());
  ASSERT_TRUE(Leave(rig, "boot").Write("record", ToText(other_boot)).ok());
  ASSERT_TRUE(Leave(rig, "torn").Write("record", "pid " + std::to_string(bystander->pid)).ok());
  ASSERT_TRUE(Leave(rig, "all").Write("record", "pid -1\nstart 1\nboot x\n").ok());
  rig.StartProvider();
  EXPECT_EQ(rig.Await("start", InstanceState::kGone).detail,
            "ended while the daemon was not running");
  EXPECT_EQ(rig.Await("boot", InstanceState::kGone).detail, "ended when the machine restarted");
  rig.Await("torn", InstanceState::kGone);
  rig.Await("all", InstanceState::kGone);
  rig.Terminate(rig.Target(), {"start", "boot", "torn", "all"});
  EXPECT_TRUE(Lives(bystander->pid));
  EXPECT_EQ(rig.Observe(rig.Target(), "other")[0].state, InstanceState::kReady);
}

TEST(ProcessAdoption, EndWithoutADaemonIsGoneAndItsWorkersToo) {
  Rig rig;
  rig.Launch(rig.Target({"--fork"}), {"a"});
  rig.Await("a", InstanceState::kReady);
  const pid_t parent = rig.Pid("a");
  const std::string children =
      "/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children";
  const pid_t worker = std::stoi(ReadWhole(children));
  rig.StopProvider();
  SignalOne(parent, SIGKILL);
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  ASSERT_TRUE(Lives(worker));
  rig.StartProvider();
  EXPECT_EQ(rig.Await("a", InstanceState::kGone).detail, "ended while the daemon was not running");
  EXPECT_TRUE(Eventually([&] { return !Lives(worker); }));
}

TEST(ProcessAdoption, ReaderOfTheLockFileIsNoPartOfTheInstance) {
  Rig rig;
  rig.Launch(rig.Target({"--fork"}), {"a"});
  rig.Await("a", InstanceState::kReady);
  auto nosy = rig.Target();  // has the other's lock file open, as a backup might
  nosy->command = {"sh", "-c",
                   "exec 5<" + rig.Folder("a") + "/lock; exec " + BesideTest("process_backend") +
                       " --port {port}"};
  rig.Launch(nosy, {"b"});
  rig.Await("b", InstanceState::kReady);
  rig.StopProvider();
  const pid_t parent = rig.Pid("a");
  SignalOne(parent, SIGKILL);
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  rig.StartProvider();  // ends what "a" left behind
  rig.Await("a", InstanceState::kGone);
  // Had "b" been killed along, its end would tell.
  rig.Terminate(nosy, {"b"});
  const auto gone = rig.Await("b", InstanceState::kGone);
  EXPECT_NE(gone.detail.find("ended by SIGTERM"), std::string::npos) << gone.detail;
}

// As by a daemon that ran as another user for once.
TEST(ProcessAdoption, WhatCannotBeReadIsNotTakenForLost) {
  Rig rig;
  rig.Launch(rig.Target(), {"a"});
  rig.Await("a", InstanceState::kReady);
  rig.StopProvider();
  EventLoop loop;
  HttpClient http(loop, 1);
  const auto create = [&] { return CreateProcessProvider({loop, http, rig.root() + "/state"}); };
  // A folder in its place cannot be read by anybody, root included.
  const std::filesystem::path claim = rig.Folder("a") + "/claim", kept = rig.Folder("a") + "/kept";
  std::filesystem::rename(claim, kept);
  std::filesystem::create_directory(claim);
  const auto refused = create();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("cannot read " + claim.string() + ": "), std::string::npos)
      << refused.error().message;
  std::filesystem::remove(claim);
  std::filesystem::rename(kept, claim);
  EXPECT_TRUE(create().ok());
  rig.StartProvider();
  EXPECT_EQ(rig.Observe(rig.Target())[0].state, InstanceState::kReady);
}

TEST(ProcessAdoption, HowItEndedSurvivesARestart) {
  Rig rig;
  rig.Launch(rig.Target({"--exit", "3"}), {"a"});
  const auto gone = rig.Await("a", InstanceState::kGone);
  rig.StopProvider();
  rig.StartProvider();
  const auto observed = rig.Observe(rig.Target());
  ASSERT_EQ(observed.size(), 1u);
  EXPECT_EQ(observed[0].state, InstanceState::kGone);
  EXPECT_EQ(observed[0].detail, gone.detail);
  EXPECT_TRUE(rig.Launch(rig.Target(), {"a"})[0].ok());  // not again before it is forgotten
  EXPECT_EQ(rig.Observe(rig.Target())[0].state, InstanceState::kGone);
}

}  // namespace
}  // namespace autoscale
