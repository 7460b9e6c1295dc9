// What the machine refuses or lacks: ports, descriptors, disk. And what instances do not inherit.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tests/fault/fleet/fleet_fixture.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

class MachineFault : public FleetFixture {};

// Somebody else's listener.
class Squatter {
 public:
  explicit Squatter(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 1), 0);
  }
  ~Squatter() { close(fd_); }
  Squatter(const Squatter&) = delete;
  Squatter& operator=(const Squatter&) = delete;

 private:
  int fd_;
};

TEST_F(MachineFault, ATakenPortIsPassedOverAndAllTakenIsTold) {
  WriteService("web", {.ports = 3});
  {
    const Squatter first(FirstPort());
    StartWith(2);
    const std::set<int> others = {FirstPort() + 1, FirstPort() + 2};
    EXPECT_EQ(gateway_.Serving("web"), others);
    EXPECT_EQ(Metric("problem"), 0);
    Want(3);
    EXPECT_TRUE(Eventually([&] {
      return StatusSays("no free port in ") && StatusSays(", 1 of them taken by other programs");
    })) << Status();
    EXPECT_EQ(Metric("problem"), 1);
    EXPECT_EQ(gateway_.Serving("web"), others);
    EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
  }
  AwaitSettled(3);
  EXPECT_EQ(Metric("problem"), 0);
}

TEST_F(MachineFault, EndlessOutputIsBounded) {
  WriteService("web", {.arguments = {"--flood"}, .provider = "  output: {max: 64KiB}\n"});
  Want(1);
  rig_.Start();
  ASSERT_TRUE(Eventually([&] { return gateway_.Serving("web").size() == 1; }));
  const fs::path output = rig_.folder() / "state/process/web/web-1-1/stdout.log";
  const fs::path older = output.string() + ".1";
  int rotations = 0;
  uintmax_t last = 0;
  ASSERT_TRUE(Eventually([&] {
    std::error_code none;
    const uintmax_t now = fs::file_size(output, none);
    rotations += now < last ? 1 : 0;
    last = now;
    return rotations == 3;
  }));
  EXPECT_LE(fs::file_size(older), 64u << 10);
  EXPECT_TRUE(ReadWhole(older).ends_with("x\n"));
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 0);
}

TEST_F(MachineFault, AFullDiskIsToldAndServingGoesOn) {
  const fs::path full = rig_.folder() / "state/process";
  fs::create_directories(full);
  const std::vector<std::string> apart = {"/usr/bin/unshare", "--map-root-user", "--mount"};
  const std::string mount = "mount -t tmpfs -o size=256k none " + full.string();
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), apart.begin(), apart.end());
    Child child(words, rig_.folder() / "output/unshare");
    return child.Wait().value_or(-1);
  };
  if (!fs::exists(apart[0]) || run({"/bin/sh", "-c", mount}) != 0) {
    GTEST_SKIP() << "a small disk cannot be mounted here: no user namespaces";
  }
  std::vector<std::string> under = apart;
  under.insert(under.end(), {"/bin/sh", "-c", mount + R"( && exec "$@")", "sh"});
  rig_.RunUnder(under);
  WriteService("web");
  StartWith(2);
  // Seen through the daemon's own view of the file system.
  const fs::path inside = "/proc/" + std::to_string(rig_.daemon().pid()) + "/root" + full.string();
  const std::string filler = inside / "filler";
  {
    Child fill({"/bin/dd", "if=/dev/zero", "of=" + filler, "bs=4k"}, rig_.folder() / "output/dd");
    ASSERT_EQ(fill.Wait(), 1);  // until it is full
  }
  const std::set<pid_t> before = rig_.BackendPids();
  Want(3);
  EXPECT_TRUE(Eventually([&] { return StatusSays("No space left on device"); })) << Status();
  EXPECT_EQ(Metric("problem"), 1);
  EXPECT_TRUE(LogSays("could not start an instance: cannot write "));
  SignalOne(PidAt(FirstPort()), SIGKILL);  // the watch over the others goes on
  EXPECT_TRUE(Eventually([&] { return gateway_.Serving("web") == std::set{FirstPort() + 1}; }));
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 1);

  fs::remove(filler);
  AwaitSettled(3);
  EXPECT_EQ(Metric("problem"), 0);
}

TEST_F(MachineFault, OutOfDescriptorsIsToldAndTriedAgain) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer looks at objects through descriptors of its own";
#endif
  WriteService("web");
  StartWith(3);
  const pid_t daemon = rig_.daemon().pid();
  const size_t pushes = gateway_.pushes().size();
  rlimit before{};
  ASSERT_EQ(prlimit(daemon, RLIMIT_NOFILE, nullptr, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;  // what is open stays open; nothing more can be
  ASSERT_EQ(prlimit(daemon, RLIMIT_NOFILE, &none, nullptr), 0);
  SignalOne(PidAt(FirstPort()), SIGKILL);
  const bool told =
      Eventually([&] { return LogSays("could not start an instance: cannot try ports: out of"); });
  // Health checks cannot be made either, and that is not held against the instances.
  ASSERT_TRUE(Eventually([&] { return LogSays(" is lost: ended by SIGKILL"); }));
  std::this_thread::sleep_for(std::chrono::seconds(1));  // five checks
  ASSERT_EQ(prlimit(daemon, RLIMIT_NOFILE, &before, nullptr), 0);
  EXPECT_TRUE(told) << rig_.daemon().Errors();
  AwaitSettled(3);
  EXPECT_EQ(gateway_.pushes().size(), pushes + 2) << "an instance left the list though it was well";
  EXPECT_EQ(rig_.Metric("autoscaled_instances_lost_total"), 1);
}

TEST_F(MachineFault, InstancesInheritNothingOfTheDaemon) {
  const std::string shown = rig_.folder() / "run/shown";
  WriteService("web",
               {.arguments = {"--show", shown}, .provider = "  environment: {MODE: test}\n"});
  setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
  setenv("WATCHDOG_USEC", "30000000", 1);
  setenv("DATABASE_PASSWORD", "secret", 1);
  Want(1);
  rig_.Start();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "DATABASE_PASSWORD"}) unsetenv(name);
  AwaitSettled(1);
  const std::string text = ReadWhole(shown);
  // Signals are as a program expects them.
  EXPECT_TRUE(
      Says(text, {"SigBlk:\t0000000000000000\n", "leads 1\n", "env AUTOSCALED_SERVICE=web\n",
                  "env AUTOSCALED_INSTANCE=web-1-1\n", "env MODE=test\n", "fd 0 /dev/null\n"}));
  for (const char* part :
       {"NOTIFY_SOCKET", "WATCHDOG", "secret", "socket:[", "eventpoll", "autoscaled.db", "memfd"}) {
    EXPECT_EQ(text.find(part), std::string::npos) << part << " in:\n" << text;
  }
  std::istringstream lines(text);
  int open = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("fd ") || line.find("/run/shown") != std::string::npos) continue;
    ++open;
    // Standard streams, the lock that says it lives, and /proc/self/fd itself.
    const bool ours = line.find("/state/process/web/web-1-1/") != std::string::npos ||
                      line.find("/dev/null") != std::string::npos ||
                      line.find("/proc/") != std::string::npos;
    EXPECT_TRUE(ours) << line;
  }
  EXPECT_EQ(open, 5) << text;
}

}  // namespace
}  // namespace autoscale
