// A manager of instances that speaks HTTP, a gateway, and the real daemon between them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "tests/fault/fleet/fake_nginx.h"
#include "tests/integration/daemon_rig.h"

namespace autoscale {

// Starts instances of its own, as soon as it is asked. Every method may be called from any thread.
class Manager {
 public:
  explicit Manager(const FakeNginx& gateway) : gateway_(gateway) {
    server_.Handle([this](const FakeRequest& request) { return Answer(request); });
  }

  [[nodiscard]] std::string Url() const { return server_.Url(); }
  // As somebody else would.
  void Resize(int count) {
    const std::lock_guard lock(mutex_);
    Bring(count, {});
  }
  // Answers everything so from now on; none: as it ought to.
  void Break(std::optional<FakeAnswer> answer) {
    const std::lock_guard lock(mutex_);
    broken_ = std::move(answer);
  }
  // The next change is made, and its answer never comes.
  void LoseNextAnswer() {
    const std::lock_guard lock(mutex_);
    lose_ = true;
  }
  [[nodiscard]] bool HasLost() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }
  [[nodiscard]] std::set<int> Ports() const {
    const std::lock_guard lock(mutex_);
    return ports_;
  }
  [[nodiscard]] size_t most() const {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  // Victims that a gateway still sent requests to.
  [[nodiscard]] int undrained() const {
    const std::lock_guard lock(mutex_);
    return undrained_;
  }

 private:
  FakeAnswer Answer(const FakeRequest& request) {
    const std::lock_guard lock(mutex_);
    if (broken_) return *broken_;
    if (request.method == "PUT") return Change(request);
    nlohmann::json group{{"capacity", ports_.size()}, {"instances", nlohmann::json::array()}};
    for (const int port : ports_) {
      group["instances"].push_back({{"id", "vm-" + std::to_string(port)},
                                    {"address", "127.0.0.1:" + std::to_string(port)},
                                    {"ready", true}});
    }
    return {.body = group.dump()};
  }

  FakeAnswer Change(const FakeRequest& request) {
    const auto wish = nlohmann::json::parse(request.body, nullptr, false);
    if (!wish.is_object() || request.Header("idempotency-key").empty()) return {.status = 400};
    std::vector<std::string> victims = wish["end"];
    Bring(wish["capacity"], victims);
    if (!lose_) return {.status = 202};
    lose_ = false;
    lost_ = true;
    return {.ending = FakeAnswer::Ending::kHang};
  }

  void Bring(int count, const std::vector<std::string>& victims) {
    const std::set<int> serving = gateway_.Serving("web");
    for (const std::string& victim : victims) {
      const int port = std::stoi(victim.substr(3));
      if (serving.contains(port)) ++undrained_;
      ports_.erase(port);
    }
    while (static_cast<int>(ports_.size()) > count) ports_.erase(ports_.begin());
    while (static_cast<int>(ports_.size()) < count) ports_.insert(next_port_++);
    most_ = std::max(most_, ports_.size());
  }

  const FakeNginx& gateway_;
  mutable std::mutex mutex_;
  std::optional<FakeAnswer> broken_;
  bool lose_ = false, lost_ = false;
  std::set<int> ports_;
  int next_port_ = 10001;
  size_t most_ = 0;
  int undrained_ = 0;
  FakeHttpServer server_;  // last: its threads call Answer
};

class HttpTargetTest : public testing::Test {
 protected:
  HttpTargetTest() {
    rig_.ConfigureDaemon("gateways: {edge: {" + gateway_.Section() + "}}\n");
    rig_.Write("policies/web.lua",
               "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
    WriteWeb(manager_);
  }

  // The service web at the manager; `extra` is more YAML.
  void WriteWeb(const Manager& manager, const std::string& extra = "") {
    rig_.Write("services.d/web.yaml",
               "service: web\npolicy: ../policies/web.lua\ninterval: 250ms\nmax: 8\n"
               "metrics: {load: shared}\ngateways: [{gateway: edge}]\ndrain_timeout: 10s\n"
               "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n" +
                   extra +
                   "provider:\n  type: http\n"
                   "  current: {url: \"" +
                   manager.Url() +
                   "/group\", pointer: /capacity}\n"
                   "  set: {url: \"" +
                   manager.Url() +
                   "/group\", body: '{\"capacity\": {{capacity}}, \"end\": {{victims}}}'}\n"
                   "  instances: {pointer: /instances, id: /id, address: /address, ready: /ready}\n"
                   "  poll: 200ms\n  timeout: 2s\n");
  }

  // A start that says so and ends.
  void ExpectRefused(const std::string& why) {
    const auto daemon = rig_.Launch({});
    EXPECT_EQ(daemon->Wait(), 1);
    EXPECT_TRUE(Says(daemon->Errors(), {why}));
  }

  void Load(double value) { rig_.prometheus().Set("load", "web", value); }
  // Manager, gateway and status agree.
  bool IsAt(size_t count) { return IsServing(manager_, count); }
  bool IsServing(const Manager& manager, size_t count) {
    const std::set<int> ports = manager.Ports();
    if (ports.size() != count || gateway_.Serving("web") != ports) return false;
    const nlohmann::json service = rig_.Service("web");
    return !service.is_null() && service["capacity"]["desired"] == count &&
           service["capacity"]["ready"] == count && service["instances"].size() == count;
  }
  void Await(size_t count) {
    ASSERT_TRUE(Eventually([&] { return IsAt(count); }))
        << manager_.Ports().size() << rig_.Ctl({"status", "web"}).out << rig_.Explain("web");
  }

  FakeNginx gateway_;
  Manager manager_{gateway_};
  DaemonRig rig_;
};

}  // namespace autoscale
