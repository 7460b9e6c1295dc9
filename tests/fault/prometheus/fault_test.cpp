// Every fault at once, each met by a service of its own of one daemon: nothing changes while they
// last, everybody is told, and recovery counts the gap.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sstream>

#include "tests/fault/prometheus/faults.h"
#include "tests/integration/daemon_rig.h"

namespace autoscale {
namespace {

constexpr int kBefore = 2;                // instances, and the load that wants as many
constexpr int kTicks = 7;                 // that a fault lasts at least
constexpr int kPorts = 4;                 // of a service
constexpr int kInterval = 500 * kSlower;  // milliseconds
constexpr int kWindow = 6 * kInterval;    // milliseconds that a scale-in waits for
constexpr double kMostMemory = 700e6;     // bytes of the daemon; sanitizers take the most of it

bool IsFree(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return free;
}

// The first of enough free ports in a row, above those of other tests.
int FreePorts(int count) {
  constexpr int kLowest = 26'000, kRanges = 20;
  for (int i = 0; i < kRanges; ++i) {
    const int first = kLowest + (getpid() + i) % kRanges * count;
    bool free = true;
    for (int port = first; free && port < first + count; ++port) free = IsFree(port);
    if (free) return first;
  }
  std::abort();
}

// Lines and columns are for eyes.
std::string Flat(const std::string& text) {
  std::istringstream words(text);
  std::string flat;
  for (std::string word; words >> word;) flat += (flat.empty() ? "" : " ") + word;
  return flat;
}

// "2026-01-02T03:04:05.678Z".
double UnixSeconds(const std::string& text) {
  std::tm utc{};
  double seconds = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%lfZ", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
                  &utc.tm_hour, &utc.tm_min, &seconds) != 6) {
    return -1;
  }
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  return static_cast<double>(timegm(&utc)) + seconds;
}

class FaultTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    rig_ = new DaemonRig;
    rig_->ConfigurePrometheus("{url: \"" + rig_->prometheus().Url() +
                              "\", timeout: " + std::to_string(kQueryTimeout) +
                              "ms, max_connections: 128, max_answer: 1MiB}");
    const int first = FreePorts(kPorts * static_cast<int>(FaultRows().size()));
    for (size_t i = 0; i < FaultRows().size(); ++i) {
      WriteService(FaultRows()[i], MetricOf(i), first + kPorts * static_cast<int>(i));
    }
    Load(kBefore);
    rig_->Start();
  }
  static void TearDownTestSuite() {
    delete rig_;
    rig_ = nullptr;
  }

  static std::string MetricOf(size_t row) {
    return "fault" + std::to_string(row / 10) + std::to_string(row % 10);
  }

  static void WriteService(const FaultRow& row, const std::string& metric, int port) {
    const std::string behind =
        row.series
            ? ", series: " + metric + ", expect: " + std::to_string(row.expect) + ", max_age: 5s"
            : "";
    rig_->Write("policies/" + row.name + ".lua",
                "return scale_to(metric(\"" + metric + "\").value, \"so many are asked for\")\n");
    rig_->Write(
        "services.d/" + row.name + ".yaml",
        "service: " + row.name + "\npolicy: ../policies/" + row.name + ".lua\ninterval: " +
            std::to_string(kInterval) + "ms\nmin: 1\nmax: 4\nmetrics:\n  " + metric +
            ": {query: " + metric + ", unit: count, match: {service: \"{{service}}\"}" + behind +
            "}\nprovider:\n  type: process\n  command: [\"" + BuiltProgram("demo/demo-backend") +
            "\", --port, \"{port}\"]\n  ports: " + std::to_string(port) + "-" +
            std::to_string(port + kPorts - 1) +
            "\n  directory: ../run\n  health: {http: /healthz, interval: 1s, timeout: 5s}\n" +
            "scaling: {down: {stabilization: " + std::to_string(kWindow) +
            "ms}}\nstart_timeout: 60s\n");
  }

  // What every service asks for while nothing is wrong.
  static void Load(int load) {
    for (size_t i = 0; i < FaultRows().size(); ++i) {
      const FaultRow& row = FaultRows()[i];
      // As many series as it expects, and nothing that it did not ask for.
      rig_->prometheus().Break(MetricOf(i), [&row, load](double now) {
        const std::string value = std::to_string(load);
        return FakePrometheus::Vector(
            row.series ? FakePrometheus::Rows(row.name, value, now, 0, row.expect)
                       : FakePrometheus::Series("\"service\":\"" + row.name + '"', "", now, value));
      });
    }
  }
  static void BreakAll() {
    for (size_t i = 0; i < FaultRows().size(); ++i) {
      const FaultRow& row = FaultRows()[i];
      rig_->prometheus().Break(MetricOf(i),
                               [&row](double now) { return row.answer(row.name, now); });
    }
  }

  static std::string Gauge(const std::string& name, const std::string& service) {
    return "autoscaled_service_" + name + "{service=\"" + service + "\"}";
  }
  // The services of which a gauge is not `wanted`.
  static std::string Others(const std::string& gauge, double wanted) {
    const std::string text = "\n" + rig_->Get("/metrics").body;
    std::string others;
    for (const FaultRow& row : FaultRows()) {
      const std::string line =
          "\n" + Gauge(gauge, row.name) + " " + std::to_string(static_cast<int>(wanted)) + "\n";
      if (text.find(line) == std::string::npos) others += " " + row.name;
    }
    return others;
  }
  static void AwaitAll(int instances) {
    std::string others;
    ASSERT_TRUE(Eventually(
        [&] {
          others = Others("desired_instances", instances) + Others("ready_instances", instances);
          return others.empty();
        },
        4 * kPatience))
        << "not at " << instances << ":" << others;
  }
  static void AwaitMoreTicks(int count) {
    const double until = rig_->Metric("autoscaled_ticks_total") + count;
    ASSERT_TRUE(Eventually([&] { return rig_->Metric("autoscaled_ticks_total") >= until; }));
  }
  // Decisions that changed a capacity, either way and of whichever service.
  static double Changes() {
    return rig_->Metric("autoscaled_decisions_in_total") +
           rig_->Metric("autoscaled_decisions_out_total");
  }

  static void ExpectTold(const FaultRow& row, const std::string& metric);
  static void ExpectLogged(const FaultRow& row, const std::string& metric, const std::string& log,
                           double ticks);
  static void ExpectGapCounted(const FaultRow& row);

  static DaemonRig* rig_;
};

DaemonRig* FaultTest::rig_ = nullptr;

// explain, status and /metrics while the fault lasts.
void FaultTest::ExpectTold(const FaultRow& row, const std::string& metric) {
  const bool wrong = !row.phrases.empty();
  const std::string labels = "{service=\"" + row.name + "\",metric=\"" + metric + "\"";
  ASSERT_TRUE(Eventually([&] {
    return rig_->Metric("autoscaled_metric_state" + labels + ",state=\"" + row.state + "\"}") == 1;
  })) << "/metrics does not say that the metric is "
      << row.state << ", but " << Flat(rig_->Explain(row.name));
  if (!wrong) return;
  EXPECT_EQ(rig_->Metric("autoscaled_metric_fresh" + labels + "}"), 0);
  EXPECT_EQ(rig_->Metric("autoscaled_metric_value" + labels + "}"), -1)
      << "a value that means nothing";
  EXPECT_EQ(rig_->Metric(Gauge("holding", row.name)), 1);
  EXPECT_EQ(rig_->Metric(Gauge("problem", row.name)), 1);

  // Once more and again: on a machine that stalls a tick may know less than the others.
  std::vector<std::string> words = row.phrases;
  words.push_back("held at 2 instances");
  words.push_back("metric '" + metric + "' is " + row.state);
  words.push_back("why nothing changed");
  std::string explained;
  EXPECT_TRUE(Eventually([&] {
    explained = Flat(rig_->Explain(row.name));
    return static_cast<bool>(Says(explained, words));
  })) << Says(explained, words).message();
  words = row.phrases;
  words.push_back("metric '" + metric + "' is " + row.state);
  std::string problem;
  EXPECT_TRUE(Eventually([&] {
    problem = rig_->Service(row.name)["problem"];
    return static_cast<bool>(Says(problem, words));
  })) << Says(problem, words).message();
}

// The log says it when it begins, and not on every tick.
void FaultTest::ExpectLogged(const FaultRow& row, const std::string& metric, const std::string& log,
                             double ticks) {
  int told = 0;
  int words = 0;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || json.value("level", "") != "warn") continue;
    const std::string text = json.value("error", "") + json.value("detail", "");
    const bool query = json.value("message", "") == "queries fail; what depends on them holds";
    const bool sample = json.value("message", "") == "a metric is not usable" &&
                        json.value("service", "") == row.name &&
                        json.value("metric", "") == metric && json.value("state", "") == row.state;
    if (query && json.value("metric", "") == metric) ++told;
    if (sample) ++told;
    if ((row.state == "error" ? query : sample) && Says(text, row.phrases)) ++words;
  }
  if (row.phrases.empty()) return;
  EXPECT_GE(words, 1) << "the log does not say it";
  EXPECT_LE(told, 1 + ticks / 3) << "the log says it again and again";
}

// The first good sample after the outage asks for fewer, and is obeyed only once the window has
// seen nothing else: the holds were proposals too.
void FaultTest::ExpectGapCounted(const FaultRow& row) {
  const std::string text = rig_->Ctl({"history", row.name, "--limit", "1000", "-o", "json"}).out;
  const auto answer = nlohmann::json::parse(text, nullptr, false);
  ASSERT_TRUE(answer.is_object()) << text;
  double asked = 0;  // when fewer were wanted for the first time
  double cut = 0;
  for (const auto& record : answer["records"]) {  // newest first
    if (record["metrics"][0]["state"] == "error") break;
    const double at = UnixSeconds(record["at"]);
    if (record["proposal"]["capacity"] == 1) asked = at;
    if (record["decision"]["before"] == kBefore && record["decision"]["desired"] == 1) cut = at;
  }
  ASSERT_GT(asked, 0) << text;
  ASSERT_GT(cut, 0) << text;
  // The last hold was at most two ticks before the first good sample: a tick that waits for an
  // answer ends late.
  EXPECT_GE((cut - asked) * 1000, kWindow - 2 * kInterval)
      << "cut " << cut - asked << " s after the first good sample";
}

TEST_F(FaultTest, NothingChangesWhileItLastsAndEverybodyIsTold) {
  AwaitAll(kBefore);
  if (HasFatalFailure()) return;
  const double before = Changes();
  const double first_tick = rig_->Metric("autoscaled_ticks_total");
  BreakAll();
  for (size_t i = 0; i < FaultRows().size(); ++i) {
    SCOPED_TRACE("fault: " + FaultRows()[i].name);
    ExpectTold(FaultRows()[i], MetricOf(i));
  }
  AwaitMoreTicks(kTicks);
  EXPECT_EQ(Changes(), before) << "changed:" << Others("desired_instances", kBefore);
  EXPECT_LT(rig_->Metric("process_resident_memory_bytes"), kMostMemory);
  const std::string log = rig_->daemon().Errors();
  const double ticks = rig_->Metric("autoscaled_ticks_total") - first_tick;
  for (size_t i = 0; i < FaultRows().size(); ++i) {
    SCOPED_TRACE("fault: " + FaultRows()[i].name);
    ExpectLogged(FaultRows()[i], MetricOf(i), log, ticks);
  }

  // Then Prometheus is gone altogether.
  rig_->prometheus().Stop();
  const std::string& last = FaultRows().back().name;
  ASSERT_TRUE(Eventually([&] {
    return Flat(rig_->Explain(last)).find("connection refused") != std::string::npos;
  })) << rig_->Explain(last);
  AwaitMoreTicks(kTicks);
  EXPECT_EQ(Changes(), before) << "changed:" << Others("desired_instances", kBefore);
  EXPECT_EQ(Others("holding", 1), "");

  // And comes back with less load.
  Load(1);
  rig_->prometheus().Start();
  AwaitAll(1);
  if (HasFatalFailure()) return;
  EXPECT_EQ(Others("holding", 0), "");
  EXPECT_EQ(Changes(), before + static_cast<double>(FaultRows().size())) << "more than one step";
  for (const FaultRow& row : FaultRows()) {
    SCOPED_TRACE("fault: " + row.name);
    ExpectGapCounted(row);
  }
  EXPECT_TRUE(Eventually([] {
    return static_cast<bool>(Says(rig_->daemon().Errors(), {"queries are answered again"}));
  }));
}

}  // namespace
}  // namespace autoscale
