// fake-plugin MODE FOLDER [STARTS]: a plugin that misbehaves as MODE says, for its first STARTS
// starts (all of them), and is well from then on. Notes each start, and what it was asked, in
// FOLDER.
#include <google/rpc/retry.pb.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iostream>
#include <string>
#include <thread>

#include "autoscale/v1/provider.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "plugin/grpc_controller.grpc.pb.h"

namespace v1 = autoscale::v1;
using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;

namespace {

std::string mode, folder;

void Note(const std::string& line) {
  std::ofstream(folder + "/notes", std::ios::app) << line + "\n";
}

int CountStarts() {
  std::ifstream notes(folder + "/notes");
  int starts = 0;
  for (std::string line; std::getline(notes, line);) starts += line == "start" ? 1 : 0;
  return starts;
}

[[noreturn]] void WaitForEver() {
  while (true) pause();
}

class Provider final : public v1::Provider::Service {
  Status Describe(ServerContext*, const v1::DescribeRequest* request,
                  v1::DescribeResponse* answer) override {
    if (mode == "undescribed") return {StatusCode::INTERNAL, "who am I"};
    if (mode == "late-description") WaitForEver();
    answer->set_name("fake for " + request->daemon_version());
    answer->set_version("1");
    return Status::OK;
  }

  Status Validate(ServerContext*, const v1::ValidateRequest* request,
                  v1::ValidateResponse* answer) override {
    if (mode == "unvalidating") return {StatusCode::UNIMPLEMENTED, ""};
    if (mode == "no-verdict") return Status::OK;
    for (const v1::Target& target : request->targets()) {
      Note("validate " + target.service());
      v1::Verdict& verdict = *answer->add_verdicts();
      verdict.set_service(target.service());
      auto fields = target.options().fields();
      verdict.set_identity(fields["group"].string_value());
      if (fields["bad"].bool_value()) {
        verdict.mutable_fault()->set_code(StatusCode::INVALID_ARGUMENT);
        verdict.mutable_fault()->set_message("'bad' must not be true");
      }
    }
    return Status::OK;
  }

  Status Observe(ServerContext*, const v1::ObserveRequest* request,
                 v1::ObserveResponse* answer) override {
    if (mode == "crash") std::abort();
    if (mode == "stop") raise(SIGSTOP);
    if (mode == "slow") std::this_thread::sleep_for(std::chrono::seconds(2));
    if (mode == "late") {
      Note("observing");
      while (access((folder + "/go").c_str(), F_OK) != 0) usleep(1000);
    }
    if (mode == "fail") return {StatusCode::UNAVAILABLE, "the cloud is down"};
    if (mode.starts_with("throttle")) {
      Note("throttled");
      if (mode == "throttle") return Throttled(std::chrono::seconds(60));
      mode = "well";
      return Throttled(std::chrono::milliseconds(1));
    }
    if (mode == "say-nothing") return Status::OK;
    for (const v1::Target& target : request->targets()) {
      Note("observe " + target.service());
      v1::TargetState& state = *answer->add_targets();
      state.set_service(target.service());
      state.set_capacity(mode == "negative" && target.service() == "web" ? -1 : 2);
      if (mode == "say-twice") *answer->add_targets() = state;
    }
    answer->add_targets()->set_service("nobody");
    return Status::OK;
  }

  Status SetCapacity(ServerContext*, const v1::SetCapacityRequest* request,
                     v1::SetCapacityResponse*) override {
    std::string victims;
    for (const std::string& victim : request->victims()) victims += " " + victim;
    Note("set " + request->target().service() + " " + std::to_string(request->capacity()) +
         " seen " + std::to_string(request->seen()) + " " + request->intent() + victims);
    auto fields = request->target().options().fields();
    const auto code = static_cast<StatusCode>(fields["code"].number_value());
    if (code != StatusCode::RESOURCE_EXHAUSTED) return {code, code == 0 ? "" : "as told"};
    return Throttled(std::chrono::seconds(9));
  }

  static Status Throttled(std::chrono::milliseconds delay) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(delay.count() / 1000);
    info.mutable_retry_delay()->set_nanos(static_cast<int>(delay.count() % 1000) * 1'000'000);
    google::rpc::Status details;
    auto& any = *details.add_details();
    any.set_type_url("type.googleapis.com/google.rpc.RetryInfo");
    any.set_value(info.SerializeAsString());
    return {StatusCode::RESOURCE_EXHAUSTED, "as told", details.SerializeAsString()};
  }
};

class Health final : public grpc::health::v1::Health::Service {
  Status Check(ServerContext*, const grpc::health::v1::HealthCheckRequest* request,
               grpc::health::v1::HealthCheckResponse* answer) override {
    using Answer = grpc::health::v1::HealthCheckResponse;
    if (request->service() != "plugin") return {StatusCode::NOT_FOUND, request->service()};
    answer->set_status(mode == "sick" ? Answer::NOT_SERVING : Answer::SERVING);
    return Status::OK;
  }
};

class Controller final : public plugin::GRPCController::Service {
 public:
  std::promise<void> ended;

 private:
  Status Shutdown(ServerContext*, const plugin::Empty*, plugin::Empty*) override {
    Note("shutdown");
    if (mode != "deathless") ended.set_value();
    return Status::OK;
  }
};

// What it does instead of serving.
void MisbehaveBeforeTheHandshake() {
  const std::string path = std::getenv("PLUGIN_UNIX_SOCKET_DIR") + std::string("/s");
  if (mode == "mute") WaitForEver();
  if (mode == "exit" || (mode == "late" && CountStarts() == 1)) {
    std::cerr << "no credentials" << std::endl;
    std::exit(3);
  }
  if (mode == "garbage") {
    std::cout << std::string(100'000, '\xfe') << std::endl;
    WaitForEver();
  }
  if (mode == "version") std::cout << "1|2|unix|" << path << "|grpc|" << std::endl;
  if (mode == "deaf") std::cout << "1|1|unix|" << path << "|grpc|" << std::endl;
  if (mode == "version" || mode == "deaf") WaitForEver();
}

void Flood() {
  const std::string line = std::string(200, 'f') + "\n";
  std::thread([line] {
    while (true) std::cout << line << std::flush;
  }).detach();
  std::thread([line] {
    while (true) std::cerr << line << std::flush;
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  mode = argv[1];
  folder = argv[2];
  Note("start");
  if (argc > 3 && CountStarts() > std::atoi(argv[3])) mode = "well";
  Note("cookie " + std::string(std::getenv("AUTOSCALED_PLUGIN")).substr(0, 4) + " versions " +
       std::getenv("PLUGIN_PROTOCOL_VERSIONS"));
  for (const char* name : {"GIVEN", "INHERITED", "SECRET"}) {
    if (const char* value = std::getenv(name)) Note(std::string(name) + "=" + value);
  }
  MisbehaveBeforeTheHandshake();
  Provider provider;
  Health health;
  Controller controller;
  const std::string path =
      std::getenv("PLUGIN_UNIX_SOCKET_DIR") + std::string("/s") + std::to_string(getpid());
  grpc::ServerBuilder builder;
  int port = 0;
  if (mode == "tcp") {
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  } else {
    builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  }
  builder.RegisterService(&provider).RegisterService(&health).RegisterService(&controller);
  const auto server = builder.BuildAndStart();
  if (port > 0) {
    std::cout << "1|1|tcp|127.0.0.1:" << port << "|grpc" << std::endl;
  } else {
    std::cout << "1|1|unix|" << path << "|grpc|" << std::endl;
  }
  if (mode == "flood") Flood();
  controller.ended.get_future().wait();
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}
