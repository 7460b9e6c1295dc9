#include "tests/fault/kill/kill_rig.h"

#include <csignal>
#include <cstdlib>
#include <sstream>

#include "tests/real/parts.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUpstream = "checkout";  // which nginx proxies
constexpr const char* kLeaving = "leaving";
// Counts its own evaluations, so that a lost `state` shows.
constexpr const char* kPolicy = R"(
state.evaluations = (state.evaluations or 0) + 1
state.marker = state.marker or "kept"
return scale_to(metric("load").value, "so many are asked for")
)";
constexpr const char* kCooldown = "cooldown: 300ms";
// Longer than any run; it is ended by a signal.
constexpr const char* kLoadSchedule = "36000:120";

double SumOf(const std::string& metrics, const std::string& series, const std::string& label) {
  std::istringstream lines(metrics);
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(series + "{") || line.find(label) == std::string::npos) continue;
    sum += std::atof(line.c_str() + line.rfind(' '));
  }
  return sum;
}

}  // namespace

std::optional<fs::path> NginxRoot() {
  auto root = PartsRoot("usr/sbin/nginx");
  if (root && !fs::exists(*root / "usr/lib/nginx/modules")) return std::nullopt;
  return root;
}

KillRig::KillRig(fs::path nginx_root, std::chrono::milliseconds settle)
    : service_(OwnName("kill")), nginx_(std::move(nginx_root)) {
  rig_.ConfigureDaemon("gateways: {edge: {type: nginx, settle: " + std::to_string(settle.count()) +
                       "ms, address: \"unix:" + nginx_.control_socket() + "\"}}\n");
  WriteService(service_, kUpstream);
}

void KillRig::WriteService(const std::string& service, const std::string& upstream) {
  rig_.WriteService(service, kPolicy,
                    "max: 8\ngateways: [{gateway: edge, upstream: " + upstream + "}]\n",
                    {"--rps-capacity", "1000", "--boot", "0.05"});
  SetLine(rig_, service,
          std::string("scaling: {up: {") + kCooldown + ", " + kRemember +
              "}, down: {stabilization: 0s, max_step_percent: 100, " + kCooldown + "}}");
}

void KillRig::Start(int instances) {
  ASSERT_TRUE(nginx_.Start()) << nginx_.ErrorLog();
  Want(instances);
  rig_.Start();
  ASSERT_TRUE(Judge(instances)) << rig_.Ctl({"status"}).out;
  load_ = std::make_unique<Child>(
      std::vector<std::string>{BuiltProgram("demo/demo-load"), "--port",
                               std::to_string(nginx_.port()), "--schedule", kLoadSchedule,
                               "--summary", rig_.folder() / "load.json"},
      rig_.folder() / "output/load");
}

bool KillRig::Drains() const {
  const std::string text = HttpProbe(nginx_.metrics_port()).Get("/metrics", false).body;
  return SumOf(text, "autoscaled_gateway_endpoints", "state=\"draining\"") > 0;
}

testing::AssertionResult KillRig::Judge(int instances, const std::vector<std::string>& options) {
  std::vector<std::string> all = {"--gateway",       nginx_.control_socket(),
                                  "--upstream",      kUpstream,
                                  "--memory",        rig_.folder() / "memory.json",
                                  "--cooldown-up",   "300",
                                  "--cooldown-down", "300"};
  all.insert(all.end(), options.begin(), options.end());
  return autoscale::Judge(rig_, service_, instances, all);
}

bool KillRig::AddLeaver(int instances) {
  rig_.prometheus().Set("load", leaver(), instances);
  if (leaver_file_.empty()) {
    WriteService(leaver(), kLeaving);
    leaver_file_ = ReadWhole(rig_.folder() / LeaverPath());
  } else {
    ReturnLeaver();
  }
  return rig_.Ctl({"reload"}).code == 0 && JudgeLeaver(instances, {});
}

void KillRig::ReturnLeaver() { rig_.Write(LeaverPath(), leaver_file_); }

void KillRig::RemoveLeaver() {
  fs::remove(rig_.folder() / LeaverPath());
  rig_.Ctl({"reload"});
}

testing::AssertionResult KillRig::JudgeLeaver(int instances,
                                              const std::vector<std::string>& options) {
  std::vector<std::string> all = {"--gateway", nginx_.control_socket(), "--upstream", kLeaving,
                                  "--returned"};
  all.insert(all.end(), options.begin(), options.end());
  return autoscale::Judge(rig_, leaver(), instances, all);
}

testing::AssertionResult KillRig::NothingLost() const {
  const std::string text = HttpProbe(nginx_.metrics_port()).Get("/metrics", false).body;
  const double failed = SumOf(text, "autoscaled_gateway_requests_total", "class=\"5xx\"");
  const double retried = SumOf(text, "autoscaled_gateway_retries_total", "");
  if (SumOf(text, "autoscaled_gateway_arrivals_total", "") == 0) {
    return testing::AssertionFailure() << "no request came by";
  }
  if (failed == 0 && retried == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << failed << " requests failed, " << retried << " were tried again elsewhere\n"
         << nginx_.ErrorLog();
}

nlohmann::json KillRig::EndLoad() {
  if (!load_) return {};
  load_->Signal(SIGTERM);
  if (load_->Wait() != 0) return {};
  return nlohmann::json::parse(ReadWhole(rig_.folder() / "load.json"), nullptr, false);
}

}  // namespace autoscale
