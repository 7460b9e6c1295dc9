// The real daemon before a real systemd: its units are its instances.
#include <gtest/gtest.h>

#include <cctype>
#include <csignal>
#include <optional>

#include "tests/fault/fleet/fake_nginx.h"
#include "tests/integration/daemon_rig.h"
#include "tests/real/systemd_process.h"

namespace autoscale {
namespace {

class SystemdRealTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = SystemdProcess::Missing(); !missing.empty()) {
      GTEST_SKIP() << missing;
    }
    rig_.emplace(1);
    first_ = rig_->TakePorts();
    systemd_.emplace(rig_->folder() / "systemd");
    WriteTemplate("");
    ASSERT_TRUE(systemd_->Start()) << systemd_->Log();
    rig_->ConfigureDaemon("gateways: {edge: {" + gateway_.Section() + "}}\n");
    rig_->Write("policies/web.lua",
                "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
    WriteService("web@.service");
  }

  // web@.service, with more lines of [Service].
  void WriteTemplate(const std::string& service, const std::string& command = {}) {
    systemd_->WriteUnit(
        "web@.service",
        "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\n"
        "ExecStart=" +
            (command.empty() ? BuiltProgram("demo/demo-backend") + " --port %i" : command) +
            "\nStandardOutput=null\nStandardError=null\n" + service);
  }

  void WriteService(const std::string& unit, const std::string& more = "") {
    rig_->Write("services.d/web.yaml",
                "service: web\npolicy: ../policies/web.lua\ninterval: 250ms\nmax: 8\n"
                "metrics: {load: shared}\ngateways: [{gateway: edge}]\ndrain_timeout: 10s\n"
                "start_timeout: 20s\n"
                "scaling: {down: {stabilization: 0s, max_step_percent: 100}}\n"
                "provider:\n  type: systemd\n  unit: " +
                    unit + "\n  bus: " + systemd_->Bus() + "\n  ports: " + std::to_string(first_) +
                    "-" + std::to_string(first_ + DaemonRig::kPortsOfService - 1) +
                    "\n  health: {http: /healthz, interval: 200ms, timeout: 2s}\n" + more);
  }

  void Load(double value) { rig_->prometheus().Set("load", "web", value); }
  // systemd, gateway and status agree.
  bool IsAt(size_t count) {
    const std::set<int> ports = systemd_->Ports("web");
    if (ports.size() != count || gateway_.Serving("web") != ports) return false;
    const nlohmann::json service = rig_->Service("web");
    return !service.is_null() && service["capacity"]["desired"] == count &&
           service["capacity"]["ready"] == count && service["instances"].size() == count;
  }
  void Await(size_t count) {
    ASSERT_TRUE(Eventually([&] { return IsAt(count); }))
        << systemd_->Ctl({"list-units", "--all", "web@*"}) << rig_->Ctl({"status", "web"}).out
        << rig_->Explain("web");
  }
  bool Logs(const std::string& text) {
    return rig_->daemon().Errors().find(text) != std::string::npos;
  }
  bool AwaitLog(const std::string& text) {
    return Eventually([&] { return Logs(text); });
  }
  bool AwaitStatus(const std::string& text) {
    return Eventually([&] {
      return rig_->Ctl({"status", "web"}).out.find(text) != std::string::npos;
    });
  }
  std::string Unit(int port) { return "web@" + std::to_string(port) + ".service"; }

  FakeNginx gateway_;
  std::optional<DaemonRig> rig_;
  std::optional<SystemdProcess> systemd_;  // ends before the folder of the rig goes
  int first_ = 0;
};

TEST_F(SystemdRealTest, ScalesOutAndInWithExactVictims) {
  Load(1);
  rig_->Start();
  Await(1);
  EXPECT_EQ(systemd_->Ports("web"), std::set<int>{first_});
  Load(4);
  Await(4);
  EXPECT_EQ(systemd_->Ports("web"), (std::set<int>{first_, first_ + 1, first_ + 2, first_ + 3}));
  Load(2);
  Await(2);
  // Whoever ended was drained before: every list since then had it.
  EXPECT_TRUE(Logs("is drained after"));
  EXPECT_FALSE(Logs("is lost"));
  EXPECT_FALSE(Logs("by its bound"));
  Load(3);  // a port that was given back is given away again
  Await(3);
  EXPECT_LE(*systemd_->Ports("web").rbegin(), first_ + 3);
}

TEST_F(SystemdRealTest, WhatUnitsUseIsInMetrics) {
  Load(2);
  rig_->Start();
  Await(2);
  const std::string page = rig_->Get("/metrics").body;
  for (int port = first_; port < first_ + 2; ++port) {
    const std::string labels = "endpoint=\"127.0.0.1:" + std::to_string(port) + "\"} ";
    const auto value = [&](const std::string& name) {
      const size_t at = page.find(labels, std::min(page.find("\n" + name + "{"), page.size()));
      return at == std::string::npos ? -1 : std::stod(page.substr(at + labels.size()));
    };
    EXPECT_GT(value("autoscaled_instance_cpu_seconds_total"), 0) << page;
    // Counted where the control group that this systemd was given has the controller.
    const std::string memory = systemd_->Ctl({"show", "-P", "MemoryCurrent", Unit(port)});
    const bool counted = std::isdigit(static_cast<unsigned char>(memory[0])) != 0;
    EXPECT_EQ(value("autoscaled_instance_memory_bytes") > 0, counted) << memory;
  }
}

TEST_F(SystemdRealTest, AUnitThatFailsAtOnceIsToldAndRecoversOnceMended) {
  WriteTemplate("", "/bin/sh -c 'exit 7'");
  systemd_->Ctl({"daemon-reload"});
  Load(2);
  rig_->Start();
  EXPECT_TRUE(AwaitStatus("exited with status 7")) << rig_->Ctl({"status", "web"}).out;
  WriteTemplate("");
  systemd_->Ctl({"daemon-reload"});
  Await(2);
  // What failed was let go of.
  EXPECT_TRUE(Eventually([&] { return systemd_->Ports("web", "failed").empty(); }));
}

TEST_F(SystemdRealTest, WhoIgnoresItsStopIsKilledAfterTheBound) {
  WriteTemplate("KillSignal=SIGCONT\nTimeoutStopSec=infinity\n");
  systemd_->Ctl({"daemon-reload"});
  WriteService("web@.service", "  stop_timeout: 500ms\n");
  Load(2);
  rig_->Start();
  Await(2);
  Load(1);
  Await(1);
  EXPECT_TRUE(Logs("stopped; it was killed by SIGKILL")) << rig_->daemon().Errors();
  EXPECT_TRUE(Eventually([&] { return systemd_->Ports("web", "failed").empty(); }));
}

TEST_F(SystemdRealTest, AUnitThatIsKilledIsReplaced) {
  Load(2);
  rig_->Start();
  Await(2);
  systemd_->Ctl({"kill", "-s", "KILL", Unit(first_)});
  EXPECT_TRUE(AwaitLog("is lost: was killed by SIGKILL")) << rig_->daemon().Errors();
  Await(2);
}

TEST_F(SystemdRealTest, AUnitThatSystemdStartsAgainIsFollowed) {
  WriteTemplate("Restart=always\nRestartSec=500ms\n");
  systemd_->Ctl({"daemon-reload"});
  Load(2);
  rig_->Start();
  Await(2);
  systemd_->Ctl({"kill", "-s", "KILL", Unit(first_)});
  // It leaves the list, and comes back to it.
  EXPECT_TRUE(Eventually([&] { return gateway_.Serving("web") == std::set<int>{first_ + 1}; }));
  Await(2);
  EXPECT_NE(systemd_->Ctl({"show", "-p", "NRestarts", Unit(first_)}).find("NRestarts=1"),
            std::string::npos);
  EXPECT_FALSE(Logs("is lost"));
}

TEST_F(SystemdRealTest, UnitsOfPeopleAreTakenIn) {
  const int theirs = first_ + 5;
  systemd_->Ctl({"start", Unit(theirs)});
  Load(2);
  rig_->Start();
  Await(2);
  EXPECT_TRUE(systemd_->Ports("web").contains(theirs));
  // What a person adds to what is desired is drained and ended.
  systemd_->Ctl({"start", Unit(first_ + 7), "web@9.service"});
  EXPECT_TRUE(AwaitLog("web@" + std::to_string(first_ + 7) + " has ended: stopped"))
      << rig_->daemon().Errors();
  EXPECT_TRUE(systemd_->Ports("web").contains(9));  // out of the range
  systemd_->Ctl({"stop", "web@9.service", Unit(theirs)});
  Await(2);
}

TEST_F(SystemdRealTest, WhatCannotBeStartedIsToldWithTheRemedy) {
  systemd_->RemoveUnit("web@.service");
  systemd_->Ctl({"daemon-reload"});
  Load(1);
  rig_->Start();
  EXPECT_TRUE(AwaitStatus("there is no unit web@.service")) << rig_->Ctl({"status", "web"}).out;
  WriteTemplate("");
  systemd_->MaskUnit(Unit(first_));
  systemd_->Ctl({"daemon-reload"});
  EXPECT_TRUE(AwaitStatus("is masked")) << rig_->Ctl({"status", "web"}).out;
  systemd_->RemoveUnit(Unit(first_));
  systemd_->Ctl({"daemon-reload"});
  Await(1);
}

TEST_F(SystemdRealTest, AManagerThatHangsChangesNothing) {
  Load(2);
  rig_->Start();
  Await(2);
  systemd_->Signal(SIGSTOP);
  Load(3);
  EXPECT_TRUE(AwaitStatus("systemd does not answer")) << rig_->Ctl({"status", "web"}).out;
  EXPECT_EQ(gateway_.Serving("web").size(), 2u);
  EXPECT_FALSE(Logs("is lost"));
  systemd_->Signal(SIGCONT);
  Await(3);
  systemd_->Signal(SIGSTOP);
  EXPECT_TRUE(AwaitStatus("systemd does not answer")) << rig_->Ctl({"status", "web"}).out;
  systemd_->Signal(SIGCONT);
  EXPECT_TRUE(Eventually([&] {
    return rig_->Ctl({"status", "web"}).out.find("systemd does not answer") == std::string::npos;
  })) << "it can be reached again";
  Await(3);
}

TEST_F(SystemdRealTest, AManagerThatDiesWithItsUnitsComesBackToTheSameFleet) {
  Load(2);
  rig_->Start();
  Await(2);
  systemd_->Kill();
  EXPECT_TRUE(AwaitStatus("cannot reach systemd")) << rig_->Ctl({"status", "web"}).out;
  EXPECT_FALSE(Logs("is lost"));
  ASSERT_TRUE(systemd_->Start()) << systemd_->Log();
  Await(2);
}

TEST_F(SystemdRealTest, KilledInTheMiddleTheNextDaemonGoesOn) {
  Load(1);
  rig_->Start();
  Await(1);
  size_t most = 0;
  for (const size_t wanted : {4u, 2u, 5u, 1u}) {
    const bool out = wanted > systemd_->Ports("web").size();
    const size_t before = rig_->daemon().Errors().size();
    Load(static_cast<double>(wanted));
    ASSERT_TRUE(Eventually([&] {
      const std::string news = rig_->daemon().Errors().substr(before);
      return news.find(out ? "is asked for" : "is draining") != std::string::npos;
    }));
    EXPECT_EQ(rig_->End(SIGKILL), 128 + SIGKILL);
    most = std::max(most, systemd_->Ports("web").size());
    rig_->Start();
    Await(wanted);
    most = std::max(most, systemd_->Ports("web").size());
  }
  EXPECT_LE(most, 5u);
  EXPECT_FALSE(Logs("is lost"));
}

}  // namespace
}  // namespace autoscale
