// Clients that flood the control socket and the listener.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "autoscale/v1/control.grpc.pb.h"
#include "tests/fault/itself/itself.h"

namespace autoscale {
namespace {

constexpr int kConnections = 300;
constexpr long kMostGrowthKib = (64 << 10) * kLarger;  // of the daemon, while it is flooded
// The preface of HTTP/2 and the head of a frame whose rest never comes.
constexpr std::string_view kHalfAFrame("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x20\1\0\0\0\0\1", 33);

class FloodTest : public ItselfTest {
 protected:
  ~FloodTest() override {
    for (const int fd : open_) close(fd);
  }
  // Opens many connections that say `bytes` and nothing more, and read nothing.
  void Connect(const sockaddr* address, socklen_t size, std::string_view bytes) {
    for (int i = 0; i < kConnections; ++i) {
      const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      (void)connect(fd, address, size);
      (void)send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      open_.push_back(fd);
    }
  }
  void ConnectToControl(std::string_view bytes) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    Socket().copy(address.sun_path, sizeof address.sun_path - 1);
    Connect(reinterpret_cast<sockaddr*>(&address), sizeof address, bytes);
  }
  void CloseAll() {
    for (const int fd : std::exchange(open_, {})) close(fd);
  }
  std::string Socket() const { return rig_.folder() / "control.sock"; }
  // By the decisions it makes, which need nobody who asks.
  void ExpectDecisions(const std::set<pid_t>& before, size_t instances) {
    Load(static_cast<double>(instances));
    EXPECT_TRUE(Eventually([&] { return rig_.BackendPids().size() == instances; }));
    const std::set<pid_t> now = rig_.BackendPids();
    EXPECT_TRUE(std::includes(now.begin(), now.end(), before.begin(), before.end()));
  }
  long Resident() { return FiguresOf(rig_.daemon().pid()).resident_kib; }

  std::vector<int> open_;
};

TEST_F(FloodTest, ConnectionsThatSayNothingOrNonsenseToTheControlSocket) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const long resident = Resident();
  ConnectToControl("");
  ConnectToControl("GET / HTTP/1.1\r\n\r\n");
  ConnectToControl(kHalfAFrame);
  ConnectToControl(std::string(100'000, 'x'));
  ExpectDecisions(before, 3);
  AwaitMoreTicks(4);
  EXPECT_EQ(rig_.Ctl({"status"}).code, 0) << "who has something to say is heard";
  EXPECT_LT(Resident() - resident, kMostGrowthKib);
  CloseAll();
  ExpectWell(before, 4);
}

TEST_F(FloodTest, CallsByTheThousandAndOneTooLarge) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const long resident = Resident();
  std::atomic<int> answered{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 24; ++i) {
    callers.emplace_back([&, i] {
      grpc::ChannelArguments own;  // a connection each
      own.SetInt("caller", i);
      const auto stub = v1::Control::NewStub(
          grpc::CreateCustomChannel("unix:" + Socket(), grpc::InsecureChannelCredentials(), own));
      for (int call = 0; call < 100; ++call) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
        v1::GetServicesRequest request;
        if (call % 10 == 9) request.set_service(std::string(1 << 20, 'x'));  // far too large
        v1::GetServicesResponse response;
        if (stub->GetServices(&context, request, &response).ok()) ++answered;
      }
    });
  }
  ExpectDecisions(before, 3);
  AwaitMoreTicks(2);
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(answered, 0);  // beyond 16 at a time they are refused
  EXPECT_LT(Resident() - resident, kMostGrowthKib);
  ExpectWell(before, 4);
}

TEST_F(FloodTest, ScrapersThatNeitherSendNorRead) {
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();
  const long resident = Resident();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(rig_.Port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  Connect(where, sizeof address, "");
  Connect(where, sizeof address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  Connect(where, sizeof address, "GET /met");
  ExpectDecisions(before, 3);
  EXPECT_EQ(rig_.Ctl({"status"}).code, 0);
  EXPECT_LT(Resident() - resident, kMostGrowthKib);
  CloseAll();
  ExpectWell(before, 4);
}

}  // namespace
}  // namespace autoscale
