// The Debian package, installed and run by a real systemd as a user would have it.
#include <gtest/gtest.h>

#include <csignal>
#include <optional>

#include "tests/integration/daemon_rig.h"
#include "tests/real/systemd_process.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

// Built once for all tests; empty: it could not be.
const fs::path& Package(const fs::path& folder) {
  static const fs::path package = [&folder] {
    Child cpack({"/usr/bin/cpack", "--config", AUTOSCALE_BUILD "/CPackConfig.cmake", "-B",
                 (folder / "package").string()},
                folder / "cpack");
    EXPECT_EQ(cpack.Wait(std::chrono::minutes(3)), 0) << cpack.Output() << cpack.Errors();
    fs::path found;
    for (const auto& entry : fs::directory_iterator(folder / "package")) {
      if (entry.path().extension() == ".deb") found = entry.path();
    }
    const fs::path kept =
        fs::temp_directory_path() / ("autoscaled-" + std::to_string(getpid()) + ".deb");
    if (!found.empty()) fs::copy_file(found, kept);
    return found.empty() ? found : kept;
  }();
  return package;
}

class PackageRealTest : public testing::Test {
 protected:
  static void TearDownTestSuite() {
    std::error_code ignored;
    fs::remove(fs::temp_directory_path() / ("autoscaled-" + std::to_string(getpid()) + ".deb"),
               ignored);
  }

  void SetUp() override {
    std::string missing = SystemdProcess::Missing();
    for (const char* program : {"/usr/bin/dpkg", "/usr/bin/dpkg-shlibdeps", "/usr/bin/cpack"}) {
      if (!fs::exists(program)) missing = std::string("there is no ") + program;
    }
    if (!missing.empty()) GTEST_SKIP() << missing;
    rig_.emplace(1);
    etc_ = rig_->folder() / "etc";
    fs::create_directories(etc_ / "services.d");
    ASSERT_FALSE(Package(rig_->folder()).empty());
    systemd_.emplace(rig_->folder() / "systemd");
    // Nothing of the distribution is started here, so that there is nothing to wait for.
    fs::create_directory(rig_->folder() / "systemd/units/autoscaled.service.d");
    systemd_->WriteUnit("autoscaled.service.d/test.conf", "[Unit]\nDefaultDependencies=no\n");
  }

  void Boot() {
    systemd_->Install(Package(rig_->folder()), etc_);
    ASSERT_TRUE(systemd_->Start()) << systemd_->Log();
    booted_ = true;
  }
  void TearDown() override {
    if (booted_ && HasFailure())
      std::cerr << systemd_->Ctl({"status", "autoscaled"}) << systemd_->Log();
  }

  // A service of `load` instances; none of them needs a gateway.
  void WriteService() {
    rig_->Write(
        "etc/autoscaled.yaml",
        "prometheus: {url: \"" + rig_->prometheus().Url() +
            "\", timeout: 1s}\n"
            "listen: 127.0.0.1:0\n"
            "metrics:\n  load:\n    {query: load, unit: count, match: {service: \"{{service}}\"}, "
            "series: load, expect: 1, max_age: 5s}\n");
    rig_->Write("etc/web.lua", "return scale_to(metric(\"load\").value, \"so many\")\n");
    const int first = rig_->TakePorts();
    rig_->Write(
        "etc/services.d/web.yaml",
        "service: web\npolicy: ../web.lua\ninterval: 500ms\nmax: 6\nmetrics: {load: shared}\n"
        "provider:\n  type: process\n"
        "  command: [/etc/autoscaled/backend, --port, \"{port}\"]\n  ports: " +
            std::to_string(first) + "-" + std::to_string(first + DaemonRig::kPortsOfService - 1) +
            "\n  health: {http: /healthz, interval: 200ms, timeout: 2s}\n"
            "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n");
    fs::copy_file(BuiltProgram("demo/demo-backend"), etc_ / "backend");
  }

  std::string Shell(const std::string& script) {
    return systemd_->Run({"/bin/sh", "-c", script}).text;
  }
  // The processes of that name there, by pid and start.
  std::set<std::string> Processes(const std::string& name) {
    std::istringstream lines(Shell("cd /proc; for p in [0-9]*; do case $(cat $p/comm) in " + name +
                                   ") cut -d' ' -f1,22 $p/stat;; esac; done 2>/dev/null"));
    std::set<std::string> all;
    for (std::string line; std::getline(lines, line);) all.insert(line);
    return all;
  }
  std::set<std::string> Backends() { return Processes("backend"); }
  bool IsActive() { return systemd_->Ctl({"is-active", "autoscaled"}) == "active\n"; }
  bool Has(int ready) {
    const std::string answer = systemd_->Run({"autoscalectl", "status", "web", "-o", "json"}).text;
    const auto json = nlohmann::json::parse(answer, nullptr, false);
    if (!json.is_object() || json["services"].empty()) return false;
    const auto& capacity = json["services"][0]["capacity"];
    return capacity["desired"] == ready && capacity["ready"] == ready;
  }
  void Await(int ready) {
    ASSERT_TRUE(Eventually([&] { return Has(ready); }))
        << systemd_->Run({"autoscalectl", "status", "web"}).text;
    ASSERT_EQ(Backends().size(), static_cast<size_t>(ready));
  }

  std::optional<DaemonRig> rig_;
  std::optional<SystemdProcess> systemd_;  // ends before the folder of the rig goes
  fs::path etc_;
  bool booted_ = false;
};

TEST_F(PackageRealTest, StartsWithTheConfigurationThatComesWithIt) {
  Boot();
  EXPECT_EQ(systemd_->Run({"systemctl", "start", "autoscaled"}).code, 0);
  EXPECT_TRUE(IsActive());
  EXPECT_EQ(Shell("stat -c %U /proc/$(systemctl show -P MainPID autoscaled)"), "autoscaled\n");
  EXPECT_EQ(Shell("stat -c '%U %a' /var/lib/autoscaled"), "autoscaled 700\n");
  const SystemdProcess::Ended status = systemd_->Run({"autoscalectl", "status"});
  EXPECT_EQ(status.code, 0) << status.text;
  EXPECT_NE(systemd_->Ctl({"status", "autoscaled"}).find("0 services"), std::string::npos);
}

TEST_F(PackageRealTest, InstancesOutliveEveryEndOfTheDaemon) {
  WriteService();
  rig_->prometheus().Set("load", "web", 3);
  Boot();
  ASSERT_EQ(systemd_->Run({"systemctl", "start", "autoscaled"}).code, 0);
  Await(3);
  const std::set<std::string> backends = Backends();

  EXPECT_EQ(systemd_->Run({"systemctl", "restart", "autoscaled"}).code, 0);
  Await(3);
  EXPECT_EQ(Backends(), backends);

  const std::set<std::string> killed = Processes("autoscaled");
  ASSERT_EQ(killed.size(), 1u);
  systemd_->Ctl({"kill", "--kill-whom=main", "--signal=KILL", "autoscaled"});
  ASSERT_TRUE(Eventually([&] {
    const std::set<std::string> now = Processes("autoscaled");
    return now.size() == 1 && now != killed && IsActive();
  }));
  Await(3);
  EXPECT_EQ(Backends(), backends);

  EXPECT_EQ(systemd_->Run({"systemctl", "stop", "autoscaled"}).code, 0);
  EXPECT_EQ(Backends(), backends);
  EXPECT_EQ(systemd_->Run({"systemctl", "start", "autoscaled"}).code, 0);
  rig_->prometheus().Set("load", "web", 4);
  Await(4);
  const std::set<std::string> four = Backends();
  for (const std::string& one : backends) EXPECT_TRUE(four.contains(one)) << one;
}

TEST_F(PackageRealTest, AReloadWithAFaultFailsAndChangesNothing) {
  WriteService();
  rig_->prometheus().Set("load", "web", 2);
  Boot();
  ASSERT_EQ(systemd_->Run({"systemctl", "start", "autoscaled"}).code, 0);
  Await(2);
  Shell("sed -i 's/max: 6/max: many/' /etc/autoscaled/services.d/web.yaml");
  EXPECT_NE(systemd_->Run({"systemctl", "reload", "autoscaled"}).code, 0);
  EXPECT_TRUE(IsActive());
  rig_->prometheus().Set("load", "web", 3);
  Await(3);
  Shell("sed -i 's/max: many/max: 3/' /etc/autoscaled/services.d/web.yaml");
  EXPECT_EQ(systemd_->Run({"systemctl", "reload", "autoscaled"}).code, 0);
  rig_->prometheus().Set("load", "web", 6);
  ASSERT_TRUE(Eventually([&] {
    return systemd_->Run({"autoscalectl", "explain", "web"}).text.find("max 3") !=
           std::string::npos;
  })) << systemd_->Run({"autoscalectl", "explain", "web"}).text;
  Await(3);
}

TEST_F(PackageRealTest, AnUpgradeGoesOnAndARemovalLeavesTheFleet) {
  WriteService();
  rig_->prometheus().Set("load", "web", 2);
  Boot();
  const std::string package = (rig_->folder() / "systemd/package.deb").string();
  ASSERT_EQ(systemd_->Run({"systemctl", "enable", "--now", "autoscaled"}).code, 0);
  Await(2);
  const std::set<std::string> backends = Backends();
  const std::set<std::string> daemon = Processes("autoscaled");

  const SystemdProcess::Ended upgraded =
      systemd_->Run({"dpkg", "--force-confold", "--install", package});
  EXPECT_EQ(upgraded.code, 0) << upgraded.text;
  EXPECT_NE(Processes("autoscaled"), daemon);  // the new one runs
  Await(2);
  EXPECT_EQ(Backends(), backends);

  const SystemdProcess::Ended removed = systemd_->Run({"dpkg", "--remove", "autoscaled"});
  EXPECT_EQ(removed.code, 0) << removed.text;
  EXPECT_TRUE(Processes("autoscaled").empty());
  EXPECT_EQ(Backends(), backends);
  EXPECT_EQ(Shell("ls /var/lib/autoscaled | head -1 | wc -l"), "1\n");

  const SystemdProcess::Ended again =
      systemd_->Run({"dpkg", "--force-confold", "--install", package});
  EXPECT_EQ(again.code, 0) << again.text;
  EXPECT_EQ(systemd_->Run({"systemctl", "start", "autoscaled"}).code, 0);
  Await(2);
  EXPECT_EQ(Backends(), backends);
  EXPECT_EQ(systemd_->Run({"dpkg", "--purge", "autoscaled"}).code, 0);
  EXPECT_EQ(Shell("ls -d /var/lib/autoscaled 2>/dev/null | wc -l"), "0\n");
}

}  // namespace
}  // namespace autoscale
