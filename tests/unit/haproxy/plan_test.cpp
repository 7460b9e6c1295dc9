#include "gateways/haproxy/plan.h"

#include <gtest/gtest.h>

#include <set>

namespace autoscale::haproxy {
namespace {

using Texts = std::vector<std::string>;

Endpoint Serving(const std::string& address, int weight = 100) {
  return {.address = address, .weight = weight};
}
Endpoint Draining(const std::string& address) {
  return {.address = address, .state = Endpoint::State::kDraining};
}
UpstreamList List(std::vector<Endpoint> endpoints) {
  return {.upstream = "web", .version = {1, 1}, .endpoints = std::move(endpoints)};
}
BackendServer Server(int port, uint32_t admin = 0, int weight = 100) {
  return {.id = 700'000u + static_cast<uint32_t>(port),
          .name = "autoscaled-10.0.0.5:" + std::to_string(port),
          .host = "10.0.0.5",
          .port = port,
          .weight = weight,
          .admin = admin};
}
Backend With(std::vector<BackendServer> servers) {
  return {.name = "web", .known = true, .id = 3, .servers = std::move(servers)};
}

uint32_t IdOf(const std::string& command) {
  return static_cast<uint32_t>(std::stoul(command.substr(command.find(" id ") + 4)));
}

TEST(HaproxyAddress, TakesIpAddressesOnly) {
  EXPECT_EQ(ServerName(*ParseServerAddress("10.0.0.5:80")), "autoscaled-10.0.0.5:80");
  EXPECT_EQ(ServerName(*ParseServerAddress("[fd00:0::1]:80")), "autoscaled-fd00::1:80");
  EXPECT_EQ(ToText(*ParseServerAddress("[FD00::1]:80")), "[fd00::1]:80");
  for (const char* text : {"", ":80", "10.0.0.5", "10.0.0.5:", "10.0.0.5:0", "10.0.0.5:65536",
                           "10.0.0.5:8o", "backend:80", "10.0.5:80", "fd00::1:80", "[fd00::1]",
                           "[10.0.0.5]:80", "[]:80", "10.0.0.5:80 weight 3", "10.0.0.5;x:80"}) {
    EXPECT_FALSE(ParseServerAddress(text)) << text;
  }
}

TEST(HaproxyPlan, RefusesListsThatHaproxyCouldNotHold) {
  EXPECT_TRUE(CheckList(List({Serving("10.0.0.5:80")})).ok());
  EXPECT_EQ(CheckList(List({Serving("shop:80")})).error().message,
            "endpoint 'shop:80' is not an IP address with a port, which is all that HAProxy's new "
            "servers can have: 10.0.0.5:80 or [fd00::1]:80");
  EXPECT_EQ(CheckList(List({})).error().message, "the list is empty");
  UpstreamList empty = List({});
  empty.may_be_empty = true;
  EXPECT_TRUE(CheckList(empty).ok());
  EXPECT_EQ(CheckList(List({Serving("[::1]:80"), Draining("[0::1]:80")})).error().message,
            "endpoint '[0::1]:80' is listed twice");
  EXPECT_FALSE(CheckList(List({Serving("10.0.0.5:80", 0)})).ok());
  EXPECT_FALSE(CheckList(List({Serving("10.0.0.5:80", 257)})).ok());
}

TEST(HaproxyPlan, AddsFirstThenRaisesThenDrainsThenRemoves) {
  const BackendPlan plan = PlanBackend(List({Serving("10.0.0.5:1", 30), Serving("10.0.0.5:2", 50),
                                             Draining("10.0.0.5:3"), Serving("10.0.0.5:5")}),
                                       With({Server(2), Server(3, 8), Server(4), Server(5, 8)}));
  ASSERT_EQ(plan.up.size(), 4u);
  EXPECT_TRUE(
      plan.up[0].starts_with("add server web/autoscaled-10.0.0.5:1 10.0.0.5:1 weight 30 id "))
      << plan.up[0];
  EXPECT_EQ(plan.up[1], "set server web/autoscaled-10.0.0.5:1 state ready");
  EXPECT_EQ(plan.up[2], "set server web/autoscaled-10.0.0.5:2 weight 50");
  EXPECT_EQ(plan.up[3], "set server web/autoscaled-10.0.0.5:5 state ready");
  EXPECT_EQ(plan.down, (Texts{"set server web/autoscaled-10.0.0.5:3 state maint",
                              "set server web/autoscaled-10.0.0.5:4 state maint",
                              "del server web/autoscaled-10.0.0.5:4"}));
}

TEST(HaproxyPlan, WritesIPv6InBrackets) {
  const BackendPlan plan = PlanBackend(List({Serving("[fd00::1]:80")}), With({}));
  ASSERT_EQ(plan.up.size(), 2u);
  EXPECT_TRUE(plan.up[0].starts_with("add server web/autoscaled-fd00::1:80 [fd00::1]:80 weight "))
      << plan.up[0];
}

TEST(HaproxyPlan, TakesUpWhatWasHalfDone) {
  // Added, but not ready; another in maintenance, but not deleted; one drained already.
  const BackendPlan plan = PlanBackend(List({Serving("10.0.0.5:1", 40), Draining("10.0.0.5:3")}),
                                       With({Server(1, 1, 30), Server(2, 1), Server(3, 1)}));
  EXPECT_EQ(plan.up, (Texts{"set server web/autoscaled-10.0.0.5:1 weight 40",
                            "set server web/autoscaled-10.0.0.5:1 state ready"}));
  EXPECT_EQ(plan.down, Texts{"del server web/autoscaled-10.0.0.5:2"});
}

TEST(HaproxyPlan, DoesNothingWhereAllIsAsItShouldBe) {
  const UpstreamList list = List({Serving("10.0.0.5:1"), Draining("10.0.0.5:2")});
  const Backend backend = With({Server(1), Server(2, 1)});
  const BackendPlan plan = PlanBackend(list, backend);
  EXPECT_TRUE(plan.up.empty() && plan.down.empty());
  EXPECT_EQ(Difference(list, backend), "");
}

TEST(HaproxyPlan, LeavesOthersServersAlone) {
  Backend backend = With({Server(1)});
  backend.servers.push_back({.id = 1, .name = "wait", .host = "127.0.0.1", .port = 1, .weight = 1});
  const UpstreamList list = List({Serving("10.0.0.5:1")});
  const BackendPlan plan = PlanBackend(list, backend);
  EXPECT_TRUE(plan.up.empty() && plan.down.empty());
  EXPECT_EQ(Difference(list, backend), "");
}

TEST(HaproxyPlan, DoesNotAddOneThatOnlyDrains) {
  const UpstreamList list = List({Serving("10.0.0.5:1"), Draining("10.0.0.5:2")});
  const Backend backend = With({Server(1)});
  EXPECT_TRUE(PlanBackend(list, backend).up.empty());
  EXPECT_EQ(Difference(list, backend), "");
}

TEST(HaproxyPlan, MovesAServerBackThatSomebodyMoved) {
  BackendServer moved = Server(1);
  moved.host = "10.0.0.9";
  const UpstreamList list = List({Serving("10.0.0.5:1")});
  EXPECT_EQ(PlanBackend(list, With({moved})).up,
            Texts{"set server web/autoscaled-10.0.0.5:1 addr 10.0.0.5 port 1"});
  EXPECT_EQ(Difference(list, With({moved})), "autoscaled-10.0.0.5:1 has another address");
}

TEST(HaproxyPlan, IdsAreThoseOfTheAddressAndNeverTaken) {
  const UpstreamList list = List({Serving("10.0.0.5:1")});
  const uint32_t id = IdOf(PlanBackend(list, With({})).up[0]);
  EXPECT_EQ(id, 667'794u) << "the same in every HAProxy, after every reload and in every version";
  BackendServer other{.id = id, .name = "other", .host = "10.0.0.7", .port = 1, .weight = 1};
  EXPECT_EQ(IdOf(PlanBackend(list, With({other})).up[0]), id + 1);
  // Between the ids of the configuration and those whose places in a hash ring would repeat.
  std::vector<Endpoint> many;
  for (int port = 1; port <= 3000; ++port)
    many.push_back(Serving("10.0.0.5:" + std::to_string(port)));
  std::set<uint32_t> ids;
  for (const std::string& command : PlanBackend(List(many), With({})).up) {
    if (command.starts_with("add ")) ids.insert(IdOf(command));
  }
  EXPECT_EQ(ids.size(), 3000u);
  EXPECT_GE(*ids.begin(), 524'288u);
  EXPECT_LT(*ids.rbegin(), 1'048'576u);
}

TEST(HaproxyPlan, WhatOnlyBeginsLikeOursIsLeftAlone) {
  const UpstreamList list = List({Serving("10.0.0.5:1")});
  for (const char* name : {"autoscaled-spare", "autoscaled-10.0.0.5:2;x", "autoscaled:80", "web"}) {
    const BackendServer other{.id = 1, .name = name, .host = "10.0.0.7", .port = 1, .weight = 1};
    EXPECT_TRUE(PlanBackend(list, With({Server(1), other})).down.empty()) << name;
    EXPECT_EQ(Difference(list, With({Server(1), other})), "") << name;
  }
}

TEST(HaproxyDifference, NamesWhatIsWrong) {
  const UpstreamList list = List({Serving("10.0.0.5:1", 30), Draining("10.0.0.5:2")});
  const auto of = [&list](std::vector<BackendServer> servers) {
    return Difference(list, With(std::move(servers)));
  };
  EXPECT_EQ(of({}), "autoscaled-10.0.0.5:1 is missing");
  EXPECT_EQ(of({Server(1, 0, 31)}), "autoscaled-10.0.0.5:1 has the weight 31");
  EXPECT_EQ(of({Server(1, 1, 30)}), "autoscaled-10.0.0.5:1 is not ready");
  EXPECT_EQ(of({Server(1, 8, 30)}), "autoscaled-10.0.0.5:1 is not ready");
  EXPECT_EQ(of({Server(1, 0, 30), Server(2)}), "autoscaled-10.0.0.5:2 is not draining");
  // Clients that stick to it would still get it.
  EXPECT_EQ(of({Server(1, 0, 30), Server(2, 8)}), "autoscaled-10.0.0.5:2 is not draining");
  EXPECT_EQ(of({Server(1, 0, 30), Server(3)}), "autoscaled-10.0.0.5:3 is still there");
  // In maintenance a server takes nothing, deleted or not.
  EXPECT_EQ(of({Server(1, 0, 30), Server(2, 1), Server(3, 1)}), "");
  // "disabled" in haproxy.cfg leaves a mark, which changes nothing.
  EXPECT_EQ(of({Server(1, 4, 30), Server(2, 5)}), "");
}

TEST(HaproxyLeftovers, AreOursInMaintenanceAndNotListed) {
  const UpstreamList list = List({Serving("10.0.0.5:1")});
  Backend backend = With({Server(1, 1), Server(2, 1), Server(3)});
  backend.servers.push_back({.id = 9, .name = "other", .admin = 1});
  EXPECT_EQ(Leftovers(list, backend), Texts{"autoscaled-10.0.0.5:2"});
}

}  // namespace
}  // namespace autoscale::haproxy
