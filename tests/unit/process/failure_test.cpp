// Launches that fail, and instances that end by themselves.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>

#include "providers/local/unique_fd.h"
#include "providers/process/folder.h"
#include "tests/signal_one.h"
#include "tests/unit/process/rig.h"

namespace autoscale {
namespace {

// Someone else's listener.
UniqueFd Occupy(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(fd.get(), 1), 0);
  return fd;
}

TEST(ProcessFailure, ExitIsNoticedWithItsLastWords) {
  Rig rig;
  rig.Launch(rig.Target({"--exit", "3"}), {"a"});
  const auto gone = rig.Await("a", InstanceState::kGone);
  EXPECT_TRUE(gone.detail.starts_with("exited with status 3 after ")) << gone.detail;
  EXPECT_TRUE(gone.detail.ends_with("s: no licence found")) << gone.detail;
  EXPECT_EQ(rig.Observe(rig.Target())[0].detail, gone.detail);
}

TEST(ProcessFailure, CrashNamesItsSignal) {
  Rig rig;
  rig.Launch(rig.Target(), {"a"});
  rig.Await("a", InstanceState::kReady);
  SignalOne(rig.Pid("a"), SIGABRT);
  const auto gone = rig.Await("a", InstanceState::kGone);
  EXPECT_TRUE(gone.detail.starts_with("ended by SIGABRT after ")) << gone.detail;
}

TEST(ProcessFailure, MissingProgramIsGoneWithTheReason) {
  Rig rig;
  auto target = rig.Target();
  target->command = {"/nowhere/backend", "{port}"};
  EXPECT_TRUE(rig.Launch(target, {"a"})[0].ok());
  EXPECT_EQ(rig.Await("a", InstanceState::kGone).detail,
            "cannot run /nowhere/backend: No such file or directory");
}

TEST(ProcessFailure, MissingFolderIsGoneWithTheReason) {
  Rig rig;
  auto target = rig.Target();
  target->directory = "/nowhere";
  rig.Launch(target, {"a"});
  EXPECT_EQ(rig.Await("a", InstanceState::kGone).detail,
            "cannot enter the folder /nowhere: No such file or directory");
}

TEST(ProcessFailure, OneThatGoesToTheBackgroundIsEndedAndToldHowToMend) {
  Rig rig;
  auto target = rig.Target();
  // It ends only when the other has left its group: who is still in it is ended with it.
  target->command = {"sh", "-c",
                     "setsid sh -c '>left; exec sleep 1000' & until [ -e left ]; do :; done; "
                     "echo {port}"};
  rig.Launch(target, {"a"});
  const auto gone = rig.Await("a", InstanceState::kGone);
  EXPECT_TRUE(gone.detail.starts_with("exited with status 0 after ")) << gone.detail;
  EXPECT_NE(gone.detail.find("keeps it in the foreground"), std::string::npos) << gone.detail;
  EXPECT_TRUE(Eventually([&] { return bool(InstanceFolder(rig.Folder("a")).Lock()); }))
      << "what it left behind still runs";
}

// As many daemons do: what is left holds nothing by which it could be found.
TEST(ProcessFailure, OneThatEndsWellBeforeItIsReadyIsToldHowToMend) {
  Rig rig;
  auto target = rig.Target();
  target->command = {"sh", "-c", "echo {port}"};
  rig.Launch(target, {"a"});
  const auto gone = rig.Await("a", InstanceState::kGone);
  EXPECT_TRUE(gone.detail.starts_with("exited with status 0 after ")) << gone.detail;
  EXPECT_NE(gone.detail.find("keeps it in the foreground"), std::string::npos) << gone.detail;
}

TEST(ProcessFailure, WhyItIsNotReadyYetIsTold) {
  Rig rig;
  std::ofstream(rig.root() + "/sick") << "yes";
  rig.Launch(rig.Target({"--sick-file", rig.root() + "/sick"}), {"a"});
  // "connection refused" may come first.
  EXPECT_TRUE(Eventually([&] {
    return rig.Await("a", InstanceState::kStarting).detail == "GET /healthz answered 503";
  }));
}

TEST(ProcessFailure, AFolderThatCannotBeMadeIsToldAndLeavesNothing) {
  Rig rig;
  std::filesystem::create_directory(rig.root() + "/state/web");
  std::ofstream(rig.root() + "/state/web/a") << "a file in its place";
  const auto answers = rig.Launch(rig.Target(), {"a"});
  ASSERT_FALSE(answers[0].ok());
  EXPECT_TRUE(rig.Observe(rig.Target()).empty());
  std::filesystem::remove(rig.root() + "/state/web/a");
  EXPECT_TRUE(rig.Launch(rig.Target(), {"a"})[0].ok());
  rig.Await("a", InstanceState::kReady);
}

TEST(ProcessFailure, TakenPortIsPassedOver) {
  Rig rig;
  const UniqueFd other = Occupy(rig.first_port());
  rig.Launch(rig.Target(), {"a"});
  EXPECT_EQ(rig.Await("a", InstanceState::kReady).endpoint,
            "127.0.0.1:" + std::to_string(rig.first_port() + 1));
}

TEST(ProcessFailure, OutOfPortsFailsOnlyTheRest) {
  Rig rig;
  auto target = rig.Target();
  target->last_port = target->first_port + 1;
  const auto answers = rig.Launch(target, {"a", "b", "c"});
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_TRUE(answers[0].ok());
  EXPECT_TRUE(answers[1].ok());
  ASSERT_FALSE(answers[2].ok());
  EXPECT_EQ(answers[2].error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(answers[2].error().message, "no free port in " + std::to_string(target->first_port) +
                                            "-" + std::to_string(target->last_port));
  EXPECT_EQ(rig.Observe(target).size(), 2u);
  // Those that others took are told apart: a range may be too small, or somebody sits in it.
  const UniqueFd other = Occupy(target->last_port + 1);
  target->last_port += 1;
  EXPECT_EQ(rig.Launch(target, {"c"})[0].error().message,
            "no free port in " + std::to_string(target->first_port) + "-" +
                std::to_string(target->last_port) + ", 1 of them taken by other programs");
  // The port of one that ended is free again.
  rig.Await("a", InstanceState::kReady);
  rig.Terminate(target, {"a"});
  rig.Await("a", InstanceState::kGone);
  EXPECT_TRUE(rig.Launch(target, {"c"})[0].ok());
  EXPECT_EQ(rig.Await("c", InstanceState::kReady).endpoint,
            "127.0.0.1:" + std::to_string(target->first_port));
}

TEST(ProcessFailure, ForeignHostIsRefused) {
  Rig rig;
  auto target = rig.Target();
  target->host = "192.0.2.1";
  const auto answers = rig.Launch(target, {"a"});
  ASSERT_FALSE(answers[0].ok());
  EXPECT_EQ(answers[0].error().kind, ErrorKind::kInvalid);
}

TEST(ProcessFailure, NamesThatLeaveTheFolderAreRefused) {
  Rig rig;
  for (const char* id : {"", ".", "..", "../x", "a/b", ".gone"}) {
    const auto answers = rig.Launch(rig.Target(), {id});
    ASSERT_FALSE(answers[0].ok()) << id;
    EXPECT_EQ(answers[0].error().kind, ErrorKind::kInvalid);
  }
}

}  // namespace
}  // namespace autoscale
