// While nothing can be stored nothing is acted on; that is told, and it ends by itself.
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/fault/store/state_fixture.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBegins = "nothing is acted on until it can be stored";
constexpr const char* kEnds = "storing works again: what waited is acted on";

// What is shown in lines of a terminal's width.
std::string InOneLine(const std::string& text) {
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) line += word + " ";
  return line;
}

class OutageTest : public StateFixture {
 protected:
  // One outage, from its beginning to the daemon's recovery, with three instances that run on.
  template <typename Begin, typename End>
  void ExpectNothingIsDoneMeanwhile(const std::string& told, Begin begin, End end) {
    const std::map<pid_t, int> before = rig_->Backends();
    ASSERT_EQ(before.size(), 3u);
    const int begins = Told(kBegins), ends = Told(kEnds);
    begin();
    Load(1);  // far fewer are wanted
    ASSERT_TRUE(Eventually([&] { return rig_->Get("/healthz").status == 503; }));
    EXPECT_TRUE(Says(rig_->Get("/healthz").body, {told}));
    ASSERT_TRUE(Eventually([&] {
      return InOneLine(rig_->Explain("web")).find(told) != std::string::npos;
    })) << rig_->Explain("web");
    EXPECT_TRUE(Says(rig_->Service("web")["problem"].get<std::string>(), {told}));
    Load(6);  // and far more
    const double errors = rig_->Metric("autoscaled_store_errors_total");
    EXPECT_GT(errors, 0);
    ASSERT_TRUE(
        Eventually([&] { return rig_->Metric("autoscaled_store_errors_total") >= errors + 3; }));
    AwaitMoreTicks(4);
    EXPECT_EQ(rig_->Backends(), before);
    EXPECT_EQ(Told(kBegins), begins + 1);
    EXPECT_EQ(rig_->Get("/healthz").status, 503);

    Load(3);
    AwaitMoreTicks(2);
    end();
    ASSERT_TRUE(Eventually([&] { return rig_->Get("/healthz").status == 200; }));
    AwaitSettled(3);
    AwaitMoreTicks(2);
    EXPECT_EQ(rig_->Backends(), before);  // nothing that was thought meanwhile is done now
    EXPECT_EQ(Told(kEnds), ends + 1);
    Load(4);
    AwaitSettled(4);
    Load(3);
    AwaitSettled(3);
  }
};

TEST_F(OutageTest, AnotherProgramHoldsTheLock) {
  StartWith(3);
  Shell shell(Database());
  ExpectNothingIsDoneMeanwhile(
      "is locked by another program", [&] { shell.Run("BEGIN IMMEDIATE"); },
      [&] { shell.Run("ROLLBACK"); });
}

// That it is gone is true whether it is stored or not, and requests must not go there.
TEST_F(OutageTest, TheDeadLeaveTheListAtOnceAndAreReplacedAfterwards) {
  StartWith(3);
  Shell shell(Database());
  shell.Run("BEGIN IMMEDIATE");
  std::map<pid_t, int> alive = rig_->Backends();
  const auto [victim, port] = *alive.begin();
  alive.erase(victim);
  std::set<int> rest;
  for (const auto& [pid, its_port] : alive) rest.insert(its_port);
  ASSERT_EQ(kill(victim, SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web") == rest; }))
      << gateway_.List("web").dump();
  ASSERT_TRUE(Eventually([&] {
    return Says(rig_->Service("web")["problem"].get<std::string>(),
                {"is locked by another program"});
  }));
  AwaitMoreTicks(4);
  EXPECT_EQ(rig_->Backends(), alive);  // its successor would have to be stored
  EXPECT_EQ(gateway_.Serving("web"), rest);
  shell.Run("ROLLBACK");
  AwaitSettled(3);
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web").size() == 3; }));
}

// A scale-in that is decided in the very pass that fails to be stored is not told to gateways.
TEST_F(OutageTest, WhatIsNotStoredIsInNoList) {
  StartWith(3);
  const std::set<int> all = gateway_.Serving("web");
  ASSERT_EQ(all.size(), 3u);
  const size_t pushes = gateway_.pushes().size();
  Shell shell(Database());
  shell.Run("BEGIN IMMEDIATE");
  Load(1);
  ASSERT_TRUE(Eventually([&] { return rig_->Get("/healthz").status == 503; }));
  AwaitMoreTicks(4);
  for (size_t i = pushes; i < gateway_.pushes().size(); ++i) {
    EXPECT_EQ(gateway_.pushes()[i].serving, all);
  }
  shell.Run("ROLLBACK");
  AwaitSettled(1);
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web").size() == 1; }));
}

// What would be stored in such a file would be gone with the daemon.
TEST_F(OutageTest, TheDatabaseIsMovedAway) {
  StartWith(3);
  ExpectNothingIsDoneMeanwhile(
      "was removed, moved or replaced while autoscaled has it open",
      [&] { fs::rename(Database(), State() / "moved"); },
      [&] { fs::rename(State() / "moved", Database()); });
}

TEST_F(OutageTest, ADeletedDatabaseIsBroughtBackFromItsBackup) {
  StartWith(3);
  const std::map<pid_t, int> before = rig_->Backends();
  fs::remove(Database());
  Load(1);
  ASSERT_TRUE(Eventually([&] { return rig_->Get("/healthz").status == 503; }));
  AwaitMoreTicks(3);
  EXPECT_EQ(rig_->Backends(), before);
  rig_->End(SIGTERM);
  const std::string refusal = Refusal();
  ASSERT_TRUE(Says(refusal, {"is missing"}));
  Obey(refusal);
  Load(3);
  rig_->Start();
  AwaitSettled(3);
  EXPECT_EQ(rig_->Backends(), before);
}

// Writes fail as on a disk that has had its day: the limit is on every file that the daemon writes.
TEST_F(OutageTest, WritesFail) {
  StartWith(3);
  rlimit unlimited{};
  ASSERT_EQ(prlimit(rig_->daemon().pid(), RLIMIT_FSIZE, nullptr, &unlimited), 0);
  const std::map<pid_t, int> before = rig_->Backends();
  const rlimit none{.rlim_cur = 1, .rlim_max = unlimited.rlim_max};
  ASSERT_EQ(prlimit(rig_->daemon().pid(), RLIMIT_FSIZE, &none, nullptr), 0);
  Load(1);
  ASSERT_TRUE(Eventually([&] { return rig_->Get("/healthz").status == 503; }));
  EXPECT_TRUE(Says(rig_->Get("/healthz").body, {"look at the disk and the kernel's log"}));
  AwaitMoreTicks(4);
  EXPECT_EQ(rig_->Backends(), before);
  ASSERT_EQ(prlimit(rig_->daemon().pid(), RLIMIT_FSIZE, &unlimited, nullptr), 0);
  ASSERT_TRUE(Eventually([&] { return rig_->Get("/healthz").status == 200; }));
  AwaitSettled(1);
  EXPECT_TRUE(before.contains(rig_->Backends().begin()->first));
}

// A file system of its own for the state, which the daemon and we see and nobody else.
class DiskTest : public OutageTest {
 protected:
  void SetUp() override {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "no file system may be mounted here: " << std::strerror(errno);
    }
    OutageTest::SetUp();
    fs::create_directory(State());
    ASSERT_EQ(mount("tmpfs", State().c_str(), "tmpfs", 0, "size=4m"), 0) << std::strerror(errno);
  }
  void TearDown() override {
    if (!rig_) return;
    rig_->End(SIGKILL);
    umount2(State().c_str(), MNT_DETACH);
  }
  void Fill() {
    std::ofstream file(State() / "ballast");
    for (const std::string block(4096, 'x'); file;) file << block << std::flush;
  }
};

TEST_F(DiskTest, IsFull) {
  StartWith(3);
  ExpectNothingIsDoneMeanwhile(
      "is full: free some space there", [&] { Fill(); }, [&] { fs::remove(State() / "ballast"); });
}

TEST_F(DiskTest, ThatIsFullOrReadOnlyIsToldAtTheStart) {
  StartWith(2);
  const std::map<pid_t, int> before = rig_->Backends();
  rig_->End(SIGTERM);
  // Over the one that instances write to.
  ASSERT_EQ(mount(State().c_str(), State().c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(mount(nullptr, State().c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), 0);
  EXPECT_TRUE(Says(Refusal(), {"cannot open " + State().string(), "Read-only file system"}));
  ASSERT_EQ(umount2(State().c_str(), MNT_DETACH), 0);
  Fill();
  EXPECT_TRUE(Says(Refusal(), {"is full: free some space there"}));
  fs::remove(State() / "ballast");
  EXPECT_EQ(rig_->Backends(), before);
  rig_->Start();
  AwaitSettled(2);
  EXPECT_EQ(rig_->Backends(), before);
}

}  // namespace
}  // namespace autoscale
