// The pusher against a server that answers whatever it is told to.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "tests/fakes/http_server.h"
#include "tests/unit/nginx/gateway_on_loop.h"

namespace autoscale {
namespace {

NginxOptions OptionsFor(const FakeHttpServer& server) {
  NginxOptions options;
  options.url = options.address = server.Url();
  options.timeout = Millis(10'000);
  return options;
}

template <typename T>
std::optional<ErrorKind> KindOf(const Result<T>& result) {
  return result.ok() ? std::nullopt : std::optional(result.error().kind);
}

UpstreamList List() {
  return {.upstream = "checkout",
          .version = {.epoch = 3, .sequence = 7},
          .endpoints = {{.address = "10.0.0.5:80", .weight = 100}}};
}

TEST(NginxGateway, DeclaresWhatItCan) {
  FakeHttpServer server;
  NginxOptions options = OptionsFor(server);
  options.settle = Millis(70);
  GatewayOnLoop nginx(options);
  EXPECT_EQ(nginx.gateway().capabilities().settle, Millis(70));
  EXPECT_TRUE(nginx.gateway().capabilities().counts_in_flight);
  EXPECT_TRUE(nginx.gateway().capabilities().persists);
}

TEST(NginxGateway, PutsTheListUnderItsName) {
  FakeHttpServer server;
  server.Answer("/upstreams/checkout", R"({"epoch":3,"seq":7})");
  GatewayOnLoop nginx(OptionsFor(server));
  const Status status = nginx.Publish(List());
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_EQ(server.requests().size(), 1u);
  EXPECT_EQ(server.requests()[0].method, "PUT");
  EXPECT_EQ(server.requests()[0].target, "/upstreams/checkout");
  EXPECT_EQ(server.requests()[0].body,
            R"({"epoch":3,"peers":[{"host":"10.0.0.5","port":80,"state":"serving","weight":100}],)"
            R"("seq":7})");
}

TEST(NginxGateway, KeepsItsConnection) {
  FakeHttpServer server;
  server.Answer("/upstreams/checkout", "{}");
  GatewayOnLoop nginx(OptionsFor(server));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(nginx.Publish(List()).ok());
  EXPECT_EQ(server.connections(), 1);
}

TEST(NginxGateway, SpeaksOverAUnixSocket) {
  const std::string path =
      std::filesystem::temp_directory_path() / ("nginx-gateway-" + std::to_string(getpid()));
  FakeHttpServer server(path);
  server.Answer("/upstreams/checkout", "{}");
  NginxOptions options;
  options.address = "unix:" + path;
  options.url = "http://autoscaled";
  options.unix_socket = path;
  GatewayOnLoop nginx(options);
  const Status status = nginx.Publish(List());
  EXPECT_TRUE(status.ok()) << status.error().message;
  server.Stop();
  std::filesystem::remove(path);
}

TEST(NginxGateway, TellsAConflict) {
  FakeHttpServer server;
  server.Answer("/upstreams/checkout",
                R"({"error":"the list of checkout is already at version 4.1","epoch":4,"seq":1})",
                409);
  GatewayOnLoop nginx(OptionsFor(server));
  const Status status = nginx.Publish(List());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kConflict);
  EXPECT_EQ(status.error().message, "gateway edge at " + server.Url() +
                                        ": push of checkout: the list of checkout is already at "
                                        "version 4.1");
}

TEST(NginxGateway, TellsARefusal) {
  FakeHttpServer server;
  server.Answer("/upstreams/checkout", R"({"error":"the list is empty"})", 422);
  GatewayOnLoop nginx(OptionsFor(server));
  const Status status = nginx.Publish({.upstream = "checkout", .version = {1, 1}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
  EXPECT_TRUE(status.error().message.ends_with("refused with 422: the list is empty"));
}

TEST(NginxGateway, NeverSendsWhatCannotBeTaken) {
  FakeHttpServer server;
  GatewayOnLoop nginx(OptionsFor(server));
  UpstreamList list = List();
  list.upstream = "../etc/passwd";
  EXPECT_EQ(KindOf(nginx.Publish(list)), ErrorKind::kInvalid);
  list = List();
  list.endpoints[0].address = "nonsense";
  EXPECT_EQ(KindOf(nginx.Publish(list)), ErrorKind::kInvalid);
  EXPECT_TRUE(server.requests().empty());
}

TEST(NginxGateway, GivesUpOnOneThatHangs) {
  FakeHttpServer server;
  server.Answer("/upstreams/checkout", {.ending = FakeAnswer::Ending::kHang});
  server.Answer("/upstreams", {.ending = FakeAnswer::Ending::kHang});
  NginxOptions options = OptionsFor(server);
  options.timeout = Millis(50);
  GatewayOnLoop nginx(options);
  const Status status = nginx.Publish(List());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kUnavailable);
  EXPECT_NE(status.error().message.find("timed out after 50ms"), std::string::npos)
      << status.error().message;
  EXPECT_EQ(KindOf(nginx.Inspect({"checkout"})), ErrorKind::kUnavailable);
}

TEST(NginxGateway, TellsABrokenAnswerFromAPush) {
  FakeHttpServer server;
  GatewayOnLoop nginx(OptionsFor(server));
  for (const FakeAnswer::Ending ending : {FakeAnswer::Ending::kCut, FakeAnswer::Ending::kDrop}) {
    server.Answer("/upstreams/checkout", {.body = "{\"epoch\":3,\"seq\":7}", .ending = ending});
    EXPECT_EQ(KindOf(nginx.Publish(List())), ErrorKind::kUnavailable);
  }
  server.Answer("/upstreams/checkout", FakeAnswer{.raw = "SSH-2.0-OpenSSH_9.2\r\n"});
  EXPECT_EQ(KindOf(nginx.Publish(List())), ErrorKind::kUnavailable);
}

TEST(NginxGateway, TellsThatNobodyListens) {
  NginxOptions options;
  {
    FakeHttpServer server;
    options = OptionsFor(server);
  }
  GatewayOnLoop nginx(options);
  const Status status = nginx.Publish(List());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kUnavailable);
  EXPECT_TRUE(status.error().message.starts_with("gateway edge at " + options.url))
      << status.error().message;
}

TEST(NginxGateway, InspectsAllInOneRequest) {
  FakeHttpServer server;
  server.Answer("/upstreams", R"({"upstreams":[
    {"name":"checkout","epoch":3,"seq":7,"peers":[{"host":"10.0.0.5","port":80,"in_flight":2}]},
    {"name":"other","epoch":3,"seq":1,"peers":[]}]})");
  GatewayOnLoop nginx(OptionsFor(server));
  const auto statuses = nginx.Inspect({"checkout", "new"});
  ASSERT_TRUE(statuses.ok()) << statuses.error().message;
  ASSERT_EQ(statuses->size(), 2u);
  EXPECT_EQ((*statuses)[0].version, (ListVersion{3, 7}));
  EXPECT_EQ((*statuses)[0].endpoints[0].in_flight, 2);
  EXPECT_EQ((*statuses)[1].version, (ListVersion{0, 0}));
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(NginxGateway, NeverTakesAWrongServerForAnEmptyGateway) {
  FakeHttpServer server;
  GatewayOnLoop nginx(OptionsFor(server));
  server.Answer("/upstreams", "<html>Welcome to nginx!</html>");
  auto statuses = nginx.Inspect({"checkout"});
  ASSERT_FALSE(statuses.ok());
  EXPECT_EQ(statuses.error().kind, ErrorKind::kUnavailable);
  server.Answer("/upstreams", "not found", 404);
  statuses = nginx.Inspect({"checkout"});
  ASSERT_FALSE(statuses.ok());
  EXPECT_NE(statuses.error().message.find("inspect: answered 404"), std::string::npos)
      << statuses.error().message;
}

TEST(Registry, NamesEachTypeOnceAndComplete) {
  std::vector<std::string> names;
  for (const GatewayType& type : GatewayTypes()) {
    names.push_back(type.name);
    EXPECT_TRUE(type.parse && type.create) << type.name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"haproxy", "nginx"}));
}

TEST(Registry, RefusesOptionsOfAnotherType) {
  EventLoop loop;
  HttpClient http(loop, 1);
  const GatewayContext context{
      .loop = loop, .http = http, .name = "edge", .options = std::make_shared<GatewayOptions>()};
  EXPECT_EQ(CreateNginxGateway(context).error().kind, ErrorKind::kInternal);
}

}  // namespace
}  // namespace autoscale
