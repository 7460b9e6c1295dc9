#include "daemon/telemetry/telemetry.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "tests/unit/telemetry/connection.h"

namespace autoscale {
namespace {

class TelemetryTest : public testing::Test {
 protected:
  void Start(TelemetrySources sources = {}) {
    auto started = TelemetryServer::Start("127.0.0.1", 0, counters_, std::move(sources));
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
    ASSERT_GT(server_->port(), 0);
  }
  [[nodiscard]] Reply Ask(const std::string& path, const std::string& method = "GET") const {
    return AskAt(server_->port(), path, method);
  }

  Counters counters_;
  std::unique_ptr<TelemetryServer> server_;
};

TEST_F(TelemetryTest, MetricsAreServedInPrometheusForm) {
  counters_.ticks = 42;
  Start({.services = [] { return std::vector<ServiceGauges>{{.name = "web", .desired = 3}}; },
         .usage =
             [] {
               return std::vector<UsageView>{{"web", "i-1", "h:1", 1, 2}};
             },
         .unhealthy = nullptr,
         .unready = nullptr});
  const Reply reply = Ask("/metrics");
  EXPECT_EQ(reply.status(), 200);
  EXPECT_TRUE(reply.Has("Content-Type: text/plain; version=0.0.4; charset=utf-8")) << reply.head;
  EXPECT_TRUE(reply.Has("Content-Length: " + std::to_string(reply.body.size()))) << reply.head;
  EXPECT_NE(reply.body.find("\nautoscaled_ticks_total 42\n"), std::string::npos);
  EXPECT_NE(reply.body.find("\nautoscaled_service_desired_instances{service=\"web\"} 3\n"),
            std::string::npos);
  EXPECT_NE(reply.body.find("\nautoscaled_instance_memory_bytes{"), std::string::npos);
  counters_.ticks = 43;
  EXPECT_NE(Ask("/metrics?x=1").body.find("\nautoscaled_ticks_total 43\n"), std::string::npos);
}

TEST_F(TelemetryTest, HealthAndReadinessAreApart) {
  std::string unhealthy, unready = "waiting for the first tick";
  Start({.services = nullptr,
         .usage = nullptr,
         .unhealthy = [&] { return unhealthy; },
         .unready = [&] { return unready; }});
  EXPECT_EQ(Ask("/healthz").status(), 200);
  EXPECT_EQ(Ask("/healthz").body, "healthy\n");
  EXPECT_EQ(Ask("/readyz").status(), 503);
  EXPECT_EQ(Ask("/readyz").body, "waiting for the first tick\n");
  unhealthy = "no tick for 40 s";
  unready.clear();
  EXPECT_EQ(Ask("/healthz").status(), 503);
  EXPECT_EQ(Ask("/healthz").body, "no tick for 40 s\n");
  EXPECT_EQ(Ask("/readyz").status(), 200);
  EXPECT_EQ(Ask("/readyz").body, "ready\n");
}

TEST_F(TelemetryTest, OtherPathsAndMethodsAreRefused) {
  Start();
  for (const char* path : {"/", "/metrics/", "/metrics/x", "/healthzz", "/../etc/passwd"}) {
    EXPECT_EQ(Ask(path).status(), 404) << path;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    const Reply reply = Ask("/metrics", method);
    EXPECT_EQ(reply.status(), 405) << method;
    EXPECT_TRUE(reply.Has("Allow: GET")) << reply.head;
  }
}

TEST_F(TelemetryTest, ASourceThatThrowsIsAnAnswerToo) {
  Start({.services = []() -> std::vector<ServiceGauges> { throw std::runtime_error("no memory"); },
         .usage = nullptr,
         .unhealthy = nullptr,
         .unready = nullptr});
  EXPECT_EQ(Ask("/metrics").status(), 500);
  EXPECT_EQ(Ask("/metrics").body, "no memory\n");
  EXPECT_EQ(Ask("/healthz").status(), 200);
}

TEST_F(TelemetryTest, ASilentClientDoesNotKeepOthersOut) {
  Start();
  const Connection silent(server_->port());
  ASSERT_TRUE(silent.connected());
  silent.Send("GET /metr");
  EXPECT_EQ(Ask("/healthz").status(), 200);
}

TEST_F(TelemetryTest, ManyScrapesAtOnce) {
  Start({.services = [] { return std::vector<ServiceGauges>(100, {.name = "web"}); },
         .usage = nullptr,
         .unhealthy = nullptr,
         .unready = nullptr});
  std::vector<std::thread> clients;
  std::atomic<int> answered{0};
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] { answered += Ask("/metrics").status() == 200 ? 1 : 0; });
    ++counters_.ticks;
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(answered, 8);
}

TEST_F(TelemetryTest, APortInUseIsSaidClearly) {
  Start();
  const int port = server_->port();
  const auto second = TelemetryServer::Start("127.0.0.1", port, counters_, {});
  ASSERT_FALSE(second.ok());
  const std::string& message = second.error().message;
  EXPECT_EQ(message.find("cannot listen at 127.0.0.1:" + std::to_string(port)), 0u) << message;
  EXPECT_NE(message.find("Address already in use"), std::string::npos) << message;
  server_.reset();
  EXPECT_TRUE(TelemetryServer::Start("127.0.0.1", port, counters_, {}).ok());
}

TEST_F(TelemetryTest, OnlyIPv4AddressesAreTaken) {
  for (const char* address : {"", "localhost", "::1", "127.0.0.1,0.0.0.0", "127.0.0.1:1"}) {
    const auto started = TelemetryServer::Start(address, 0, counters_, {});
    ASSERT_FALSE(started.ok()) << address;
    EXPECT_EQ(started.error().kind, ErrorKind::kInvalid);
  }
  EXPECT_FALSE(TelemetryServer::Start("127.0.0.1", 65'536, counters_, {}).ok());
  EXPECT_FALSE(TelemetryServer::Start("127.0.0.1", -1, counters_, {}).ok());
  EXPECT_FALSE(TelemetryServer::Start("203.0.113.1", 0, counters_, {}).ok());  // not ours
}

}  // namespace
}  // namespace autoscale
