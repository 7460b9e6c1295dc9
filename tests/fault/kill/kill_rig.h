// KillRig: the real daemon, made to die, behind a real nginx through which requests flow all the
// time; and the observer that judges what is left.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/fault/kill/judge.h"
#include "tests/real/nginx_process.h"

namespace autoscale {

class KillRig {
 public:
  // The service's name is its own, so that its processes cannot be taken for another test's.
  // `settle`: how long nginx's workers are given after a push, and a drain so lasts at least.
  KillRig(std::filesystem::path nginx_root, std::chrono::milliseconds settle);

  // Starts nginx, the daemon with `instances`, and the load. Asserts.
  void Start(int instances);
  DaemonRig& daemon() { return rig_; }
  [[nodiscard]] const std::string& service() const { return service_; }

  // What the policy asks for from now on.
  void Want(int instances) { rig_.prometheus().Set("load", service_, instances); }
  // Writes the service's file anew, with another `max`.
  void SetMax(int max) { SetLine(rig_, service_, "max: " + std::to_string(max)); }
  // A daemon that will die at the point, NAME[:COUNT]. The one before must have ended.
  [[nodiscard]] std::unique_ptr<Child> StartArmed(const std::string& point) {
    return autoscale::StartArmed(rig_, point);
  }
  // Whether nginx lets one of the instances finish.
  [[nodiscard]] bool Drains() const;

  // Whether the observer finds nothing wrong within its patience; then it remembers what it saw.
  testing::AssertionResult Judge(int instances, const std::vector<std::string>& options = {});
  // Puts a second service beside it, and takes it away again, by a reload; it has a list of its own
  // in nginx.
  [[nodiscard]] bool AddLeaver(int instances);
  void RemoveLeaver();
  void ReturnLeaver();  // its file; for the next start
  testing::AssertionResult JudgeLeaver(int instances, const std::vector<std::string>& options);
  // Requests that got no good answer, and those that nginx had to try again elsewhere.
  [[nodiscard]] testing::AssertionResult NothingLost() const;
  // Ends the load; its own account, null when it gave none.
  nlohmann::json EndLoad();

 private:
  [[nodiscard]] std::string leaver() const { return "leaving-" + service_; }
  [[nodiscard]] std::string LeaverPath() const { return "services.d/" + leaver() + ".yaml"; }
  void WriteService(const std::string& service, const std::string& upstream);

  std::string service_;
  NginxProcess nginx_;  // goes after the daemon that pushes to it
  DaemonRig rig_;
  std::unique_ptr<Child> load_;
  std::string leaver_file_;  // as it was first written, with its own ports
};

// The root of an nginx with Lua; nothing: skip.
std::optional<std::filesystem::path> NginxRoot();
inline constexpr const char* kNoNginx =
    "no nginx with Lua: deploy/fetch-parts.sh build/parts gets it";

}  // namespace autoscale
