// Instances that do not start: each fault is told, costs nobody else anything, is tried again with
// growing pauses, and is over as soon as the configuration is mended.
#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tests/fault/fleet/fleet_fixture.h"

namespace autoscale {
namespace {

struct Row {
  std::string service;
  BackendOptions options;
  std::vector<std::string> told;  // by status
  std::string logged;
};

const std::string kSoon = "start_timeout: " + std::to_string(kSlower) + "s\n";

std::vector<Row> Rows() {
  const std::string not_ready = "was not ready within start_timeout: ";
  const std::string late = "(start_timeout): it is stopped and replaced";
  return {
      {"exits",
       {.arguments = {"--start", "exit"}},
       {"did not start: exited with status 3 after ", "no licence found"},
       "exited with status 3 after "},
      {"crashes",
       {.arguments = {"--start", "crash"}},
       {"did not start: ended by SIGSEGV after "},
       "ended by SIGSEGV after "},
      {"missing",
       {.command = {"/nowhere/backend", "{port}"}},
       {"cannot run /nowhere/backend: No such file or directory"},
       "cannot run /nowhere/backend: "},
      {"plaintext",
       {.command = {"../autoscaled.yaml", "{port}"}},
       {"cannot run ", "autoscaled.yaml: Permission denied"},
       "autoscaled.yaml: Permission denied"},
      {"homeless",
       {.directory = "../nowhere"},
       {"cannot enter the folder ", "nowhere: No such file or directory"},
       "cannot enter the folder "},
      {"silent",
       {.arguments = {"--start", "never"}, .service = kSoon},
       {not_ready, "connection refused"},
       late},
      {"broken",
       {.arguments = {"--answer", "500"}, .service = kSoon},
       {not_ready, "GET /healthz answered 500"},
       late},
      {"babbles",
       {.arguments = {"--answer", "garbage"}, .service = kSoon},
       {not_ready, "the answer is not HTTP"},
       late},
      {"closes",
       {.arguments = {"--answer", "close"}, .service = kSoon},
       {not_ready, "the connection was closed"},
       late},
      {"hangs",
       {.arguments = {"--answer", "hang"},
        .service = "start_timeout: " + std::to_string(3 * kSlower) + "s\n"},
       {not_ready, "timed out after 2s"},
       late},
      {"hides",
       {.arguments = {"--start", "background"}},
       {"exited with status 0 after ", "start it with the option that keeps it in the foreground"},
       "left processes in the background"},
      {"crowded",
       {.ports = 2},
       {"no free port in "},
       "could not start an instance: no free port in "},
  };
}

class StartFault : public FleetFixture {
 protected:
  StartFault() : FleetFixture(16) {}
};

TEST_F(StartFault, EachIsToldHarmsNobodyAndEndsWithTheMistake) {
  const std::vector<Row> rows = Rows();
  for (const Row& row : rows) WriteService(row.service);
  WriteService("neighbour");
  StartWith(2);
  const std::set<pid_t> before = rig_.BackendPids();

  for (const Row& row : rows) WriteService(row.service, row.options);
  Reload();
  for (const Row& row : rows) Want(3, row.service);
  for (const Row& row : rows) {
    SCOPED_TRACE(row.service);
    EXPECT_TRUE(Eventually([&] { return Says(Status(row.service), row.told); }))
        << Status(row.service);
    EXPECT_EQ(Metric("problem", row.service), 1);
    EXPECT_EQ(Metric("desired_instances", row.service), 3);
    EXPECT_GE(Metric("ready_instances", row.service), 2);
    EXPECT_TRUE(LogSays(row.logged));
    EXPECT_TRUE(Eventually([&] { return gateway_.Serving(row.service) == Ports(2, row.service); }));
  }
  EXPECT_EQ(Metric("problem", "neighbour"), 0);
  const std::set<pid_t> during = rig_.BackendPids();
  EXPECT_TRUE(std::includes(during.begin(), during.end(), before.begin(), before.end()))
      << "an instance that served was harmed";

  for (const Row& row : rows) WriteService(row.service);
  Reload();
  for (const Row& row : rows) {
    AwaitSettled(3, row.service);
    EXPECT_EQ(Metric("problem", row.service), 0) << Status(row.service);
  }
  const std::set<pid_t> after = rig_.BackendPids();
  EXPECT_TRUE(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  EXPECT_EQ(after.size(), 2 + 3 * rows.size());
}

// When the log says that an instance was asked for, in seconds of its minute-less clock.
std::vector<double> TimesAsked(const std::string& log) {
  std::vector<double> times;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.value("message", "").ends_with(" is asked for")) continue;
    const std::string time = json["time"];  // 2026-01-02T03:04:05.678Z
    times.push_back(std::stod(time.substr(11, 2)) * 3600 + std::stod(time.substr(14, 2)) * 60 +
                    std::stod(time.substr(17)));
    if (times.size() > 1 && times.back() < times[times.size() - 2]) times.back() += 86'400;
  }
  return times;
}

TEST_F(StartFault, TriesAgainWithGrowingPauses) {
  WriteService("web", {.arguments = {"--start", "exit"}});
  Want(1);
  rig_.Start();
  ASSERT_TRUE(Eventually([&] { return TimesAsked(rig_.daemon().Errors()).size() >= 5; }));
  const std::vector<double> times = TimesAsked(rig_.daemon().Errors());
  double pause = 0.5;
  for (const size_t attempt : {1, 2, 3, 4}) {
    EXPECT_GE(times[attempt] - times[attempt - 1], pause * 0.99) << "before attempt " << attempt;
    pause *= 2;
  }
  EXPECT_EQ(rig_.Metric("autoscaled_instances_started_total"), times.size());
  EXPECT_TRUE(Eventually([&] { return rig_.Backends().empty(); }));
}

TEST_F(StartFault, PortsOfTwoServicesMayNotOverlap) {
  WriteService("web");
  WriteService("other");
  first_ports_["other"] = FirstPort() + DaemonRig::kPortsOfService - 1;
  WriteService("other");
  first_ports_.erase("other");
  const auto check = rig_.Launch({"--check-config"});
  EXPECT_EQ(check->Wait(), 2);
  EXPECT_TRUE(Says(check->Errors(),
                   {"services.d/web.yaml:1: ", " overlap ", "of 'other' at ", "other.yaml:1"}));
  WriteService("other");  // as it should be
  StartWith(1);
}

}  // namespace
}  // namespace autoscale
