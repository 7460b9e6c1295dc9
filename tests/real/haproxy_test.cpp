// The HAProxy gateway against a real HAProxy: what it promises to users, shown on the real thing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "gateways/haproxy/haproxy_gateway.h"
#include "tests/fakes/http_server.h"
#include "tests/real/haproxy_process.h"
#include "tests/real/steady_client.h"
#include "tests/unit/nginx/gateway_on_loop.h"

namespace autoscale {
namespace {

using Answers = std::map<std::string, int>;

// A service instance that answers with its own name.
class NamedBackend {
 public:
  explicit NamedBackend(const std::string& name) : gate_(std::make_shared<Gate>()) {
    server_.Handle([name](const FakeRequest&) { return FakeAnswer{.body = name}; });
    FakeAnswer slow{.body = name};
    slow.gate = gate_;
    server_.Answer("/slow", slow);
  }
  [[nodiscard]] std::string address() const { return server_.address(); }
  [[nodiscard]] std::string server_name() const { return "autoscaled-" + server_.address(); }
  void Release() { gate_->Open(); }  // lets /slow answer
  FakeHttpServer& server() { return server_; }

 private:
  std::shared_ptr<Gate> gate_;
  FakeHttpServer server_;
};

Endpoint Serving(const NamedBackend& backend, int weight = 100) {
  return {.address = backend.address(), .weight = weight};
}
Endpoint Draining(const NamedBackend& backend) {
  return {.address = backend.address(), .state = Endpoint::State::kDraining};
}

class HaproxyTest : public testing::Test {
 protected:
  HaproxyTest()
      : robin_(FreePort()),
        random_(FreePort()),
        hash_(FreePort()),
        twin_(FreePort()),
        sticky_(FreePort()),
        stats_(FreePort()) {}
  void SetUp() override {
    const std::string missing = HaproxyProcess::WhatIsMissing();
    if (!missing.empty()) GTEST_SKIP() << missing;
    const auto pair = [](const std::string& front, const std::string& back, int port) {
      return "\nfrontend " + front + "\n  bind 127.0.0.1:" + std::to_string(port) +
             "\n  default_backend " + back + "\nbackend " + back + "\n";
    };
    haproxy_.emplace(pair("f-robin", "robin", robin_) + "  balance roundrobin\n" +
                     pair("f-random", "random", random_) + "  balance random\n" +
                     pair("f-hash", "hash", hash_) + "  balance uri\n  hash-type consistent\n" +
                     pair("twin", "twin", twin_) + "  balance roundrobin\n" +
                     pair("f-sticky", "sticky", sticky_) +
                     "  balance leastconn\n  stick-table type ip size 1k\n  stick on src\n" +
                     "backend map\n  balance source\nglobal\n  stats socket ipv4@127.0.0.1:" +
                     std::to_string(stats_) + " level admin\n");
    ASSERT_TRUE(haproxy_->Start()) << haproxy_->Log();
    options_.address.unix_socket = options_.shown = haproxy_->socket();
    options_.timeout = Millis(10'000);
    options_.reload_grace = Millis(0);
    gateway_ = Connect(options_);
  }
  void TearDown() override {
    if (HasFailure() && haproxy_) std::cerr << haproxy_->Log();
  }

  static std::unique_ptr<GatewayOnLoop> Connect(const HaproxyOptions& options) {
    return std::make_unique<GatewayOnLoop>(std::make_shared<HaproxyOptions>(options),
                                           CreateHaproxyGateway);
  }
  Status TryPush(std::vector<Endpoint> endpoints, const std::string& upstream = "checkout") {
    return gateway_->Publish(
        {.upstream = upstream, .version = {1, ++sequence_}, .endpoints = std::move(endpoints)});
  }
  void Push(std::vector<Endpoint> endpoints, const std::string& upstream = "checkout") {
    const Status status = TryPush(std::move(endpoints), upstream);
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  UpstreamStatus Inspect(const std::string& upstream = "checkout") {
    auto statuses = gateway_->Inspect({upstream});
    if (!statuses) {
      ADD_FAILURE() << statuses.error().message;
      return {};
    }
    return statuses->front();
  }
  // -1: the gateway does not know the endpoint.
  int InFlight(const NamedBackend& backend, const std::string& upstream = "checkout") {
    for (const EndpointLoad& load : Inspect(upstream).endpoints) {
      if (load.address == backend.address()) return load.in_flight;
    }
    return -1;
  }
  static Answers AskAt(int port, int count) {
    Answers answers;
    HttpProbe probe(port);
    for (int i = 0; i < count; ++i) {
      const HttpProbe::Answer answer = probe.Get("/");
      ++answers[answer.status == 200 ? answer.body : std::to_string(answer.status)];
    }
    return answers;
  }
  // Who answers each of many paths.
  [[nodiscard]] std::map<int, std::string> Places() const {
    std::map<int, std::string> places;
    HttpProbe probe(hash_);
    for (int i = 0; i < 400; ++i) places[i] = probe.Get("/" + std::to_string(i)).body;
    return places;
  }

  int robin_, random_, hash_, twin_, sticky_, stats_;  // ports
  std::optional<HaproxyProcess> haproxy_;
  HaproxyOptions options_;
  std::unique_ptr<GatewayOnLoop> gateway_;
  uint64_t sequence_ = 0;
};

TEST_F(HaproxyTest, TheExampleIsAConfigurationWithoutWarnings) {
  const auto [code, output] = haproxy_->Check();
  EXPECT_EQ(code, 0) << output;
  EXPECT_EQ(output.find("WARNING"), std::string::npos) << output;
}

TEST_F(HaproxyTest, BalancesByWeight) {
  NamedBackend a("a"), b("b");
  Push({Serving(a, 75), Serving(b, 25)}, "robin");
  EXPECT_EQ(AskAt(robin_, 80), (Answers{{"a", 60}, {"b", 20}}));
  Push({Serving(a, 25), Serving(b, 25)}, "robin");
  const Answers even = AskAt(robin_, 80);
  EXPECT_EQ(even.at("a"), 40);
  EXPECT_EQ(haproxy_->Servers("robin"),
            (std::map<std::string, std::string>{{a.server_name(), "ready 25"},
                                                {b.server_name(), "ready 25"}}));
  EXPECT_EQ(Inspect("robin").version, (ListVersion{1, 2}));
}

TEST_F(HaproxyTest, RandomUsesEveryServer) {
  NamedBackend a("a"), b("b"), c("c"), d("d");
  Push({Serving(a), Serving(b), Serving(c), Serving(d)}, "random");
  Answers answers = AskAt(random_, 400);
  EXPECT_EQ(answers.size(), 4u);
  for (const auto& [name, count] : answers) EXPECT_GT(count, 50) << name;
}

TEST_F(HaproxyTest, AHashKeepsItsPlacesOverAReloadAndWhenOneComes) {
  NamedBackend a("a"), b("b"), c("c"), d("d");
  Push({Serving(a), Serving(b), Serving(c)}, "hash");
  const auto before = Places();
  ASSERT_TRUE(haproxy_->Reload());
  EXPECT_EQ(Inspect("hash").version, ListVersion{});
  // In another order, as another daemon might.
  Push({Serving(c)}, "hash");
  Push({Serving(b), Serving(c)}, "hash");
  Push({Serving(a), Serving(b), Serving(c)}, "hash");
  EXPECT_EQ(Places(), before);
  Push({Serving(a), Serving(b), Serving(c), Serving(d)}, "hash");
  int moved = 0, elsewhere = 0;
  for (const auto& [path, name] : Places()) {
    moved += name != before.at(path);
    elsewhere += name != before.at(path) && name != "d";
  }
  EXPECT_GT(moved, 20);
  EXPECT_LT(moved, 200);
  EXPECT_EQ(elsewhere, 0) << "only the new one takes over";
}

TEST_F(HaproxyTest, AStateFileBringsBackNoneAndDoesNoHarm) {
  NamedBackend a("a");
  const std::string file = haproxy_->folder() / "state";
  haproxy_->Configure("\ndefaults", "  server-state-file " + file + "\n\ndefaults");
  haproxy_->Configure("balance leastconn",
                      "balance leastconn\n  load-server-state-from-file global");
  Push({Serving(a, 30)});
  std::ofstream(file) << haproxy_->Ask("show servers state");
  ASSERT_TRUE(haproxy_->Reload());
  EXPECT_EQ(haproxy_->Servers(), (std::map<std::string, std::string>{{"wait", "ready 1"}}));
  Push({Serving(a, 40)});
  EXPECT_EQ(haproxy_->Servers().at(a.server_name()), "ready 40");
  EXPECT_EQ(AskAt(haproxy_->port(), 3), (Answers{{"a", 3}}));
}

TEST_F(HaproxyTest, DrainsByRequestsNotByConnections) {
  NamedBackend stays("stays"), leaves("leaves");
  Push({Serving(leaves)});
  HttpProbe idle(haproxy_->port()), slow(haproxy_->port());
  ASSERT_EQ(idle.Get("/").body, "leaves");  // its connections stay open, on both sides
  EXPECT_EQ(InFlight(leaves), 0);
  ASSERT_TRUE(slow.Send("/slow"));
  ASSERT_TRUE(leaves.server().WaitForRequests(2));
  EXPECT_EQ(InFlight(leaves), 1);
  Push({Serving(stays), Draining(leaves)});
  EXPECT_EQ(AskAt(haproxy_->port(), 20), (Answers{{"stays", 20}}));
  EXPECT_EQ(idle.Get("/").body, "stays") << "a kept connection chooses anew";
  EXPECT_EQ(InFlight(leaves), 1);
  leaves.Release();
  EXPECT_EQ(slow.Receive().body, "leaves");
  EXPECT_TRUE(Eventually([&] { return InFlight(leaves) == 0; }));
  Push({Serving(stays), Serving(leaves)});
  EXPECT_EQ(haproxy_->Servers().at(leaves.server_name()), "ready 100") << "and is taken back";
}

// What HAProxy calls drain would keep them, and the drain would never end.
TEST_F(HaproxyTest, OneThatDrainsLosesTheClientsThatStickToIt) {
  NamedBackend stays("stays"), leaves("leaves");
  Push({Serving(leaves)}, "sticky");
  EXPECT_EQ(AskAt(sticky_, 2), (Answers{{"leaves", 2}}));
  Push({Serving(stays), Serving(leaves)}, "sticky");
  EXPECT_EQ(AskAt(sticky_, 10), (Answers{{"leaves", 10}})) << "else this shows nothing";
  Push({Serving(stays), Draining(leaves)}, "sticky");
  EXPECT_EQ(AskAt(sticky_, 10), (Answers{{"stays", 10}}));
}

TEST_F(HaproxyTest, OneThatIsRemovedFinishesItsRequestsAndIsDeletedLater) {
  NamedBackend stays("stays"), leaves("leaves");
  Push({Serving(leaves)});
  HttpProbe slow(haproxy_->port());
  ASSERT_TRUE(slow.Send("/slow"));
  ASSERT_TRUE(leaves.server().WaitForRequests(1));
  Push({Serving(stays)});
  EXPECT_EQ(haproxy_->Servers().at(leaves.server_name()), "maint 100");
  EXPECT_EQ(Inspect().version, (ListVersion{1, 2}));
  EXPECT_EQ(InFlight(leaves), 1);
  leaves.Release();
  EXPECT_EQ(slow.Receive().body, "leaves");
  EXPECT_TRUE(Eventually([&] {
    Inspect();
    return !haproxy_->Servers().contains(leaves.server_name());
  }));
}

TEST_F(HaproxyTest, StoppingDrainedInstancesUnderLoadLosesNothing) {
  NamedBackend stays("stays");
  Push({Serving(stays)});
  SteadyClients load(haproxy_->port(), /*keep_alive=*/true);
  std::chrono::steady_clock::duration longest{0};
  for (int i = 0; i < 20; ++i) {
    NamedBackend leaves("leaves");
    Push({Serving(stays), Serving(leaves)});
    ASSERT_TRUE(leaves.server().WaitForRequests(5));
    Push({Serving(stays), Draining(leaves)});
    const auto acknowledged = std::chrono::steady_clock::now();
    const size_t settle_ends = static_cast<size_t>(options_.settle.count());
    size_t seen = leaves.server().requests().size();
    for (size_t ms = 0; ms < settle_ends; ++ms) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const size_t now = leaves.server().requests().size();
      if (now > seen) longest = std::max(longest, std::chrono::steady_clock::now() - acknowledged);
      seen = now;
    }
    ASSERT_TRUE(Eventually([&] { return InFlight(leaves) == 0; }));
    EXPECT_EQ(leaves.server().requests().size(), seen) << "none comes after the settle time";
    leaves.server().Stop();
    Push({Serving(stays)});
  }
  EXPECT_EQ(load.Stop(), 0) << "of " << load.served();
  EXPECT_EQ(haproxy_->Stat("wretr"), 0);
  EXPECT_EQ(haproxy_->Stat("wredis"), 0);
  std::printf("20 drains during %d requests; the last request came %.1f ms after\n", load.served(),
              std::chrono::duration<double, std::milli>(longest).count());
}

TEST_F(HaproxyTest, ARequestWaitsForTheFirstServer) {
  NamedBackend a("a");
  HttpProbe early(haproxy_->port());
  ASSERT_TRUE(early.Send("/"));
  ASSERT_TRUE(Eventually([&] { return haproxy_->Stat("wretr", "wait") > 0; }));
  Push({Serving(a)});
  EXPECT_EQ(early.Receive().body, "a");
  EXPECT_EQ(AskAt(haproxy_->port(), 10), (Answers{{"a", 10}}))
      << "no other goes to the last resort";
}

TEST_F(HaproxyTest, KeepsIPv6AndOthersServers) {
  NamedBackend a("a");
  Push({Serving(a), {.address = "[::1]:81", .weight = 7}});
  EXPECT_EQ(
      haproxy_->Servers(),
      (std::map<std::string, std::string>{
          {"wait", "ready 1"}, {a.server_name(), "ready 100"}, {"autoscaled-::1:81", "ready 7"}}));
  Push({Serving(a)});
  EXPECT_EQ(haproxy_->Servers().size(), 2u);
  EXPECT_TRUE(haproxy_->Servers().contains("wait"));
}

TEST_F(HaproxyTest, PutsBackWhatSomebodyChanged) {
  NamedBackend a("a"), b("b");
  const std::vector<Endpoint> list = {Serving(a), Draining(b)};
  Push({Serving(a), Serving(b)});
  Push(list);
  const std::string server = "checkout/" + a.server_name();
  for (const std::string& change :
       {"set server " + server + " weight 3", "set server " + server + " state maint",
        "set server " + server + " addr 127.0.0.9 port 9",
        "set server checkout/" + b.server_name() + " state ready",
        "set server " + server + " state maint;del server " + server}) {
    static_cast<void>(haproxy_->Ask(change));
    EXPECT_EQ(Inspect().version, ListVersion{}) << change;
    Push(list);
    EXPECT_EQ(Inspect().version, (ListVersion{1, sequence_})) << change;
    EXPECT_EQ(haproxy_->Servers().at(a.server_name()), "ready 100") << change;
    EXPECT_EQ(AskAt(haproxy_->port(), 4), (Answers{{"a", 4}})) << change;
  }
}

TEST_F(HaproxyTest, AFrontendMayHaveTheBackendsName) {
  NamedBackend a("a");
  Push({Serving(a)}, "twin");
  HttpProbe slow(twin_);
  ASSERT_TRUE(slow.Send("/slow"));
  ASSERT_TRUE(a.server().WaitForRequests(1));
  EXPECT_EQ(InFlight(a, "twin"), 1);
  a.Release();
}

TEST_F(HaproxyTest, IsReachedOverTcp) {
  options_.address = {
      .unix_socket = {}, .host = "127.0.0.1", .port = static_cast<uint16_t>(stats_)};
  gateway_ = Connect(options_);
  NamedBackend a("a");
  Push({Serving(a)});
  EXPECT_EQ(AskAt(haproxy_->port(), 3), (Answers{{"a", 3}}));
  EXPECT_EQ(InFlight(a), 0);
}

TEST_F(HaproxyTest, TellsWhatItsConfigurationLacks) {
  NamedBackend a("a");
  const Status balance = TryPush({Serving(a)}, "map");
  ASSERT_FALSE(balance.ok());
  EXPECT_NE(balance.error().message.find("the balance of backend map takes no new servers"),
            std::string::npos)
      << balance.error().message;
  const Status unknown = TryPush({Serving(a)}, "nope");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("there is no backend nope"), std::string::npos)
      << unknown.error().message;
  options_.address.unix_socket = haproxy_->operator_socket();
  gateway_ = Connect(options_);
  const Status level = TryPush({Serving(a)});
  ASSERT_FALSE(level.ok());
  EXPECT_EQ(level.error().kind, ErrorKind::kForbidden);
  EXPECT_NE(level.error().message.find("needs 'level admin'"), std::string::npos)
      << level.error().message;
}

TEST_F(HaproxyTest, AYoungProcessCountsOneForThoseThatDrain) {
  options_.reload_grace = Millis(3'600'000);
  gateway_ = Connect(options_);
  NamedBackend stays("stays"), leaves("leaves");
  Push({Serving(stays), Serving(leaves)});
  Push({Serving(stays), Draining(leaves)});
  EXPECT_EQ(InFlight(stays), 0);
  EXPECT_EQ(InFlight(leaves), 1);
  ASSERT_TRUE(haproxy_->Reload());
  Push({Serving(stays), Draining(leaves)});
  EXPECT_FALSE(haproxy_->Servers().contains(leaves.server_name()));
  EXPECT_EQ(InFlight(leaves), 1) << "the process before may have its requests";
}

}  // namespace
}  // namespace autoscale
