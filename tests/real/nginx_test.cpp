// The nginx gateway against a real nginx: what it promises to users, shown on the real thing.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <thread>

#include "tests/fakes/http_server.h"
#include "tests/real/http_probe.h"
#include "tests/real/nginx_process.h"
#include "tests/real/parts.h"
#include "tests/signal_one.h"
#include "tests/unit/nginx/gateway_on_loop.h"

namespace autoscale {
namespace {

using std::chrono::milliseconds;

// A service instance that answers with its own name.
class Backend {
 public:
  explicit Backend(const std::string& name) : gate_(std::make_shared<Gate>()) {
    server_.Handle([name](const FakeRequest&) { return FakeAnswer{.body = name}; });
    FakeAnswer slow{.body = name};
    slow.gate = gate_;
    server_.Answer("/slow", slow);
  }
  [[nodiscard]] std::string address() const { return server_.address(); }
  void Release() { gate_->Open(); }  // lets /slow answer
  void Stop() { server_.Stop(); }
  FakeHttpServer& server() { return server_; }

 private:
  std::shared_ptr<Gate> gate_;
  FakeHttpServer server_;
};

std::optional<ErrorKind> KindOf(const Status& status) {
  return status.ok() ? std::nullopt : std::optional(status.error().kind);
}

bool Eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

class NginxTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto root = PartsRoot("usr/lib/nginx/modules/ngx_http_lua_module.so");
    if (!root || !std::filesystem::exists(*root / "usr/sbin/nginx")) {
      GTEST_SKIP() << "no nginx with its Lua module here: run deploy/fetch-parts.sh";
    }
    nginx_ = std::make_unique<NginxProcess>(*root);
    ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
    NginxOptions options;
    options.address = "unix:" + nginx_->control_socket();
    options.unix_socket = nginx_->control_socket();
    options.url = "http://autoscaled";
    options.timeout = Millis(10'000);
    gateway_ = std::make_unique<GatewayOnLoop>(options);
  }
  void TearDown() override {
    if (HasFailure() && nginx_) std::cerr << nginx_->ErrorLog();
  }

  static Endpoint Serving(const Backend& backend, int weight = 100) {
    return {.address = backend.address(), .weight = weight};
  }
  static Endpoint Draining(const Backend& backend) {
    return {.address = backend.address(), .state = Endpoint::State::kDraining};
  }
  Status TryPush(std::vector<Endpoint> endpoints, ListVersion version) {
    return gateway_->Publish(
        {.upstream = "checkout", .version = version, .endpoints = std::move(endpoints)});
  }
  void Push(std::vector<Endpoint> endpoints) {
    const Status status = TryPush(std::move(endpoints), {1, ++sequence_});
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  UpstreamStatus Inspect() {
    auto statuses = gateway_->Inspect({"checkout"});
    if (!statuses) {
      ADD_FAILURE() << statuses.error().message;
      return {};
    }
    return statuses->front();
  }
  // -1: the gateway does not know the endpoint.
  int InFlight(const Backend& backend) {
    for (const EndpointLoad& load : Inspect().endpoints) {
      if (load.address == backend.address()) return load.in_flight;
    }
    return -1;
  }
  // Waits for one request that is held by the backend's /slow.
  void WaitForRequest(Backend& backend) { ASSERT_TRUE(backend.server().WaitForRequests(1)); }
  std::map<std::string, int> Ask(int count) {
    std::map<std::string, int> answers;
    HttpProbe probe(nginx_->port());
    for (int i = 0; i < count; ++i) {
      const HttpProbe::Answer answer = probe.Get("/");
      ++answers[answer.status == 200 ? answer.body : std::to_string(answer.status)];
    }
    return answers;
  }
  std::string Metrics() const {
    return HttpProbe(nginx_->metrics_port()).Get("/metrics", false).body;
  }
  // The value of one series as written; empty when it is not there.
  [[nodiscard]] std::string Metric(const std::string& series) const {
    const std::string text = "\n" + Metrics();
    const size_t at = text.find("\nautoscaled_gateway_" + series + " ");
    if (at == std::string::npos) return "";
    const size_t value = text.find(' ', at) + 1;
    return text.substr(value, text.find('\n', value) - value);
  }

  std::unique_ptr<NginxProcess> nginx_;
  std::unique_ptr<GatewayOnLoop> gateway_;
  uint64_t sequence_ = 0;
};

// Asks without pause on several connections until stopped; counts what is not a 200.
class Load {
 public:
  Load(int port, bool keep_alive) {
    for (int i = 0; i < 4; ++i) {
      threads_.emplace_back([this, port, keep_alive] {
        HttpProbe probe(port);
        while (!stop_) {
          if (probe.Get("/", keep_alive).status != 200) ++failed_;
          ++done_;
        }
      });
    }
  }
  ~Load() { Stop(); }
  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  [[nodiscard]] int done() const { return done_; }
  [[nodiscard]] int failed() const { return failed_; }
  // Waits until so many more requests were answered.
  [[nodiscard]] bool Pass(int more) const {
    const int until = done_ + more;
    return Eventually([&] { return done_ >= until; });
  }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> done_ = 0;
  std::atomic<int> failed_ = 0;
  std::vector<std::thread> threads_;
};

TEST_F(NginxTest, AnUnknownUpstreamIsAt00AndAnswers503) {
  const UpstreamStatus status = Inspect();
  EXPECT_EQ(status.version, ListVersion{});
  EXPECT_TRUE(status.endpoints.empty());
  EXPECT_EQ(Ask(3), (std::map<std::string, int>{{"503", 3}}));
}

TEST_F(NginxTest, HonoursWeights) {
  Backend a("a"), b("b");
  Push({Serving(a, 75), Serving(b, 25)});
  // Each worker serves 3 of a to 1 of b; with two workers and any start 400 requests are at most a
  // few off 300 to 100.
  const auto answers = Ask(400);
  EXPECT_NEAR(answers.at("a"), 300, 8);
  EXPECT_NEAR(answers.at("b"), 100, 8);
}

TEST_F(NginxTest, FrequentPushesKeepTheWeights) {
  Backend a("a"), b("b");
  std::map<std::string, int> answers;
  for (int i = 0; i < 100; ++i) {
    Push({Serving(a, 50), Serving(b, 50)});
    for (const auto& [name, count] : Ask(1)) answers[name] += count;
  }
  EXPECT_NEAR(answers["a"], 50, 20);
  EXPECT_NEAR(answers["b"], 50, 20);
}

TEST_F(NginxTest, DrainsByInFlightRequests) {
  Backend a("a"), b("b");
  Push({Serving(a)});
  HttpProbe slow(nginx_->port());
  ASSERT_TRUE(slow.Send("/slow"));
  WaitForRequest(a);
  EXPECT_EQ(InFlight(a), 1);

  Push({Draining(a), Serving(b)});
  EXPECT_EQ(Ask(20), (std::map<std::string, int>{{"b", 20}}));
  EXPECT_EQ(InFlight(a), 1);
  EXPECT_EQ(InFlight(b), 0);

  a.Release();
  EXPECT_EQ(slow.Receive().body, "a");
  EXPECT_TRUE(Eventually([&] { return InFlight(a) == 0; }));
}

TEST_F(NginxTest, ShowsARemovedEndpointWhileItHasRequests) {
  Backend a("a"), b("b");
  Push({Serving(a)});
  HttpProbe slow(nginx_->port());
  ASSERT_TRUE(slow.Send("/slow"));
  WaitForRequest(a);
  Push({Serving(b)});
  Push({Serving(b, 50)});
  EXPECT_EQ(InFlight(a), 1);
  a.Release();
  EXPECT_EQ(slow.Receive().body, "a");
  EXPECT_TRUE(Eventually([&] { return InFlight(a) == -1; }));
}

TEST_F(NginxTest, ARequestThatFindsNoRoomForItsCountIsInFlightAllTheSame) {
  NginxProcess small(*PartsRoot("usr/sbin/nginx"), "32k");
  ASSERT_TRUE(small.Start()) << small.ErrorLog();
  NginxOptions options;
  options.unix_socket = small.control_socket();
  options.url = "http://autoscaled";
  options.timeout = Millis(10'000);
  GatewayOnLoop gateway(options);
  // Nobody listens there; tries and failures of each are counted until there is no room.
  UpstreamList list{.upstream = "checkout", .version = {1, 1}};
  for (int i = 2; i < 250; ++i) {
    list.endpoints.push_back({.address = "127.0.0." + std::to_string(i) + ":1"});
  }
  ASSERT_TRUE(gateway.Publish(list).ok());
  HttpProbe probe(small.port());
  ASSERT_TRUE(Eventually([&] {
    probe.Get("/");
    return small.ErrorLog().find("requests are not counted: no memory") != std::string::npos;
  })) << small.ErrorLog()
      << HttpProbe(small.metrics_port()).Get("/metrics", false).body;
  Backend a("a");
  ASSERT_TRUE(
      gateway
          .Publish(
              {.upstream = "checkout", .version = {1, 2}, .endpoints = {{.address = a.address()}}})
          .ok());
  HttpProbe slow(small.port()), other(small.port());
  ASSERT_TRUE(slow.Send("/slow"));
  WaitForRequest(a);
  // Their ends must not take the other's count away; the first has ended when the second begins.
  for (int i = 0; i < 2; ++i) EXPECT_EQ(other.Get("/").body, "a");
  const auto in_flight = [&] {
    const auto statuses = gateway.Inspect({"checkout"});
    if (!statuses.ok()) return -1;
    for (const EndpointLoad& load : statuses->front().endpoints) {
      if (load.address == a.address()) return load.in_flight;
    }
    return -1;
  };
  EXPECT_TRUE(Eventually([&] { return in_flight() == 1; }));  // nginx counts off after it answered
  a.Release();
  EXPECT_EQ(slow.Receive().body, "a");
  EXPECT_TRUE(Eventually([&] { return in_flight() == 0; }));
}

TEST_F(NginxTest, OnlyDrainingEndpointsServeNothing) {
  Backend a("a");
  Push({Draining(a)});
  EXPECT_EQ(Ask(3), (std::map<std::string, int>{{"503", 3}}));
}

TEST_F(NginxTest, RefusesStaleVersions) {
  Backend a("a"), b("b");
  ASSERT_TRUE(TryPush({Serving(a)}, {2, 5}).ok());
  EXPECT_TRUE(TryPush({Serving(a)}, {2, 5}).ok()) << "the same again is harmless";
  for (const ListVersion version : {ListVersion{2, 5}, ListVersion{2, 4}, ListVersion{1, 9}}) {
    const Status status = TryPush({Serving(b)}, version);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::kConflict);
    EXPECT_TRUE(status.error().message.ends_with("already at version 2.5"))
        << status.error().message;
  }
  EXPECT_EQ(Inspect().version, (ListVersion{2, 5}));
  EXPECT_EQ(Ask(2), (std::map<std::string, int>{{"a", 2}}));
  EXPECT_TRUE(TryPush({Serving(b)}, {3, 1}).ok());
  EXPECT_EQ(Ask(2), (std::map<std::string, int>{{"b", 2}}));
}

TEST_F(NginxTest, KeepsVersionsExactly) {
  Backend a("a");
  const ListVersion big{9007199254740991, 9007199254740990};  // 2^53 - 1 and - 2
  ASSERT_TRUE(TryPush({Serving(a)}, big).ok());
  EXPECT_EQ(Inspect().version, big);
}

TEST_F(NginxTest, RefusesAnEmptyListUnlessItIsMeant) {
  Backend a("a");
  Push({Serving(a)});
  const Status status = TryPush({}, {1, 9});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
  EXPECT_EQ(Ask(2), (std::map<std::string, int>{{"a", 2}}));
  EXPECT_TRUE(
      gateway_
          ->Publish(
              {.upstream = "checkout", .version = {1, 9}, .endpoints = {}, .may_be_empty = true})
          .ok());
  EXPECT_EQ(Ask(2), (std::map<std::string, int>{{"503", 2}}));
}

TEST_F(NginxTest, RefusesWhatItCouldNotConnectTo) {
  for (const std::string address : {"backend:80", "256.0.0.1:80", "1.2.3:80"}) {
    const Status status = TryPush({{.address = address}}, {1, 1});
    ASSERT_FALSE(status.ok()) << address;
    EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(status.error().message.find("is not an IP address"), std::string::npos)
        << status.error().message;
  }
  Backend a("a");
  EXPECT_EQ(KindOf(TryPush({Serving(a), Serving(a)}, {1, 1})), ErrorKind::kInvalid);
  EXPECT_EQ(KindOf(TryPush({Serving(a, 0)}, {1, 1})), ErrorKind::kInvalid);
  EXPECT_EQ(Inspect().version, ListVersion{});
}

TEST_F(NginxTest, RetriesElsewhereAndCountsOnce) {
  Backend live("live"), dead("dead");
  const std::string dead_address = dead.address();
  dead.Stop();
  Push({Serving(live), {.address = dead_address, .weight = 100}});
  EXPECT_EQ(Ask(20), (std::map<std::string, int>{{"live", 20}}));
  EXPECT_TRUE(Eventually([&] { return InFlight(live) == 0 && InFlight(dead) == 0; }));
  EXPECT_EQ(Metric("requests_total{upstream=\"checkout\",endpoint=\"" + live.address() +
                   "\",class=\"2xx\"}"),
            "20");
  EXPECT_NE(Metric("retries_total{upstream=\"checkout\",endpoint=\"" + dead_address + "\"}"), "");
}

TEST_F(NginxTest, AnErrorPageDoesNotLeaveItsRequestInFlight) {
  Backend dead("dead");
  Push({Serving(dead)});
  dead.Stop();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(HttpProbe(nginx_->error_page_port()).Get("/").body, "sorry");
  }
  EXPECT_TRUE(Eventually([&] { return InFlight(dead) == 0; }));
}

TEST_F(NginxTest, AClientThatLeavesIsNotInFlight) {
  Backend a("a");
  Push({Serving(a)});
  HttpProbe impatient(nginx_->port());
  ASSERT_TRUE(impatient.Send("/slow"));
  WaitForRequest(a);
  EXPECT_EQ(InFlight(a), 1);
  impatient.Close();
  EXPECT_TRUE(Eventually([&] { return InFlight(a) == 0; }));
}

TEST_F(NginxTest, AKilledWorkerLeavesNothingInFlight) {
  Backend a("a");
  Push({Serving(a)});
  std::vector<std::unique_ptr<HttpProbe>> probes;
  for (int i = 0; i < 6; ++i) {
    probes.push_back(std::make_unique<HttpProbe>(nginx_->port()));
    ASSERT_TRUE(probes.back()->Send("/slow"));
  }
  ASSERT_TRUE(a.server().WaitForRequests(6));
  EXPECT_EQ(InFlight(a), 6);
  const std::vector<pid_t> workers = nginx_->Workers();
  ASSERT_EQ(workers.size(), 2u);
  for (const pid_t worker : workers) SignalOne(worker, SIGKILL);
  EXPECT_TRUE(Eventually([&] { return nginx_->Workers() != workers && Ask(1).contains("a"); }));
  // The second of them may be noticed a moment later than the first.
  EXPECT_TRUE(Eventually([&] { return InFlight(a) == 0; }));
  EXPECT_EQ(Inspect().version, (ListVersion{1, 1}));
  probes.clear();
  HttpProbe again(nginx_->port());
  ASSERT_TRUE(again.Send("/slow"));
  EXPECT_TRUE(Eventually([&] { return InFlight(a) == 1; })) << "new workers count anew";
}

TEST_F(NginxTest, RestoresItsListsAfterARestart) {
  Backend a("a"), b("b");
  Push({Serving(a, 10), Draining(b)});
  nginx_->Stop();
  ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
  EXPECT_EQ(Ask(4), (std::map<std::string, int>{{"a", 4}}));
  EXPECT_EQ(Inspect().version, (ListVersion{1, 1}));
  EXPECT_EQ(InFlight(b), 0) << "draining endpoints are restored as such";
  EXPECT_EQ(KindOf(TryPush({Serving(b)}, {1, 0})), ErrorKind::kConflict);
}

TEST_F(NginxTest, ADamagedStateFileIsPassedOver) {
  Backend a("a");
  Push({Serving(a)});
  nginx_->Stop();
  std::ofstream(nginx_->state_dir() / "checkout.json") << R"({"epoch":1,"seq":2,"peers":[{"host)";
  ASSERT_TRUE(nginx_->Start()) << nginx_->ErrorLog();
  EXPECT_EQ(Inspect().version, ListVersion{});
  EXPECT_NE(nginx_->ErrorLog().find("checkout.json is not restored"), std::string::npos);
  Push({Serving(a)});
  EXPECT_EQ(Ask(2), (std::map<std::string, int>{{"a", 2}}));
}

TEST_F(NginxTest, AReloadUnderLoadLosesNothing) {
  Backend a("a"), b("b");
  Push({Serving(a), Serving(b)});
  Load load(nginx_->port(), /*keep_alive=*/false);
  ASSERT_TRUE(load.Pass(100));
  const std::vector<pid_t> before = nginx_->Workers();
  for (int i = 0; i < 3; ++i) {
    nginx_->Reload();
    ASSERT_TRUE(load.Pass(300));
    Push({Serving(a), Serving(b, 50 + i)});
  }
  EXPECT_NE(nginx_->Workers(), before);
  load.Stop();
  EXPECT_EQ(load.failed(), 0) << "of " << load.done();
  EXPECT_EQ(Inspect().version, (ListVersion{1, 4}));
  EXPECT_TRUE(Eventually([&] { return InFlight(a) == 0 && InFlight(b) == 0; }));
}

TEST_F(NginxTest, ChangingListsUnderLoadLosesNothing) {
  Backend a("a"), b("b");
  Load load(nginx_->port(), /*keep_alive=*/true);
  Push({Serving(a), Serving(b)});
  load.Stop();  // 503 until the first list is right, but not what is counted here
  Load counted(nginx_->port(), /*keep_alive=*/true);
  for (int i = 0; i < 100; ++i) {
    Push({Serving(a, 1 + i), Serving(b, 100)});
    Push({Serving(b)});
    Push({Serving(a), Draining(b)});
  }
  ASSERT_TRUE(counted.Pass(500));
  counted.Stop();
  EXPECT_EQ(counted.failed(), 0) << "of " << counted.done();
  std::cerr << "300 pushes during " << counted.done() << " requests\n";
}

TEST_F(NginxTest, StoppingDrainedInstancesUnderLoadLosesNothing) {
  Backend stays("stays");
  Push({Serving(stays)});
  Load load(nginx_->port(), /*keep_alive=*/true);
  for (int i = 0; i < 20; ++i) {
    Backend leaves("leaves");
    Push({Serving(stays), Serving(leaves)});
    ASSERT_TRUE(leaves.server().WaitForRequests(5));
    Push({Serving(stays), Draining(leaves)});
    std::this_thread::sleep_for(gateway_->gateway().capabilities().settle);
    ASSERT_TRUE(Eventually([&] { return InFlight(leaves) == 0; }));
    leaves.Stop();
    Push({Serving(stays)});
  }
  load.Stop();
  EXPECT_EQ(load.failed(), 0) << "of " << load.done();
}

TEST_F(NginxTest, MetricsTellArrivalsEndsAndDurations) {
  Ask(2);  // 503: nothing serves yet
  Backend a("a");
  Push({Serving(a)});
  Ask(5);
  HttpProbe slow(nginx_->port());
  ASSERT_TRUE(slow.Send("/slow"));
  ASSERT_TRUE(a.server().WaitForRequests(6));
  const std::string endpoint = "{upstream=\"checkout\",endpoint=\"" + a.address() + "\"";
  EXPECT_EQ(Metric("arrivals_total{upstream=\"checkout\"}"), "8");
  EXPECT_EQ(Metric("in_flight" + endpoint + "}"), "1");
  EXPECT_EQ(Metric("requests_total" + endpoint + ",class=\"2xx\"}"), "5");
  EXPECT_EQ(Metric("requests_total{upstream=\"checkout\",endpoint=\"\",class=\"5xx\"}"), "2");
  EXPECT_EQ(Metric("request_duration_seconds_count{upstream=\"checkout\"}"), "5")
      << "a refusal is not a fast answer";
  EXPECT_EQ(Metric("request_duration_seconds_bucket{upstream=\"checkout\",le=\"+Inf\"}"), "5");
  EXPECT_EQ(Metric("endpoints{upstream=\"checkout\",state=\"serving\"}"), "1");
  a.Release();
}

}  // namespace
}  // namespace autoscale
