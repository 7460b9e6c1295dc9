// The gateway's section of the configuration.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "gateways/haproxy/haproxy_gateway.h"
#include "tests/fakes/documented.h"

namespace autoscale {
namespace {

struct ParsedHaproxy {
  std::shared_ptr<const HaproxyOptions> options;
  std::string faults;
};

ParsedHaproxy ParseHaproxy(const std::string& yaml) {
  std::vector<Diagnostic> diagnostics;
  const YAML::Node node = YAML::Load(yaml);
  Section section("/etc/autoscaled/autoscaled.yaml", node, "gateways.edge", &diagnostics);
  ParsedHaproxy parsed;
  parsed.options =
      std::dynamic_pointer_cast<const HaproxyOptions>(ParseHaproxyOptions(section, "edge"));
  section.Finish();
  for (const Diagnostic& diagnostic : diagnostics) parsed.faults += ToString(diagnostic) + "\n";
  return parsed;
}

TEST(HaproxyOptionsTest, DefaultsFitANeighbour) {
  const ParsedHaproxy parsed = ParseHaproxy("socket: /run/haproxy/admin.sock");
  ASSERT_TRUE(parsed.options) << parsed.faults;
  EXPECT_EQ(parsed.faults, "");
  EXPECT_EQ(parsed.options->address.unix_socket, "/run/haproxy/admin.sock");
  EXPECT_EQ(parsed.options->shown, "/run/haproxy/admin.sock");
  EXPECT_EQ(parsed.options->timeout, Millis(2000));
  EXPECT_EQ(parsed.options->settle, Millis(50));
  EXPECT_EQ(parsed.options->reload_grace, Millis(30'000));
}

TEST(HaproxyOptionsTest, ReadsEveryKey) {
  const ParsedHaproxy parsed =
      ParseHaproxy("address: \"[0::1]:9999\"\ntimeout: 5s\nsettle: 0s\nreload_grace: 2m");
  ASSERT_TRUE(parsed.options) << parsed.faults;
  EXPECT_EQ(parsed.faults, "");
  EXPECT_EQ(parsed.options->address.host, "::1");
  EXPECT_EQ(parsed.options->address.port, 9999);
  EXPECT_EQ(parsed.options->shown, "[::1]:9999");
  EXPECT_EQ(parsed.options->timeout, Millis(5000));
  EXPECT_EQ(parsed.options->settle, Millis(0));
  EXPECT_EQ(parsed.options->reload_grace, Millis(120'000));
}

TEST(HaproxyOptionsTest, TheDocumentedExampleLoadsAndShowsTheDefaults) {
  const auto blocks = DocumentedYaml("docs/gateways/haproxy.md");
  ASSERT_EQ(blocks.size(), 1u);
  YAML::Node edge = YAML::Load(blocks[0])["gateways"]["edge"];
  ASSERT_TRUE(edge) << blocks[0];
  ASSERT_EQ(edge["type"].as<std::string>(), "haproxy");
  edge.remove("type");  // the loader's
  EXPECT_EQ(edge.size(), 4u) << "every option but the address";
  YAML::Emitter text;
  text << edge;
  const ParsedHaproxy parsed = ParseHaproxy(text.c_str());
  ASSERT_TRUE(parsed.options) << parsed.faults;
  EXPECT_EQ(parsed.faults, "");
  const HaproxyOptions defaults;
  EXPECT_EQ(parsed.options->timeout, defaults.timeout);
  EXPECT_EQ(parsed.options->settle, defaults.settle);
  EXPECT_EQ(parsed.options->reload_grace, defaults.reload_grace);
}

TEST(HaproxyOptionsTest, SocketPathsCountFromTheFile) {
  EXPECT_EQ(ParseHaproxy("socket: run/admin.sock").options->address.unix_socket,
            "/etc/autoscaled/run/admin.sock");
}

TEST(HaproxyOptionsTest, TellsEachMistakeAtItsLine) {
  const std::string at = "/etc/autoscaled/autoscaled.yaml:";
  const std::string lacks =
      "lacks 'socket', the path of HAProxy's stats socket (or 'address', its IP address and port)";
  const std::string write =
      " is not an IP address with a port: write 127.0.0.1:9999, or socket: /run/haproxy/admin.sock";
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"timeout: 2s", at + "1: " + lacks},
      {"timeout: 2s\nsocket: ''", at + "2: 'gateways.edge.socket' must not be empty"},
      {"socket: /a\naddress: 127.0.0.1:1",
       at + "2: socket and address exclude each other; remove one"},
      {"socket: /" + std::string(108, 'a'), " is longer than 107 bytes"},
      {"address: localhost:9999", at + "1: 'localhost:9999'" + write},
      {"address: /run/haproxy/admin.sock", at + "1: '/run/haproxy/admin.sock'" + write},
      {"address: 127.0.0.1", at + "1: '127.0.0.1'" + write},
  };
  for (const auto& [yaml, told] : rows) {
    const ParsedHaproxy parsed = ParseHaproxy(yaml);
    EXPECT_FALSE(parsed.options) << yaml;
    EXPECT_NE(parsed.faults.find(told), std::string::npos) << yaml << "\n" << parsed.faults;
    EXPECT_EQ(std::count(parsed.faults.begin(), parsed.faults.end(), '\n'), 1) << parsed.faults;
  }
  const ParsedHaproxy parsed =
      ParseHaproxy("socket: /a\ntimeout: 1ms\nsettle: 2m\nreload_grace: 2h\nport: 3");
  EXPECT_NE(parsed.faults.find(at + "2: "), std::string::npos) << parsed.faults;
  EXPECT_NE(parsed.faults.find(at + "3: "), std::string::npos) << parsed.faults;
  EXPECT_NE(parsed.faults.find(at + "4: "), std::string::npos) << parsed.faults;
  EXPECT_NE(parsed.faults.find(at + "5: unknown key 'port'"), std::string::npos) << parsed.faults;
}

}  // namespace
}  // namespace autoscale
