#include "daemon/api/server.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "autoscale/v1/control.grpc.pb.h"

namespace autoscale {
namespace {

// Answers from memory and notes what it was asked. A gate can hold its calls.
class FakeSurface : public ControlSurface {
 public:
  Result<std::vector<ServiceView>> ReadServices(std::optional<std::string> service) override {
    Wait();
    if (service && *service != "web") {
      return Error{ErrorKind::kNotFound, "no service '" + *service + "'; did you mean web?"};
    }
    ServiceView view;
    view.name = "web";
    return std::vector<ServiceView>{view};
  }
  Result<DecisionRecord> Explain(const std::string& service) override {
    DecisionRecord record;
    record.service = service;
    return record;
  }
  Result<DecisionRecord> ExplainDecision(int64_t id) override {
    DecisionRecord record;
    record.id = id;
    return record;
  }
  Result<DecisionRecord> Inputs(const std::string& service) override { return Explain(service); }
  Result<DecisionRecord> InputsOfDecision(int64_t id) override { return ExplainDecision(id); }
  Result<ShadowView> ReadShadow(const std::string& service) override {
    ShadowView view{.service = service};
    view.account.evaluations = 3;
    return view;
  }
  Result<std::vector<DecisionRecord>> History(const std::string&, int limit) override {
    return std::vector<DecisionRecord>(static_cast<size_t>(limit));
  }
  Status Pause(const std::string& service, const std::string& reason) override {
    const std::lock_guard lock(mutex_);
    paused_ = service + ": " + reason;
    return Ok{};
  }
  Status Resume(const std::string&) override {
    return Error{ErrorKind::kConflict, "changed meanwhile"};
  }
  Status Protect(const std::string& service, const std::string& instance,
                 std::optional<Millis> duration, const std::string& reason) override {
    const std::lock_guard lock(mutex_);
    paused_ = service + "/" + instance + " for " +
              (duration ? std::to_string(duration->count()) + " ms" : "good") + ": " + reason;
    return Ok{};
  }
  Result<ReloadReport> Reload(bool) override {
    return Error{ErrorKind::kInvalid, "a.yaml:1: bad\nb.yaml:2: worse"};
  }

  void CloseGate() {
    const std::lock_guard lock(mutex_);
    gate_open_ = false;
  }
  void OpenGate() {
    const std::lock_guard lock(mutex_);
    gate_open_ = true;
    changed_.notify_all();
  }
  // Until so many calls wait at the gate; false when they never come.
  bool AwaitCallers(int n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return waiting_ >= n; });
  }
  std::string paused() {
    const std::lock_guard lock(mutex_);
    return paused_;
  }

 private:
  void Wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return gate_open_; });
    --waiting_;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool gate_open_ = true;
  int waiting_ = 0;
  std::string paused_;
};

class ControlServerTest : public ::testing::Test {
 protected:
  ControlServerTest() {
    std::string form = ::testing::TempDir() + "apiXXXXXX";
    folder_ = mkdtemp(form.data());
    spec_.socket = folder_ + "/control.sock";
  }
  ~ControlServerTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<ControlServer> Start() {
    auto server = ControlServer::Start(spec_, surface_);
    EXPECT_TRUE(server.ok()) << (server ? "" : server.error().message);
    return server ? std::move(server).value() : nullptr;
  }
  std::unique_ptr<v1::Control::Stub> Connect() const {
    return v1::Control::NewStub(
        grpc::CreateChannel("unix:" + spec_.socket, grpc::InsecureChannelCredentials()));
  }
  [[nodiscard]] unsigned Mode(const std::string& path) const {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  FakeSurface surface_;
  std::string folder_;
  ControlSpec spec_;
};

TEST_F(ControlServerTest, AnswersCallsAndMapsErrors) {
  const auto server = Start();
  const auto stub = Connect();
  {
    grpc::ClientContext call;
    v1::GetServicesResponse response;
    ASSERT_TRUE(stub->GetServices(&call, {}, &response).ok());
    EXPECT_EQ(response.services(0).name(), "web");
  }
  {
    grpc::ClientContext call;
    v1::GetServicesRequest request;
    request.set_service("wbe");
    v1::GetServicesResponse response;
    const grpc::Status status = stub->GetServices(&call, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(status.error_message(), "no service 'wbe'; did you mean web?");
    EXPECT_EQ(call.GetServerTrailingMetadata().count("autoscale-error"), 1u);
  }
  {
    grpc::ClientContext call;
    v1::PauseRequest request;
    request.set_service("web");
    request.set_reason("deploy");
    v1::PauseResponse response;
    ASSERT_TRUE(stub->Pause(&call, request, &response).ok());
    EXPECT_EQ(surface_.paused(), "web: deploy");
  }
  {
    grpc::ClientContext call;
    v1::ResumeRequest request;
    request.set_service("web");
    v1::ResumeResponse response;
    EXPECT_EQ(stub->Resume(&call, request, &response).error_code(), grpc::StatusCode::ABORTED);
  }
  {
    grpc::ClientContext call;
    v1::ReloadResponse response;
    EXPECT_EQ(stub->Reload(&call, {}, &response).error_message(), "a.yaml:1: bad\nb.yaml:2: worse");
  }
}

TEST_F(ControlServerTest, ExplainsByServiceOrById) {
  const auto server = Start();
  const auto stub = Connect();
  v1::ExplainRequest request;
  v1::ExplainResponse response;
  {
    grpc::ClientContext call;
    EXPECT_EQ(stub->Explain(&call, request, &response).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
  {
    grpc::ClientContext call;
    request.set_service("web");
    ASSERT_TRUE(stub->Explain(&call, request, &response).ok());
    EXPECT_EQ(response.record().service(), "web");
  }
  {
    grpc::ClientContext call;
    request.set_decision_id(7);
    ASSERT_TRUE(stub->Explain(&call, request, &response).ok());
    EXPECT_EQ(response.record().id(), 7);
  }
}

TEST_F(ControlServerTest, BoundsWhatCallersMayAskFor) {
  const auto server = Start();
  const auto stub = Connect();
  const auto history = [&](int limit) {
    grpc::ClientContext call;
    v1::HistoryRequest request;
    request.set_limit(limit);
    v1::HistoryResponse response;
    const grpc::Status status = stub->History(&call, request, &response);
    return status.ok() ? response.records_size() : -1;
  };
  EXPECT_EQ(history(0), 20);
  EXPECT_EQ(history(3), 3);
  EXPECT_EQ(history(1001), -1);
  EXPECT_EQ(history(-1), -1);

  const auto pause = [&](const std::string& service, size_t bytes) {
    grpc::ClientContext call;
    v1::PauseRequest request;
    request.set_service(service);
    request.set_reason(std::string(bytes, 'x'));
    v1::PauseResponse response;
    return stub->Pause(&call, request, &response).error_code();
  };
  EXPECT_EQ(pause("", 1), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(pause("web", 501), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(pause("web", 100'000), grpc::StatusCode::RESOURCE_EXHAUSTED);  // above any request
  EXPECT_EQ(surface_.paused(), "");
}

TEST_F(ControlServerTest, SetsTheModeWhateverTheMask) {
  spec_.mode = 0660;
  const mode_t before = umask(0);
  const auto server = Start();
  EXPECT_EQ(umask(before), 0u) << "the process's mask must be left as it was";
  EXPECT_EQ(Mode(spec_.socket), 0660u);
  EXPECT_EQ(Mode(spec_.socket + ".lock"), 0600u);
}

TEST_F(ControlServerTest, MakesTheSocketsFolder) {
  spec_.socket = folder_ + "/run/control.sock";
  const auto server = Start();
  EXPECT_TRUE(std::filesystem::is_socket(spec_.socket));
}

TEST_F(ControlServerTest, TellsASecondDaemonWhoHoldsTheLockAndLeavesTheFirstAlone) {
  const auto first = Start();
  const auto second = ControlServer::Start(spec_, surface_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::kConflict);
  EXPECT_NE(second.error().message.find("process " + std::to_string(getpid()) + " holds"),
            std::string::npos)
      << second.error().message;

  grpc::ClientContext call;
  v1::GetVersionResponse response;
  EXPECT_TRUE(Connect()->GetVersion(&call, {}, &response).ok());
}

TEST_F(ControlServerTest, ReplacesTheSocketOfACrashedDaemon) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, spec_.socket.c_str(), sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(fd);  // as kill -9 leaves it: a name that nobody listens on
  std::ofstream(spec_.socket + ".lock") << "4711\n";

  const auto server = Start();
  grpc::ClientContext call;
  v1::GetVersionResponse response;
  EXPECT_TRUE(Connect()->GetVersion(&call, {}, &response).ok());
}

TEST_F(ControlServerTest, RefusesToRemoveWhatIsNotASocket) {
  std::ofstream(spec_.socket) << "precious";
  const auto server = ControlServer::Start(spec_, surface_);
  ASSERT_FALSE(server.ok());
  EXPECT_NE(server.error().message.find("is not a socket"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(spec_.socket), 8u);
}

TEST_F(ControlServerTest, RefusesPathsAndGroupsThatCannotBe) {
  const auto refusal = [&](const ControlSpec& spec) {
    const auto server = ControlServer::Start(spec, surface_);
    return server.ok() ? "started" : server.error().message;
  };
  EXPECT_NE(refusal({.socket = folder_ + "/" + std::string(120, 'x')}).find("at most 107"),
            std::string::npos);
  EXPECT_NE(refusal({.socket = "control.sock"}).find("absolute"), std::string::npos);
  EXPECT_NE(refusal({.socket = folder_ + "/a/b/c.sock"}).find("cannot create"), std::string::npos);
  EXPECT_NE(refusal({.socket = spec_.socket, .group = "no-such-group"}).find("groupadd"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(spec_.socket));
}

TEST_F(ControlServerTest, ListensAtAPathWithSpecialCharacters) {
  spec_.socket = folder_ + "/a %41#?.sock";
  const auto server = Start();
  EXPECT_TRUE(std::filesystem::is_socket(spec_.socket));
}

TEST_F(ControlServerTest, ServesCallsSideBySide) {
  surface_.CloseGate();
  const auto server = Start();
  constexpr int kCalls = 8;
  std::atomic<int> succeeded{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back([&] {
      const auto stub = Connect();
      grpc::ClientContext call;
      v1::GetServicesResponse response;
      if (stub->GetServices(&call, {}, &response).ok()) ++succeeded;
    });
  }
  EXPECT_TRUE(surface_.AwaitCallers(kCalls));  // all at once inside
  surface_.OpenGate();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(succeeded, kCalls);
}

TEST_F(ControlServerTest, EndsWhileAConnectionIsOpenAndLetsTheNextOneStart) {
  auto server = Start();
  const auto stub = Connect();
  {
    grpc::ClientContext call;
    v1::GetVersionResponse response;
    ASSERT_TRUE(stub->GetVersion(&call, {}, &response).ok());
  }
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(spec_.socket));
  server = Start();
  EXPECT_NE(server, nullptr);
}

TEST_F(ControlServerTest, CancelsACallThatIsStillUnderWayAtTheEnd) {
  surface_.CloseGate();
  auto server = Start();
  grpc::Status status;
  std::thread caller([&] {
    const auto stub = Connect();
    grpc::ClientContext call;
    v1::GetServicesResponse response;
    status = stub->GetServices(&call, {}, &response);
  });
  ASSERT_TRUE(surface_.AwaitCallers(1));
  // The caller hears of the end although the daemon's own side is still at work; that ends in turn.
  std::thread stopper([&] { server.reset(); });
  caller.join();
  EXPECT_FALSE(status.ok());
  surface_.OpenGate();
  stopper.join();
  EXPECT_FALSE(std::filesystem::exists(spec_.socket));
}

TEST_F(ControlServerTest, ProtectionLastsForAWhileForGoodOrNotAnyMore) {
  const auto server = Start();
  const auto stub = Connect();
  v1::ProtectRequest request;
  request.set_service("web");
  request.set_instance("web-1");
  request.set_reason("a debugger is on it");
  const auto protect = [&] {
    grpc::ClientContext call;
    v1::ProtectResponse answer;
    return stub->Protect(&call, request, &answer).error_code();
  };
  EXPECT_EQ(protect(), grpc::StatusCode::OK);
  EXPECT_EQ(surface_.paused(), "web/web-1 for good: a debugger is on it");
  request.set_duration(90.5);
  EXPECT_EQ(protect(), grpc::StatusCode::OK);
  EXPECT_EQ(surface_.paused(), "web/web-1 for 90500 ms: a debugger is on it");
  request.set_off(true);
  EXPECT_EQ(protect(), grpc::StatusCode::OK);
  EXPECT_EQ(surface_.paused(), "web/web-1 for 0 ms: a debugger is on it");
  request.set_duration(-1);
  EXPECT_EQ(protect(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_duration(1e9);
  EXPECT_EQ(protect(), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace autoscale
