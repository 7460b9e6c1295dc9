// The gateway's section of the configuration.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "gateways/nginx/nginx_gateway.h"

namespace autoscale {
namespace {

struct Parsed {
  std::shared_ptr<const NginxOptions> options;
  std::string faults;
};

Parsed Parse(const std::string& yaml, const std::string& file = "/etc/autoscaled/autoscaled.yaml") {
  std::vector<Diagnostic> diagnostics;
  const YAML::Node node = YAML::Load(yaml);
  Section section(file, node, "gateways.edge", &diagnostics);
  Parsed parsed;
  parsed.options =
      std::dynamic_pointer_cast<const NginxOptions>(ParseNginxOptions(section, "edge"));
  section.Finish();
  for (const Diagnostic& diagnostic : diagnostics) parsed.faults += ToString(diagnostic) + "\n";
  return parsed;
}

TEST(NginxOptions, DefaultsFitANeighbour) {
  const Parsed parsed = Parse("address: http://127.0.0.1:8081");
  ASSERT_TRUE(parsed.options) << parsed.faults;
  EXPECT_EQ(parsed.faults, "");
  EXPECT_EQ(parsed.options->url, "http://127.0.0.1:8081");
  EXPECT_EQ(parsed.options->unix_socket, "");
  EXPECT_EQ(parsed.options->timeout, Millis(2000));
  EXPECT_EQ(parsed.options->settle, Millis(50));
}

TEST(NginxOptions, ReadsEveryKey) {
  const Parsed parsed = Parse("address: https://nginx.example/\ntimeout: 5s\nsettle: 0s");
  ASSERT_TRUE(parsed.options) << parsed.faults;
  EXPECT_EQ(parsed.options->url, "https://nginx.example");
  EXPECT_EQ(parsed.options->timeout, Millis(5000));
  EXPECT_EQ(parsed.options->settle, Millis(0));
}

TEST(NginxOptions, SocketPathsCountFromTheFile) {
  EXPECT_EQ(Parse("address: unix:run/nginx.sock").options->unix_socket,
            "/etc/autoscaled/run/nginx.sock");
  EXPECT_EQ(Parse("address: unix:../nginx.sock").options->unix_socket, "/etc/nginx.sock");
  EXPECT_EQ(Parse("address: unix:/run/nginx.sock").options->unix_socket, "/run/nginx.sock");
  EXPECT_EQ(Parse("address: unix:/run/nginx.sock").options->address, "unix:/run/nginx.sock");
}

TEST(NginxOptions, TellsWhatIsWrongWithAnAddress) {
  const std::string at = "/etc/autoscaled/autoscaled.yaml:1: ";
  for (const std::string address : {"127.0.0.1:8081", "http://", "run/nginx.sock", "ftp://x"}) {
    const Parsed parsed = Parse("address: " + address);
    EXPECT_FALSE(parsed.options) << address;
    EXPECT_NE(parsed.faults.find("write unix:run/nginx-control.sock or http://127.0.0.1:8081"),
              std::string::npos)
        << parsed.faults;
    EXPECT_TRUE(parsed.faults.starts_with(at)) << parsed.faults;
  }
  EXPECT_NE(Parse("address: 'unix:'").faults.find("lacks the socket's path"), std::string::npos);
  EXPECT_NE(Parse("address: unix:/" + std::string(107, 'x')).faults.find("longer than 107 bytes"),
            std::string::npos);
  EXPECT_TRUE(Parse("address: unix:/" + std::string(106, 'x')).options);
  EXPECT_NE(Parse("timeout: 1s").faults.find("address"), std::string::npos);
}

TEST(NginxOptions, TellsAllFaultsAtOnce) {
  const Parsed parsed = Parse("address: nowhere\ntimeout: 0s\nsettle: 2\nport: 80");
  EXPECT_EQ(std::count(parsed.faults.begin(), parsed.faults.end(), '\n'), 4) << parsed.faults;
}

}  // namespace
}  // namespace autoscale
