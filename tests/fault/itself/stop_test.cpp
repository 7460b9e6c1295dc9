// The end of the daemon, whatever it is in the middle of.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "daemon/store/sqlite.h"
#include "tests/fakes/http_server.h"
#include "tests/fault/itself/itself.h"

namespace autoscale {
namespace {

class StopTest : public ItselfTest {
 protected:
  // Connects to the control socket, says this much and no more.
  int Connect(const std::string& bytes) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (rig_.folder() / "control.sock").string().copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    (void)send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return fd;
  }
};

TEST_F(StopTest, SigtermEndsItThoughEverythingHangs) {
  FakeHttpServer gateway;
  gateway.Handle(
      [](const FakeRequest&) { return FakeAnswer{.ending = FakeAnswer::Ending::kHang}; });
  rig_.ConfigureDaemon("gateways: {edge: {type: nginx, address: \"" + gateway.Url() + "\"}}\n");
  StartWith(2, "max: 6\ngateways: [{gateway: edge, upstream: web}]\n");
  const std::map<pid_t, int> before = rig_.Backends();

  // Prometheus hangs, clients of the control socket too.
  const std::string url = rig_.prometheus().Url();
  rig_.prometheus().Stop();
  FakeHttpServer hung(std::atoi(url.substr(url.rfind(':') + 1).c_str()));
  hung.Handle([](const FakeRequest&) { return FakeAnswer{.ending = FakeAnswer::Ending::kHang}; });
  const std::vector<int> clients = {Connect(""), Connect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                                    Connect("nonsense\r\n\r\n")};
  // A reload reads what nobody writes.
  const auto policy = rig_.folder() / "policies/web.lua";
  std::filesystem::remove(policy);
  ASSERT_EQ(mkfifo(policy.c_str(), 0600), 0);
  rig_.daemon().Signal(SIGHUP);
  // The store is locked, the worker does not run.
  auto lock = Database::Open(rig_.folder() / "state/autoscaled.db");
  ASSERT_TRUE(lock.ok());
  ASSERT_TRUE((*lock)->Execute("BEGIN IMMEDIATE").ok());
  SignalWorker(SIGSTOP);
  ASSERT_TRUE(hung.WaitForRequests(1));

  rig_.daemon().Signal(SIGTERM);
  rig_.daemon().Signal(SIGTERM);
  EXPECT_EQ(rig_.daemon().Wait(std::chrono::seconds(14)), 0);
  EXPECT_TRUE(Says(rig_.daemon().Errors(), {"stopping; the fleet serves on"}));
  EXPECT_EQ(rig_.Backends(), before);

  for (const int client : clients) close(client);
  lock.value().reset();
  hung.Stop();
  rig_.prometheus().Start();
  std::filesystem::remove(policy);
  rig_.Write("policies/web.lua", "return scale_to(metric(\"load\").value)\n");
  rig_.Start();
  AwaitSettled(2);
  EXPECT_EQ(rig_.Backends(), before);
}

// Nothing hangs: then it does not wait for that either.
TEST_F(StopTest, ASecondSigtermChangesNothing) {
  StartWith(2);
  const std::map<pid_t, int> before = rig_.Backends();
  for (int i = 0; i < 100; ++i) rig_.daemon().Signal(i % 2 == 0 ? SIGTERM : SIGINT);
  EXPECT_EQ(rig_.daemon().Wait(), 0);
  EXPECT_EQ(rig_.daemon().Errors().find("something hangs"), std::string::npos);
  EXPECT_EQ(rig_.Backends(), before);
}

TEST_F(StopTest, SigtermDuringTheStartEndsIt) {
  StartWith(2);
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  const std::map<pid_t, int> before = rig_.Backends();
  for (int i = 0; i < 8; ++i) {
    const auto daemon = rig_.Launch({});
    std::this_thread::sleep_for(std::chrono::milliseconds(5 * i));
    daemon->Signal(SIGTERM);
    const auto code = daemon->Wait();
    ASSERT_TRUE(code);
    EXPECT_TRUE(*code == 0 || *code == 128 + SIGTERM) << *code << daemon->Errors();
    EXPECT_EQ(rig_.Backends(), before);
  }
  rig_.Start();
  AwaitSettled(2);
  EXPECT_EQ(rig_.Backends(), before);
}

TEST_F(StopTest, SigtermEndsAStartThatHangs) {
  StartWith(2);
  EXPECT_EQ(rig_.End(SIGTERM), 0);
  const std::map<pid_t, int> before = rig_.Backends();
  const std::string token = rig_.folder() / "token";
  ASSERT_EQ(mkfifo(token.c_str(), 0600), 0);
  rig_.ConfigurePrometheus("{url: \"" + rig_.prometheus().Url() +
                           "\", timeout: 200ms, bearer_token: {file: token}}");
  const auto daemon = rig_.Launch({});
  // It reads what is never written to its end.
  int writer = -1;
  ASSERT_TRUE(Eventually([&] {
    writer = open(token.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return writer >= 0;
  })) << daemon->Errors();
  daemon->Signal(SIGTERM);
  EXPECT_EQ(daemon->Wait(), 0);
  EXPECT_TRUE(Says(daemon->Errors(), {"something hangs; left without it, the fleet serves on"}));
  EXPECT_EQ(rig_.Backends(), before);
  close(writer);
}

}  // namespace
}  // namespace autoscale
