#include "tests/real/pod_runner.h"

#include <unistd.h>

#include <csignal>
#include <utility>

#include "tests/integration/daemon_rig.h"
#include "tests/real/http_probe.h"

namespace autoscale {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookEvery{50};
// A pod's preStop pause: as long as a gateway may still use it.
constexpr std::chrono::seconds kPause{2};

}  // namespace

PodRunner::PodRunner(KubernetesClient& api, std::string api_namespace, Kind kind,
                     std::filesystem::path output)
    : api_(api),
      namespace_(std::move(api_namespace)),
      kind_(kind),
      output_(std::move(output)),
      port_(FreePort()),
      thread_([this] { Run(); }) {}

PodRunner::~PodRunner() {
  stop_ = true;
  thread_.join();
}

void PodRunner::Run() {
  while (!stop_) {
    Look();
    std::this_thread::sleep_for(kLookEvery);
  }
  pods_.clear();  // children die with the thread that started them anyway
}

std::string PodRunner::PathOf(const std::string& name) const {
  return "/api/v1/namespaces/" + namespace_ + "/pods" + (name.empty() ? "" : "/" + name);
}

void PodRunner::Look() {
  const auto answer = api_.Get(PathOf(""));
  if (!answer.ok()) return;  // pods run on while the API server is away
  std::set<std::string> names;
  for (const auto& item : answer.json["items"]) {
    const std::string name = item["metadata"]["name"];
    names.insert(name);
    Pod& pod = pods_[name];
    if (item["metadata"].contains("deletionTimestamp")) {
      if (!EndPod(name, pod)) names.erase(name);
    } else if (!pod.ready && !hold_) {
      StartPod(name, pod);
    }
  }
  std::erase_if(pods_, [&](const auto& pod) { return !names.contains(pod.first); });
  const std::lock_guard lock(mutex_);
  serving_.clear();
  for (const auto& [name, pod] : pods_) {
    if (pod.ready && pod.ends == steady_clock::time_point{}) serving_[name] = pod.address;
  }
}

void PodRunner::StartPod(const std::string& name, Pod& pod) {
  if (pod.address.empty()) {
    const int number = ++started_;
    pod.address = "127.9." + std::to_string(number / 200) + "." + std::to_string(number % 200 + 1);
  }
  if (kind_ == Kind::kReal && !pod.backend) {
    pod.backend = std::make_unique<Child>(
        std::vector<std::string>{BuiltProgram("demo/demo-backend"), "--address", pod.address,
                                 "--port", std::to_string(port_), "--rps-capacity", "1000"},
        output_ / ("pod-" + name));
  }
  if (pod.backend) {
    KubernetesClient backend("http://" + pod.address + ":" + std::to_string(port_), "", "");
    if (!backend.Get("/healthz").ok()) return;
  }
  const nlohmann::json ready{{"type", "Ready"}, {"status", "True"}};
  const nlohmann::json status{{"phase", "Running"},
                              {"podIP", pod.address},
                              {"podIPs", {{{"ip", pod.address}}}},
                              {"conditions", {ready}}};
  pod.ready = api_.Patch(PathOf(name) + "/status", {{"status", status}}).ok();
}

bool PodRunner::EndPod(const std::string& name, Pod& pod) {
  const auto now = steady_clock::now();
  if (pod.ends == steady_clock::time_point{}) {
    pod.ends = now + (pod.backend ? kPause : std::chrono::seconds(0));
  }
  if (now < pod.ends) return true;
  if (pod.backend) {
    pod.backend->Signal(SIGTERM);
    if (!pod.backend->Wait(std::chrono::seconds(0))) return true;
  }
  return !api_.Delete(PathOf(name), {{"gracePeriodSeconds", 0}}).ok();
}

std::set<std::string> PodRunner::Serving() const {
  const std::lock_guard lock(mutex_);
  std::set<std::string> all;
  for (const auto& [name, address] : serving_) all.insert(address + ":" + std::to_string(port_));
  return all;
}

std::set<std::string> PodRunner::Names() const {
  const std::lock_guard lock(mutex_);
  std::set<std::string> all;
  for (const auto& [name, address] : serving_) all.insert(name);
  return all;
}

}  // namespace autoscale
