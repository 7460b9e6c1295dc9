#include "tests/fault/fleet/fleet_fixture.h"

#include <filesystem>

namespace autoscale {
namespace {

std::string Quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "\"" : ", \"") + word + "\"";
  return text;
}

}  // namespace

FleetFixture::FleetFixture(int services) : rig_(services) {
  rig_.ConfigureDaemon("gateways: {edge: {" + gateway_.Section() + "}, spare: {" +
                       spare_.Section() + "}}\n");
}

void FleetFixture::TearDown() {
  if (HasFatalFailure()) return;
  for (const auto& [service, port] : first_ports_) Want(0, service);
  EXPECT_TRUE(Eventually([&] { return rig_.Backends().empty(); }))
      << rig_.Backends().size() << " instances were left behind\n"
      << rig_.Ctl({"status"}).out;
}

void FleetFixture::WriteService(const std::string& name, const BackendOptions& options) {
  const auto [first, fresh] = first_ports_.try_emplace(name);
  if (fresh) first->second = rig_.TakePorts();
  std::vector<std::string> command = options.command;
  if (command.empty()) {
    command = {BuiltProgram("tests/fault_backend"), "--port", "{port}"};
    command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  }
  rig_.Write("policies/" + name + ".lua", "return scale_to(metric(\"load\").value)\n");
  rig_.Write("services.d/" + name + ".yaml",
             "service: " + name + "\npolicy: ../policies/" + name +
                 ".lua\ninterval: 250ms\nmin: 0\nmax: 10\nmetrics: {load: shared}\n" +
                 "gateways: [" + options.gateways + "]\n" +
                 "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n" +
                 "drain_timeout: 10s\n" + options.service + "provider:\n  type: process\n" +
                 "  command: [" + Quoted(command) + "]\n  directory: " + options.directory +
                 "\n  ports: " + std::to_string(first->second) + "-" +
                 std::to_string(first->second + options.ports - 1) +
                 "\n  health: {http: /healthz, interval: 100ms, timeout: 2s, unhealthy_after: 2}" +
                 "\n  stop: {grace: 2s}\n" + options.provider);
}

void FleetFixture::Want(int instances, const std::string& service) {
  rig_.prometheus().Set("load", service, instances);
}

void FleetFixture::StartWith(int instances) {
  for (const auto& [service, port] : first_ports_) Want(instances, service);
  rig_.Start();
  for (const auto& [service, port] : first_ports_) AwaitSettled(instances, service);
}

void FleetFixture::Reload() {
  const DaemonRig::Ended reload = rig_.Ctl({"reload"});
  ASSERT_EQ(reload.code, 0) << reload.err;
}

void FleetFixture::AwaitSettled(int instances, const std::string& service) {
  ASSERT_TRUE(Eventually([&] {
    return rig_.Settled(service, instances) &&
           gateway_.Serving(service).size() == static_cast<size_t>(instances);
  })) << Status(service)
      << rig_.Explain(service) << gateway_.List(service);
}

std::set<int> FleetFixture::Ports(int count, const std::string& service) {
  std::set<int> ports;
  for (int i = 0; i < count; ++i) ports.insert(first_ports_[service] + i);
  return ports;
}

pid_t FleetFixture::PidAt(int port) {
  for (const auto& [pid, at] : rig_.Backends()) {
    if (at == port) return pid;
  }
  return -1;
}

void FleetFixture::Answers(int port, const std::string& how) {
  const std::string file = port == 0 ? "run/answer" : "run/answer." + std::to_string(port);
  if (how.empty()) {
    std::filesystem::remove(rig_.folder() / file);
    return;
  }
  rig_.Write(file + ".new", how);
  std::filesystem::rename(rig_.folder() / (file + ".new"), rig_.folder() / file);
}

std::string FleetFixture::Status(const std::string& service) {
  return rig_.Service(service).dump(2);
}

bool FleetFixture::StatusSays(const std::string& phrase, const std::string& service) {
  return Status(service).find(phrase) != std::string::npos;
}

bool FleetFixture::LogSays(const std::string& phrase) {
  return rig_.daemon().Errors().find(phrase) != std::string::npos;
}

double FleetFixture::Metric(const std::string& name, const std::string& service) {
  return rig_.Metric("autoscaled_service_" + name + "{service=\"" + service + "\"}");
}

}  // namespace autoscale
