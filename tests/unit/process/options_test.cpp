#include "providers/process/options.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace autoscale {
namespace {

struct Parsed {
  std::shared_ptr<const ProcessTarget> target;
  std::vector<std::string> messages;
};

Parsed Parse(const std::string& yaml) {
  std::vector<Diagnostic> diagnostics;
  Section section("/etc/autoscaled/services.d/web.yaml", YAML::Load(yaml), "provider",
                  &diagnostics);
  Parsed parsed;
  parsed.target =
      std::dynamic_pointer_cast<const ProcessTarget>(ParseProcessTarget(section, "web"));
  for (const auto& diagnostic : diagnostics) parsed.messages.push_back(ToString(diagnostic));
  return parsed;
}

TEST(ProcessOptions, ReadsEverything) {
  const auto [target, messages] = Parse(R"(type: process
command: [sleep, --port, "{port}"]
ports: 20000-20099
host: 127.0.0.2
directory: ../data
environment: {MODE: production, LEVEL: 3}
health: {http: /healthz, interval: 250ms, timeout: 2s, healthy_after: 2, unhealthy_after: 5}
stop: {signal: INT, grace: 3s}
output: {max: 1MiB}
)");
  EXPECT_TRUE(messages.empty()) << messages.front();
  ASSERT_TRUE(target);
  EXPECT_EQ(target->command, (std::vector<std::string>{"sleep", "--port", "{port}"}));
  EXPECT_EQ(target->identity(), "process 127.0.0.2:20000-20099");
  EXPECT_EQ(target->place(), "") << "other ports are no other place";
  EXPECT_EQ(target->directory, "/etc/autoscaled/data");
  ASSERT_EQ(target->environment.size(), 2u);
  EXPECT_EQ(target->environment[1], (std::pair<std::string, std::string>("LEVEL", "3")));
  EXPECT_EQ(target->health.path, "/healthz");
  EXPECT_EQ(target->health.interval, Millis(250));
  EXPECT_EQ(target->health.timeout, Millis(2000));
  EXPECT_EQ(target->health.healthy_after, 2);
  EXPECT_EQ(target->health.unhealthy_after, 5);
  EXPECT_EQ(target->stop.signal, SIGINT);
  EXPECT_EQ(target->stop.grace, Millis(3000));
  EXPECT_EQ(target->output_max_bytes, 1u << 20);
}

TEST(ProcessOptions, DefaultsAndPathsBesideTheFile) {
  const auto [target, messages] =
      Parse("type: process\ncommand: [./backend, \"{port}\"]\nports: 20000-20099\n");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->command[0], "/etc/autoscaled/services.d/backend");
  EXPECT_EQ(target->directory, "/etc/autoscaled/services.d");
  EXPECT_EQ(target->health.path, "");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0],
            "/etc/autoscaled/services.d/web.yaml:2: warning: there is no program "
            "/etc/autoscaled/services.d/backend");
}

TEST(ProcessOptions, FaultsSayWhatToDo) {
  const std::string good = "command: [sleep, \"{port}\"]\nports: 20000-20099\n";
  const std::string portless = "command: [sleep, \"{port}\"]\n";
  const std::vector<std::pair<std::string, std::string>> faults = {
      {portless, "ports is missing: give a range"},
      {portless + "ports: 0-10\n", "web.yaml:2: ports must be a range within 1-65535"},
      {portless + "ports: 20010-20000\n", "ports must be a range"},
      {portless + "ports: 20000-70000\n", "ports must be a range"},
      {portless + "ports: many\n", "ports must be a range"},
      {"ports: 20000-20099\n", "command must be a list"},
      {"ports: 20000-20099\ncommand: []\n", "web.yaml:2: command must be a list"},
      {"ports: 20000-20099\ncommand: [sleep, 5]\n", "web.yaml:2: the instances are never told"},
      {good + "host: web.example\n", "web.yaml:3: host must be an IPv4 address"},
      {good + "host: 0.0.0.0\n", "host must be an IPv4 address"},
      {good + "health: {http: healthz}\n", "http must be a path"},
      {good + "health: {http: /x, tcp: true}\n", "say one of http: PATH and tcp: true"},
      {good + "health: {tcp: false}\n", "say one of http: PATH and tcp: true"},
      {good + "health: {interval: 0s}\n", "interval"},
      {good + "stop: {signal: STOP}\n", "signal"},
      {good + "output: {max: lots}\n", "max"},
      {good + "environment: {\"A=B\": x}\n", "'A=B' cannot be a variable's name"},
      {good + "pots: 1\n", "unknown key 'pots'"},
  };
  for (const auto& [yaml, message] : faults) {
    const auto parsed = Parse(yaml);
    ASSERT_EQ(parsed.messages.size(), 1u) << yaml;
    EXPECT_NE(parsed.messages[0].find(message), std::string::npos) << parsed.messages[0];
  }
}

TEST(ProcessOptions, PortMayBeToldByEnvironment) {
  EXPECT_TRUE(Parse("command: [sleep]\nports: 20000-20001\nenvironment: {PORT: \"{port}\"}\n")
                  .messages.empty());
}

TEST(Expand, ReplacesWhatItKnows) {
  const std::map<std::string, std::string> values = {{"port", "1"}, {"id", "{port}"}};
  EXPECT_EQ(Expand("--listen=:{port}", values), "--listen=:1");
  EXPECT_EQ(Expand("{port}{port}", values), "11");
  EXPECT_EQ(Expand(R"({"a": {port}} {x} {)", values), R"({"a": 1} {x} {)");
  EXPECT_EQ(Expand("{id}", values), "{port}");  // values are not looked into
}

}  // namespace
}  // namespace autoscale
