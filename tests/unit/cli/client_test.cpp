#include "cli/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace autoscale::cli {
namespace {

// Answers in the daemon's place: the CLI must not link the daemon's own server.
class FakeDaemon : public v1::Control::Service {
 public:
  grpc::Status Explain(grpc::ServerContext* context, const v1::ExplainRequest* request,
                       v1::ExplainResponse* response) override {
    if (request->service() == "gone") return {grpc::StatusCode::INTERNAL, "no more"};
    if (request->service() == "young") {
      context->AddTrailingMetadata("autoscale-error", "1");
      return {grpc::StatusCode::UNAVAILABLE, "service young has not had a tick yet"};
    }
    response->mutable_record()->set_service(request->service());
    response->mutable_record()->set_id(request->decision_id());
    return grpc::Status::OK;
  }
  grpc::Status Reload(grpc::ServerContext* context, const v1::ReloadRequest*,
                      v1::ReloadResponse*) override {
    context->AddTrailingMetadata("autoscale-error", "1");
    return {grpc::StatusCode::INVALID_ARGUMENT, "a.yaml:1: bad\nb.yaml:2: \x1b[31mworse"};
  }
  grpc::Status GetVersion(grpc::ServerContext*, const v1::GetVersionRequest*,
                          v1::GetVersionResponse* response) override {
    response->set_version("9.9.9");
    return grpc::Status::OK;
  }
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    std::string form = ::testing::TempDir() + "cliXXXXXX";
    folder_ = mkdtemp(form.data());
    context_.socket = folder_ + "/control.sock";
  }
  ~ClientTest() override {
    if (server_) server_->Shutdown();
    std::filesystem::remove_all(folder_);
  }
  void StartDaemon() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + context_.socket, grpc::InsecureServerCredentials());
    builder.RegisterService(&daemon_);
    server_ = builder.BuildAndStart();
  }
  // Listens and never answers.
  int Listen() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, context_.socket.c_str(), sizeof(address.sun_path) - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd, 1), 0);
    return fd;
  }

  std::string folder_;
  std::ostringstream out_, err_;
  Context context_{.out = out_, .err = err_};
  FakeDaemon daemon_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(ClientTest, SaysWhatToDoWhenNoDaemonListens) {
  const std::string sentence = "autoscalectl: no daemon listens on " + context_.socket +
                               ": is autoscaled running? Try `systemctl status autoscaled`, or "
                               "give --socket PATH.\n";
  EXPECT_EQ(RunExplain(context_, "web"), kExitUnreachable);
  EXPECT_EQ(err_.str(), sentence);

  err_.str("");
  close(Listen());  // a socket that a dead daemon left
  EXPECT_EQ(RunExplain(context_, "web"), kExitUnreachable);
  EXPECT_EQ(err_.str(), sentence);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(ClientTest, TellsWhichGroupMayEnter) {
  if (geteuid() == 0) GTEST_SKIP() << "root may open everything";
  const int fd = Listen();
  chmod(context_.socket.c_str(), 0060);
  EXPECT_EQ(RunExplain(context_, "web"), kExitUnreachable);
  EXPECT_NE(err_.str().find("is open to group '"), std::string::npos) << err_.str();
  err_.str("");
  chmod(context_.socket.c_str(), 0);
  EXPECT_EQ(RunExplain(context_, "web"), kExitUnreachable);
  EXPECT_NE(err_.str().find("open to its owner alone"), std::string::npos) << err_.str();
  close(fd);
}

TEST_F(ClientTest, RefusesAPathThatNoSocketCanHave) {
  context_.socket = std::string(200, 'x');
  EXPECT_EQ(RunExplain(context_, "web"), kExitUsage);
}

TEST_F(ClientTest, GivesUpOnADaemonThatDoesNotAnswer) {
  const int fd = Listen();
  context_.timeout = Millis(50);
  EXPECT_EQ(RunExplain(context_, "web"), kExitUnreachable);
  EXPECT_NE(err_.str().find("did not answer within 50ms"), std::string::npos) << err_.str();
  close(fd);
}

TEST_F(ClientTest, TellsTheDaemonsOwnRefusalFromALostConnection) {
  StartDaemon();
  EXPECT_EQ(RunExplain(context_, "young"), kExitFailed);
  EXPECT_EQ(err_.str(), "autoscalectl: service young has not had a tick yet\n");
  err_.str("");
  EXPECT_EQ(RunExplain(context_, "gone"), kExitFailed);
  EXPECT_EQ(err_.str(), "autoscalectl: the daemon failed: no more\n");

  const grpc::Status lost(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  EXPECT_EQ(Describe(context_, lost, false).exit_code, kExitUnreachable);
}

TEST_F(ClientTest, KeepsTheLinesOfAReloadsFaults) {
  StartDaemon();
  EXPECT_EQ(RunReload(context_, false), kExitFailed);
  EXPECT_EQ(err_.str(), "autoscalectl: a.yaml:1: bad\nb.yaml:2:  [31mworse\n");
}

TEST_F(ClientTest, RefusesARequestThatAnOlderDaemonDoesNotKnow) {
  StartDaemon();
  EXPECT_EQ(RunResume(context_, "web"), kExitFailed);
  EXPECT_NE(err_.str().find("of another version"), std::string::npos) << err_.str();
}

TEST_F(ClientTest, ShowsBothVersions) {
  EXPECT_EQ(RunVersion(context_), kExitUnreachable);
  EXPECT_EQ(out_.str(), "autoscalectl " AUTOSCALED_VERSION "\n");  // known without a daemon
  out_.str("");
  StartDaemon();
  EXPECT_EQ(RunVersion(context_), kExitOk);
  EXPECT_EQ(out_.str(), "autoscalectl " AUTOSCALED_VERSION "\nautoscaled 9.9.9\n");
}

TEST_F(ClientTest, PrintsJsonWhenAsked) {
  StartDaemon();
  context_.json = true;
  EXPECT_EQ(RunExplainDecision(context_, 7), kExitOk);
  EXPECT_EQ(nlohmann::json::parse(out_.str())["id"], 7);
}

}  // namespace
}  // namespace autoscale::cli
