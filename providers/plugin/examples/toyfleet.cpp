// A provider plugin for autoscaled in C++: it keeps each group in a text file, "next NUMBER" and
// then an instance a line, "ID ENDPOINT". Whoever reads the file brings up what stands in it.
//   provider: {type: files, group: web, address: 10.1.2.3, port: 8000, max: 8}
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <mutex>
#include <string>

#include "autoscale/v1/provider.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "plugin/grpc_controller.grpc.pb.h"

namespace v1 = autoscale::v1;
using grpc::ServerContext, grpc::Status, grpc::StatusCode;

struct Options {
  explicit Options(const v1::Target& target) {
    auto fields = target.options().fields();
    group = fields["group"].string_value();
    address = fields["address"].string_value();
    port = static_cast<int>(fields["port"].number_value());
    max = static_cast<size_t>(fields["max"].number_value());
  }
  std::string group, address;
  int port = 0;
  size_t max = 0;
};

struct Group {
  int next = 1;                                  // id: unique over time
  std::map<std::string, std::string> instances;  // endpoints by id
};

class Fleet final : public v1::Provider::Service {
 public:
  explicit Fleet(std::string folder) : folder_(std::move(folder)) {}

  Status Describe(ServerContext*, const v1::DescribeRequest*,
                  v1::DescribeResponse* answer) override {
    answer->set_name("toyfleet");
    return Status::OK;
  }

  Status Observe(ServerContext*, const v1::ObserveRequest* request,
                 v1::ObserveResponse* answer) override {
    const std::lock_guard lock(mutex_);  // calls come concurrently
    for (const v1::Target& target : request->targets()) {
      v1::TargetState& state = *answer->add_targets();
      state.set_service(target.service());
      const Options options(target);
      if (options.group.empty() || options.port < 1) {
        state.mutable_fault()->set_code(StatusCode::INVALID_ARGUMENT);
        state.mutable_fault()->set_message("group, address, port and max are needed");
        continue;
      }
      state.set_ends_exactly(true);
      state.mutable_poll()->set_nanos(500'000'000);
      const Group group = Read(options);
      state.set_capacity(static_cast<int>(group.instances.size()));
      for (const auto& [id, endpoint] : group.instances) {
        v1::TargetInstance* const instance = state.add_instances();
        instance->set_id(id);
        instance->set_endpoint(endpoint);
        instance->set_state(v1::TargetInstance::STATE_READY);
      }
    }
    return Status::OK;
  }

  Status SetCapacity(ServerContext*, const v1::SetCapacityRequest* request,
                     v1::SetCapacityResponse*) override {
    const std::lock_guard lock(mutex_);
    const Options options(request->target());
    const auto wanted = static_cast<size_t>(request->capacity());
    if (wanted > options.max) return {StatusCode::OUT_OF_RANGE, "the group has not that much room"};
    Group group = Read(options);
    for (const std::string& victim : request->victims()) group.instances.erase(victim);
    while (group.instances.size() > wanted) group.instances.erase(group.instances.begin());
    for (; group.instances.size() < wanted; ++group.next) {
      group.instances["node-" + std::to_string(group.next)] =
          options.address + ":" + std::to_string(options.port + group.next);
    }
    // Replaced as a whole: a plugin may be killed at any time.
    const std::string path = folder_ + "/" + options.group, fresh = path + ".new";
    std::ofstream file(fresh);
    file << "next " << group.next << '\n';
    for (const auto& [id, endpoint] : group.instances) file << id << ' ' << endpoint << '\n';
    file.close();
    if (file && std::rename(fresh.c_str(), path.c_str()) == 0) return Status::OK;
    return {StatusCode::UNAVAILABLE, "cannot write " + path};
  }

 private:
  Group Read(const Options& options) const {
    std::ifstream file(folder_ + "/" + options.group);
    Group group;
    std::string word, endpoint;
    if (!(file >> word >> group.next)) return {};
    while (file >> word >> endpoint) group.instances[word] = endpoint;
    return group;
  }
  const std::string folder_;
  std::mutex mutex_;
};

class Health final : public grpc::health::v1::Health::Service {
  Status Check(ServerContext*, const grpc::health::v1::HealthCheckRequest*,
               grpc::health::v1::HealthCheckResponse* answer) override {
    answer->set_status(grpc::health::v1::HealthCheckResponse::SERVING);
    return Status::OK;
  }
};

struct Controller final : plugin::GRPCController::Service {
  Status Shutdown(ServerContext*, const plugin::Empty*, plugin::Empty*) override {
    ended.set_value();
    return Status::OK;
  }
  std::promise<void> ended;
};

int main(int argc, char** argv) {
  const char* const folder = std::getenv("PLUGIN_UNIX_SOCKET_DIR");
  if (std::getenv("AUTOSCALED_PLUGIN") == nullptr || folder == nullptr || argc != 2) {
    std::cerr << "this is a plugin of autoscaled, which starts it\n";
    return 2;
  }
  Fleet fleet(argv[1]);
  Health health;
  Controller controller;
  const std::string path = std::string(folder) + "/files-" + std::to_string(getpid());
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&fleet).RegisterService(&health).RegisterService(&controller);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::cout << "1|1|unix|" << path << "|grpc|" << std::endl;
  controller.ended.get_future().wait();
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}
