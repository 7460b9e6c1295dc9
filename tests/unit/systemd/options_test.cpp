#include "providers/systemd/options.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>

#include "tests/fakes/documented.h"

namespace autoscale {
namespace {

struct Parsed {
  std::shared_ptr<const SystemdTarget> target;
  std::vector<std::string> messages;
};

Parsed Parse(const std::string& yaml) {
  std::vector<Diagnostic> diagnostics;
  Section section("/etc/autoscaled/services.d/web.yaml", YAML::Load(yaml), "provider",
                  &diagnostics);
  Parsed parsed;
  parsed.target =
      std::dynamic_pointer_cast<const SystemdTarget>(ParseSystemdTarget(section, "web"));
  for (const auto& diagnostic : diagnostics) parsed.messages.push_back(ToString(diagnostic));
  return parsed;
}

TEST(SystemdOptions, ReadsEverything) {
  const auto [target, messages] = Parse(R"(type: systemd
unit: web@.service
manager: user
ports: 20000-20099
host: 127.0.0.2
health: {http: /healthz, interval: 250ms}
stop_timeout: 20s
)");
  EXPECT_TRUE(messages.empty()) << messages.front();
  ASSERT_TRUE(target);
  EXPECT_EQ(target->unit.name(), "web@.service");
  EXPECT_EQ(target->bus, "user");
  EXPECT_EQ(target->health.path, "/healthz");
  EXPECT_EQ(target->stop_timeout, Millis(20000));
  EXPECT_EQ(target->identity(), "web@.service of user");
  EXPECT_EQ(target->ports().host, "127.0.0.2");
  EXPECT_EQ(target->PortOf("web@20099.service"), 20099);
  EXPECT_EQ(target->PortOf("web@20100.service"), 0);
  EXPECT_EQ(target->PortOf("web@19999.service"), 0);
  EXPECT_FALSE(target->has_capacity());
}

TEST(SystemdOptions, Defaults) {
  const auto [target, messages] = Parse("type: systemd\nunit: web@.service\nports: 20000-20001\n");
  EXPECT_TRUE(messages.empty()) << messages.front();
  EXPECT_EQ(target->bus, geteuid() == 0 ? "system" : "user");
  EXPECT_EQ(target->host, "127.0.0.1");
  EXPECT_EQ(target->health.path, "");
  EXPECT_EQ(target->stop_timeout, Millis(0));
}

TEST(SystemdOptions, FaultsSayWhatToDo) {
  const std::string good = "unit: web@.service\nports: 20000-20099\n";
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"unit: web@.service\n", "ports is missing: give a range"},
      {"ports: 20000-20099\n", "'provider.unit' is missing"},
      {"unit: web.service\nports: 1-2\n", "web.yaml:1: unit must be a template of services"},
      {"unit: web@20000.service\nports: 1-2\n", "unit must be a template of services"},
      {good + "host: web.example\n", "host must be an IPv4 address"},
      {good + "manager: root\n", "web.yaml:3: "},
      {good + "manager: user\nbus: unix:path=/a\n", "web.yaml:4: say one of manager and bus"},
      {good + "bus: tcp:host=a\n", "bus must be the address of a socket on this machine"},
      {good + "health: {http: healthz}\n", "http must be a path"},
      {good + "stop_timeout: 2h\n", "web.yaml:3: "},
      {good + "stop_timout: 2s\n", "did you mean 'stop_timeout'?"},
  };
  for (const auto& [yaml, expected] : faults) {
    const auto [target, messages] = Parse(yaml);
    ASSERT_EQ(messages.size(), 1u) << yaml;
    EXPECT_NE(messages[0].find(expected), std::string::npos) << messages[0];
  }
}

// Loads services of these sections as the daemon does; what it says of them.
std::string Load(const std::vector<std::string>& sections) {
  std::string folder = (std::filesystem::temp_directory_path() / "systemd-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return "no folder";
  std::filesystem::create_directory(folder + "/services.d");
  std::ofstream(folder + "/autoscaled.yaml")
      << "prometheus: {url: \"http://127.0.0.1:9090\"}\nstate_dir: state\n";
  std::ofstream(folder + "/p.lua") << "return hold(\"no\")\n";
  for (size_t i = 0; i < sections.size(); ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    std::ofstream(folder + "/services.d/" + name + ".yaml")
        << "service: " << name << "\npolicy: ../p.lua\nmax: 3\n"
        << sections[i];
  }
  LoadOptions options;
  options.providers["systemd"] = ParseSystemdTarget;
  std::string said;
  for (const Diagnostic& one :
       LoadConfiguration(folder + "/autoscaled.yaml", options).diagnostics) {
    said += ToString(one) + "\n";
  }
  std::filesystem::remove_all(folder);
  return said;
}

std::string SectionOf(const std::string& unit, const std::string& ports) {
  return "provider: {type: systemd, unit: " + unit + ", ports: " + ports + "}\n";
}

TEST(SystemdOptions, TwoServicesMayNotShareATemplateOrPorts) {
  EXPECT_EQ(Load({SectionOf("a@.service", "20000-20009"), SectionOf("b@.service", "20010-20019")}),
            "");
  const std::string same =
      Load({SectionOf("a@.service", "20000-20009"), SectionOf("a@.service", "20010-20019")});
  EXPECT_NE(same.find("service 'b' has the same target as 'a'"), std::string::npos) << same;
  const std::string overlap =
      Load({SectionOf("a@.service", "20000-20009"), SectionOf("b@.service", "20009-20019")});
  EXPECT_NE(overlap.find("ports 20009-20019 of service 'b' overlap"), std::string::npos) << overlap;
}

TEST(SystemdOptions, DocumentedExamplesLoad) {
  const std::vector<std::string> examples = DocumentedYaml("docs/providers/systemd.md");
  ASSERT_FALSE(examples.empty());
  for (const std::string& example : examples) EXPECT_EQ(Load({example}), "") << example;
}

}  // namespace
}  // namespace autoscale
