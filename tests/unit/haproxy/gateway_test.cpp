// The gateway against a Runtime API that answers whatever it is told to.
#include <gtest/gtest.h>

#include <optional>

#include "gateways/haproxy/haproxy_gateway.h"
#include "tests/unit/haproxy/fake_runtime_api.h"
#include "tests/unit/nginx/gateway_on_loop.h"

namespace autoscale {
namespace {

using Mood = FakeRuntimeApi::Mood;
using Texts = std::vector<std::string>;

constexpr const char* kA = "autoscaled-10.0.0.5:1";
constexpr const char* kB = "autoscaled-10.0.0.5:2";

Endpoint Serving(const std::string& address, int weight = 100) {
  return {.address = address, .weight = weight};
}
Endpoint Draining(const std::string& address) {
  return {.address = address, .state = Endpoint::State::kDraining};
}

class HaproxyGatewayTest : public testing::Test {
 protected:
  HaproxyGatewayTest() : haproxy_({"web", "shop"}) {
    options_.address.unix_socket = options_.shown = haproxy_.socket();
    options_.timeout = Millis(10'000);
    Restart();
  }
  // As a daemon that was killed and started again.
  void Restart() {
    gateway_.reset();
    gateway_.emplace(std::make_shared<HaproxyOptions>(options_), CreateHaproxyGateway);
  }
  Status Push(std::vector<Endpoint> endpoints, const std::string& upstream = "web") {
    return gateway_->Publish({.upstream = upstream,
                              .version = {.epoch = 3, .sequence = ++sequence_},
                              .endpoints = std::move(endpoints),
                              .may_be_empty = true});
  }
  void MustPush(std::vector<Endpoint> endpoints) {
    const Status status = Push(std::move(endpoints));
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  UpstreamStatus Inspect(const std::string& upstream = "web") {
    auto statuses = gateway_->Inspect({upstream});
    EXPECT_TRUE(statuses.ok() && statuses->size() == 1);
    return statuses.ok() ? statuses->front() : UpstreamStatus{};
  }
  static std::map<std::string, int> InFlight(const UpstreamStatus& status) {
    std::map<std::string, int> loads;
    for (const EndpointLoad& load : status.endpoints) loads[load.address] = load.in_flight;
    EXPECT_EQ(loads.size(), status.endpoints.size()) << "each address once";
    return loads;
  }
  [[nodiscard]] std::string Told(const std::string& what) const {
    return "gateway edge at " + options_.shown + ": " + what;
  }

  FakeRuntimeApi haproxy_;
  HaproxyOptions options_;
  uint64_t sequence_ = 0;
  std::optional<GatewayOnLoop> gateway_;
};

TEST_F(HaproxyGatewayTest, DeclaresWhatItCan) {
  EXPECT_EQ(gateway_->gateway().capabilities().settle, Millis(50));
  EXPECT_TRUE(gateway_->gateway().capabilities().counts_in_flight);
  EXPECT_FALSE(gateway_->gateway().capabilities().persists);
}

TEST_F(HaproxyGatewayTest, MakesTheBackendTheList) {
  MustPush({Serving("10.0.0.5:1", 30), Serving("10.0.0.5:2")});
  const auto servers = haproxy_.Of("web");
  ASSERT_EQ(servers.size(), 2u);
  EXPECT_EQ(servers.at(kA).host, "10.0.0.5");
  EXPECT_EQ(servers.at(kA).port, 1);
  EXPECT_EQ(servers.at(kA).weight, 30);
  EXPECT_EQ(servers.at(kA).admin, 0);
  EXPECT_EQ(servers.at(kB).weight, 100);
  EXPECT_EQ(Inspect().version, (ListVersion{3, 1}));

  haproxy_.ClearHistory();
  MustPush({Serving("10.0.0.5:1", 60), Draining("10.0.0.5:2")});
  EXPECT_EQ(haproxy_.history(), (Texts{"set server web/autoscaled-10.0.0.5:1 weight 60",
                                       "set server web/autoscaled-10.0.0.5:2 state maint"}));
  EXPECT_EQ(Inspect().version, (ListVersion{3, 2}));

  haproxy_.ClearHistory();
  MustPush({Serving("10.0.0.5:1", 60)});
  EXPECT_EQ(haproxy_.history(), Texts{"del server web/autoscaled-10.0.0.5:2"});
  EXPECT_EQ(haproxy_.Of("web").size(), 1u);
  EXPECT_EQ(Inspect().version, (ListVersion{3, 3}));

  haproxy_.ClearHistory();
  MustPush({Serving("10.0.0.5:1", 60)});
  EXPECT_EQ(haproxy_.history(), Texts{}) << "nothing differs";
}

TEST_F(HaproxyGatewayTest, TakesADrainingOneBack) {
  MustPush({Serving("10.0.0.5:1")});
  MustPush({Draining("10.0.0.5:1")});
  EXPECT_EQ(haproxy_.Of("web").at(kA).admin, 1);
  MustPush({Serving("10.0.0.5:1")});
  EXPECT_EQ(haproxy_.Of("web").at(kA).admin, 0);
}

TEST_F(HaproxyGatewayTest, NeverBreaksConnectionsAndDeletesLater) {
  MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2")});
  haproxy_.Load("web", kB, 2);
  MustPush({Serving("10.0.0.5:1")});
  EXPECT_EQ(haproxy_.Of("web").at(kB).admin, 1) << "in maintenance: nothing new, the rest goes on";
  UpstreamStatus status = Inspect();
  EXPECT_EQ(status.version, (ListVersion{3, 2})) << "it is the list all the same";
  EXPECT_EQ(InFlight(status), (std::map<std::string, int>{{"10.0.0.5:1", 0}, {"10.0.0.5:2", 2}}));
  haproxy_.ClearHistory();
  Inspect();
  EXPECT_EQ(haproxy_.history(), Texts{}) << "while it has requests it is not even tried";

  haproxy_.Load("web", kB, 0);
  Inspect();                          // deletes it, after it has answered
  MustPush({Serving("10.0.0.5:1")});  // has its turn after that
  EXPECT_EQ(haproxy_.history(), Texts{"del server web/autoscaled-10.0.0.5:2"});
  haproxy_.Put("web", kB, {.id = 7, .host = "10.0.0.5", .port = 2});
  for (int looks = 0; looks < 1000 && haproxy_.Of("web").size() > 1; ++looks) Inspect();
  EXPECT_EQ(haproxy_.Of("web").size(), 1u) << "without a push";
}

TEST_F(HaproxyGatewayTest, CountsRequestsServedAndWaiting) {
  MustPush({Serving("10.0.0.5:1"), Draining("10.0.0.5:2")});
  EXPECT_EQ(InFlight(Inspect()),
            (std::map<std::string, int>{{"10.0.0.5:1", 0}, {"10.0.0.5:2", 0}}));
  haproxy_.Load("web", kA, 3, 2);
  EXPECT_EQ(InFlight(Inspect()),
            (std::map<std::string, int>{{"10.0.0.5:1", 5}, {"10.0.0.5:2", 0}}));
}

TEST_F(HaproxyGatewayTest, CountsOneForAProcessThatAReloadMayHaveLeft) {
  MustPush({Serving("10.0.0.5:1"), Draining("10.0.0.5:2")});
  haproxy_.SetUptime(29);
  EXPECT_EQ(InFlight(Inspect()),
            (std::map<std::string, int>{{"10.0.0.5:1", 0}, {"10.0.0.5:2", 1}}));
  haproxy_.SetUptime(30);
  EXPECT_EQ(InFlight(Inspect())["10.0.0.5:2"], 0);
}

TEST_F(HaproxyGatewayTest, AReloadBetweenTwoQuestionsIsSeen) {
  MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2")});
  haproxy_.Load("web", kB, 1);
  MustPush({Serving("10.0.0.5:1"), Draining("10.0.0.5:2")});
  haproxy_.ReloadAt("show info");
  EXPECT_EQ(InFlight(Inspect())["10.0.0.5:2"], 1) << "the process before has it";
}

TEST_F(HaproxyGatewayTest, LeavesOthersServersAlone) {
  haproxy_.Put("web", "wait", {.id = 1, .host = "127.0.0.1", .port = 1, .admin = 0});
  haproxy_.Put("web", "down", {.id = 2, .host = "127.0.0.1", .port = 2, .admin = 1});
  MustPush({Serving("10.0.0.5:1")});
  MustPush({Draining("10.0.0.5:1")});
  MustPush({});
  for (const std::string& command : haproxy_.history()) {
    EXPECT_NE(command.find("web/autoscaled-"), std::string::npos) << command;
  }
  EXPECT_EQ(haproxy_.Of("web").size(), 2u);
  EXPECT_TRUE(InFlight(Inspect()).empty());
}

TEST_F(HaproxyGatewayTest, AReloadShowsAndIsMadeUpFor) {
  MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2", 40)});
  haproxy_.Forget();
  EXPECT_EQ(Inspect().version, ListVersion{});
  MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2", 40)});
  EXPECT_EQ(haproxy_.Of("web").at(kB).weight, 40);
  EXPECT_EQ(Inspect().version, (ListVersion{3, 2}));
}

TEST_F(HaproxyGatewayTest, WhateverSomebodyChangesShows) {
  MustPush({Serving("10.0.0.5:1"), Draining("10.0.0.5:2")});
  auto changed = haproxy_.Of("web").at(kA);
  const auto was = changed;
  changed.weight = 1;
  haproxy_.Put("web", kA, changed);
  EXPECT_EQ(Inspect().version, ListVersion{});
  haproxy_.Put("web", kA, was);
  EXPECT_EQ(Inspect().version, (ListVersion{3, 1}));
  haproxy_.Put("web", "autoscaled-10.0.0.9:1",
               {.id = 5, .host = "10.0.0.9", .port = 1, .admin = 0});
  EXPECT_EQ(Inspect().version, ListVersion{}) << "another daemon's";
}

TEST_F(HaproxyGatewayTest, AfterARestartNothingIsBelieved) {
  MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2")});
  Restart();
  EXPECT_EQ(Inspect().version, ListVersion{});
  haproxy_.ClearHistory();
  MustPush({Serving("10.0.0.5:1")});
  EXPECT_EQ(haproxy_.history(), (Texts{"set server web/autoscaled-10.0.0.5:2 state maint",
                                       "del server web/autoscaled-10.0.0.5:2"}));
  EXPECT_EQ(Inspect().version, (ListVersion{3, 2}));
}

TEST_F(HaproxyGatewayTest, APushCutOffAnywhereIsTakenUp) {
  for (int changes = 0; changes <= 8; ++changes) {
    SCOPED_TRACE(changes);
    MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2"), Serving("10.0.0.5:3")});
    const std::vector<Endpoint> next = {Serving("10.0.0.5:1", 50), Draining("10.0.0.5:2"),
                                        Serving("10.0.0.5:4"), Serving("10.0.0.5:5")};
    haproxy_.DieAfter(changes);
    const Status cut = Push(next);
    EXPECT_EQ(cut.ok(), changes == 8) << "eight changes make it whole";
    // The first only adds a server in maintenance: that is the list before, still.
    EXPECT_EQ(Inspect().version == ListVersion{}, changes > 1 && changes < 8);
    haproxy_.DieAfter(-1);
    if (changes % 2 == 1) Restart();
    MustPush(next);
    EXPECT_EQ(haproxy_.Of("web").size(), 4u);
    EXPECT_EQ(haproxy_.Of("web").at(kA).weight, 50);
    EXPECT_EQ(haproxy_.Of("web").at(kB).admin, 1);
    MustPush({Serving("10.0.0.5:1")});
  }
}

TEST_F(HaproxyGatewayTest, TakesNothingAwayBeforeTheNewOnesAreThere) {
  MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2")});
  haproxy_.Refuse("add server", "No room.");
  const Status status = Push({Serving("10.0.0.5:3"), Draining("10.0.0.5:2")});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, Told("push of web: HAProxy says 'No room.'"));
  EXPECT_EQ(haproxy_.Of("web").at(kA).admin, 0);
  EXPECT_EQ(haproxy_.Of("web").at(kB).admin, 0);
  EXPECT_EQ(Inspect().version, (ListVersion{3, 1})) << "the list before serves on";
}

TEST_F(HaproxyGatewayTest, TellsWhatHaproxyDidNotDo) {
  MustPush({Serving("10.0.0.5:1"), Serving("10.0.0.5:2")});
  haproxy_.Refuse("set server web/autoscaled-10.0.0.5:2 state maint", "Not today.");
  const Status status = Push({Serving("10.0.0.5:1"), Draining("10.0.0.5:2")});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, Told("push of web: HAProxy says 'Not today.'"));
}

TEST_F(HaproxyGatewayTest, TellsALevelThatIsTooLow) {
  haproxy_.Refuse("add server", "Permission denied");
  const Status status = Push({Serving("10.0.0.5:1")});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(status.error().message,
            Told("push of web: permission denied: the 'stats socket' line needs 'level admin'"));
}

TEST_F(HaproxyGatewayTest, TellsABackendThatIsNotThereAndServesTheOthers) {
  MustPush({Serving("10.0.0.5:1")});
  const Status status = Push({Serving("10.0.0.5:1")}, "nope");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(status.error().message,
            Told("push of nope: there is no backend nope; write 'backend nope' into haproxy.cfg, "
                 "or name another with 'upstream'"));
  const auto statuses = gateway_->Inspect({"nope", "web", "shop"});
  ASSERT_TRUE(statuses.ok()) << statuses.error().message;
  ASSERT_EQ(statuses->size(), 3u);
  EXPECT_EQ((*statuses)[0].upstream, "nope");
  EXPECT_EQ((*statuses)[0].version, ListVersion{});
  EXPECT_EQ((*statuses)[1].version, (ListVersion{3, 1}));
  EXPECT_EQ((*statuses)[2].version, ListVersion{});
}

TEST_F(HaproxyGatewayTest, NeverSendsWhatCannotBeTaken) {
  const Status status = Push({Serving("shop.example:80")});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
  EXPECT_TRUE(status.error().message.starts_with(
      Told("push of web: endpoint 'shop.example:80' is not an IP address with a port")));
  const Status empty = gateway_->Publish({.upstream = "web", .version = {1, 1}});
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.error().message, Told("push of web: the list is empty"));
  for (const std::string upstream : {"web;shutdown sessions", "web\ndisable frontend shop", "<<"}) {
    const Status name = Push({Serving("10.0.0.5:1")}, upstream);
    ASSERT_FALSE(name.ok());
    EXPECT_EQ(name.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(name.error().message.find("holds what HAProxy's commands may not"), std::string::npos)
        << name.error().message;
    EXPECT_FALSE(gateway_->Inspect({"web", upstream}).ok());
  }
  EXPECT_EQ(haproxy_.connections(), 0);
}

TEST_F(HaproxyGatewayTest, PushesOfManyUpstreamsAtOnceDoNotMix) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([this, i] {
      const std::string upstream = i % 2 == 0 ? "web" : "shop";
      const Status status =
          gateway_->Publish({.upstream = upstream,
                             .version = {1, static_cast<uint64_t>(i + 1)},
                             .endpoints = {Serving("10.0.0.5:" + std::to_string(i + 1))}});
      EXPECT_TRUE(status.ok()) << status.error().message;
      EXPECT_TRUE(gateway_->Inspect({"web", "shop"}).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(haproxy_.Of("web").size(), 1u);
  EXPECT_EQ(haproxy_.Of("shop").size(), 1u);
}

TEST_F(HaproxyGatewayTest, AListOfAThousandTakesMoreThanOneLine) {
  std::vector<Endpoint> many;
  for (int port = 1; port <= 1000; ++port) {
    many.push_back(Serving("10.0.0.5:" + std::to_string(port)));
  }
  MustPush(many);
  EXPECT_EQ(haproxy_.Of("web").size(), 1000u);
  EXPECT_GT(haproxy_.connections(), 10);
  EXPECT_EQ(Inspect().version, (ListVersion{3, 1}));
}

TEST_F(HaproxyGatewayTest, TellsWhateverIsNoAnswer) {
  const std::string no_answer = "the answer is not one of HAProxy's Runtime API (";
  const std::vector<std::pair<Mood, std::string>> rows = {
      {Mood::kDrops, "the connection was closed without an answer"},
      {Mood::kHalfAnswers, no_answer},
      {Mood::kGarbage, no_answer + "it says 'SSH-2.0-OpenSSH_9.2"},
      {Mood::kEndless, "the answer is longer than 16 MiB"},
  };
  for (const auto& [mood, told] : rows) {
    haproxy_.Be(mood);
    const Status status = Push({Serving("10.0.0.5:1")});
    ASSERT_FALSE(status.ok()) << told;
    EXPECT_EQ(status.error().kind, ErrorKind::kUnavailable) << told;
    EXPECT_TRUE(status.error().message.starts_with(Told("push of web: " + told)))
        << status.error().message;
    const auto statuses = gateway_->Inspect({"web"});
    ASSERT_FALSE(statuses.ok()) << told;
    EXPECT_TRUE(statuses.error().message.starts_with(Told("inspect: " + told)))
        << statuses.error().message;
  }
  haproxy_.Be(Mood::kFine);
  MustPush({Serving("10.0.0.5:1")});
}

TEST(HaproxyGatewayAlone, TellsThatNobodyListens) {
  HaproxyOptions options;
  options.address.unix_socket = options.shown = "/nonexistent/admin.sock";
  GatewayOnLoop nobody(std::make_shared<HaproxyOptions>(options), CreateHaproxyGateway);
  const auto statuses = nobody.Inspect({"web"});
  ASSERT_FALSE(statuses.ok());
  EXPECT_EQ(statuses.error().message,
            "gateway edge at /nonexistent/admin.sock: inspect: there is no such socket; does "
            "HAProxy run with a 'stats socket' line?");
  options.address = {.unix_socket = {}, .host = "127.0.0.1", .port = 1};
  options.shown = "127.0.0.1:1";
  GatewayOnLoop refused(std::make_shared<HaproxyOptions>(options), CreateHaproxyGateway);
  const Status status =
      refused.Publish({.upstream = "web", .version = {1, 1}, .endpoints = {Serving("10.0.0.5:1")}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(status.error().message,
            "gateway edge at 127.0.0.1:1: push of web: connection refused: HAProxy does not listen "
            "there");
}

TEST(HaproxyGatewayAlone, PushesOfOneBackendGoOneAfterTheOther) {
  FakeRuntimeApi haproxy({"web"});
  auto options = std::make_shared<HaproxyOptions>();
  options->address.unix_socket = options->shown = haproxy.socket();
  options->timeout = Millis(10'000);
  EventLoop loop;
  HttpClient http(loop, 1);
  const auto gateway =
      CreateHaproxyGateway({.loop = loop, .http = http, .name = "edge", .options = options})
          .value();
  constexpr int kPushes = 4;
  int answers = 0;
  for (int i = 1; i <= kPushes; ++i) {
    gateway->Publish({.upstream = "web",
                      .version = {1, static_cast<uint64_t>(i)},
                      .endpoints = {Serving("10.0.0.5:" + std::to_string(i))}},
                     [&, i](const Status& status) {
                       EXPECT_TRUE(status.ok()) << status.error().message;
                       EXPECT_EQ(++answers, i);
                       const auto servers = haproxy.Of("web");
                       EXPECT_EQ(servers.size(), 1u) << "the list, and nothing of the next one";
                       EXPECT_TRUE(servers.contains("autoscaled-10.0.0.5:" + std::to_string(i)));
                       if (answers == kPushes) loop.Stop();
                     });
  }
  loop.Run();
}

TEST(HaproxyGatewayAlone, EveryoneIsToldWithinTheTimeOfOne) {
  FakeRuntimeApi haproxy({"web"});
  haproxy.Be(Mood::kHangs);
  auto options = std::make_shared<HaproxyOptions>();
  options->address.unix_socket = options->shown = haproxy.socket();
  options->timeout = Millis(500);
  EventLoop loop;
  HttpClient http(loop, 1);
  const auto gateway =
      CreateHaproxyGateway({.loop = loop, .http = http, .name = "edge", .options = options})
          .value();
  constexpr int kPushes = 12;
  int answers = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kPushes; ++i) {
    gateway->Publish(
        {.upstream = "web" + std::to_string(i),
         .version = {1, 1},
         .endpoints = {Serving("10.0.0.5:1")}},
        [&](const Status& status) {
          ASSERT_FALSE(status.ok());
          EXPECT_NE(status.error().message.find("timed out after 500ms"), std::string::npos)
              << status.error().message;
          if (answers == 0) {
            EXPECT_LE(haproxy.connections(), 4) << "the others wait";
          }
          if (++answers == kPushes) loop.Stop();
        });
  }
  loop.Run();
  EXPECT_EQ(answers, kPushes);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2 * options->timeout);
}

TEST(HaproxyGatewayAlone, EndsWithQuestionsUnderWay) {
  FakeRuntimeApi haproxy({"web"});
  haproxy.Be(Mood::kHangs);
  auto options = std::make_shared<HaproxyOptions>();
  options->address.unix_socket = options->shown = haproxy.socket();
  EventLoop loop;
  HttpClient http(loop, 1);
  auto gateway =
      CreateHaproxyGateway({.loop = loop, .http = http, .name = "edge", .options = options})
          .value();
  int answers = 0;
  gateway->Inspect({"web"}, [&answers](auto) { ++answers; });
  gateway->Publish({.upstream = "web", .version = {1, 1}, .endpoints = {Serving("10.0.0.5:1")}},
                   [&answers](auto) { ++answers; });
  loop.Post([&] {
    gateway.reset();
    loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(answers, 0);
}

TEST(HaproxyGatewayAlone, RefusesOptionsOfAnotherType) {
  EventLoop loop;
  HttpClient http(loop, 1);
  EXPECT_EQ(CreateHaproxyGateway({.loop = loop,
                                  .http = http,
                                  .name = "edge",
                                  .options = std::make_shared<GatewayOptions>()})
                .error()
                .kind,
            ErrorKind::kInternal);
}

}  // namespace
}  // namespace autoscale
