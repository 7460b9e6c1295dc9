#include "net/http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <thread>

#include "tests/fakes/http_server.h"

namespace autoscale {
namespace {

using Ending = FakeAnswer::Ending;

class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest() : client_(std::in_place, loop_, 2) {
    loop_.After(std::chrono::seconds(20), [this] {
      ADD_FAILURE() << "no answer";
      loop_.Stop();
    });
  }

  Result<HttpResponse> Fetch(HttpRequest request) {
    std::optional<Result<HttpResponse>> result;
    client_->Send(std::move(request), [&](Result<HttpResponse> r) {
      EXPECT_FALSE(result.has_value()) << "called back twice";
      EXPECT_TRUE(loop_.InLoopThread());
      result.emplace(std::move(r));
      loop_.Stop();
    });
    EXPECT_FALSE(result.has_value()) << "called back before Send returned";
    loop_.Run();
    if (!result) return Error{ErrorKind::kInternal, "no answer"};
    return *std::move(result);
  }

  Result<HttpResponse> Get(const std::string& path) { return Fetch({.url = server_.Url(path)}); }

  std::string FailureOf(HttpRequest request) {
    const Result<HttpResponse> result = Fetch(std::move(request));
    if (result.ok()) return "no failure: status " + std::to_string(result->status);
    return result.error().message;
  }

  std::string At(const std::string& path) { return "GET " + server_.Url(path) + ": "; }

  // Runs the loop until everything that is posted or due now has run.
  void Settle() {
    loop_.After(Millis(0), [this] { loop_.Post([this] { loop_.Stop(); }); });
    loop_.Run();
  }

  FakeHttpServer server_;
  EventLoop loop_;
  std::optional<HttpClient> client_;
  std::thread waiter_;
};

// A port that nothing listens on, held so that nobody else takes it.
class ClosedPort {
 public:
  ClosedPort() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~ClosedPort() { ::close(fd_); }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  int fd_;
  std::string url_;
};

TEST_F(HttpClientTest, AnswersWithStatusHeadersAndBody) {
  server_.Answer("/x", FakeAnswer{.status = 418, .body = "tea", .headers = {{"X-Pot", " short "}}});
  const Result<HttpResponse> result = Get("/x?a=1");
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->status, 418);  // any status is an answer
  EXPECT_EQ(result->body, "tea");
  const std::map<std::string, std::string> headers(result->headers.begin(), result->headers.end());
  EXPECT_EQ(headers.at("x-pot"), "short");
  EXPECT_EQ(headers.at("content-length"), "3");
  EXPECT_EQ(server_.requests().at(0).target, "/x?a=1");
  EXPECT_EQ(server_.requests().at(0).method, "GET");
}

TEST_F(HttpClientTest, SendsMethodHeadersAndBody) {
  const std::string large(3u << 20, 'z');  // curl would ask first with "Expect: 100-continue"
  for (const std::string method : {"POST", "PUT", "PATCH", "DELETE"}) {
    server_.Answer("/x", "ok");
    ASSERT_TRUE(Fetch({.method = method,
                       .url = server_.Url("/x"),
                       .headers = {{"X-One", "1"}, {"X-Empty", ""}},
                       .body = large})
                    .ok());
    const FakeRequest request = server_.requests().back();
    EXPECT_EQ(request.method, method);
    EXPECT_EQ(request.body, large);
    EXPECT_EQ(request.Header("x-one"), "1");
    EXPECT_EQ(request.Header("expect"), "");
    EXPECT_EQ(request.Header("content-type"), "");  // nothing is claimed that was not asked for
  }
}

TEST_F(HttpClientTest, AnEmptyPutAnnouncesItsLength) {
  ASSERT_TRUE(Fetch({.method = "PUT", .url = server_.Url("/x")}).ok());
  EXPECT_EQ(server_.requests().at(0).Header("content-length"), "0");
}

TEST_F(HttpClientTest, HeadHasNoBody) {
  server_.Answer("/x", "body");
  const Result<HttpResponse> result = Fetch({.method = "HEAD", .url = server_.Url("/x")});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->status, 200);
  EXPECT_EQ(result->body, "");
}

TEST_F(HttpClientTest, ReusesItsConnection) {
  server_.Answer("/x", "ok");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Get("/x").ok());
  EXPECT_EQ(server_.requests().size(), 20u);
  EXPECT_EQ(server_.connections(), 1);
}

TEST_F(HttpClientTest, WithoutKeepAliveEachRequestHasItsConnection) {
  server_.Answer("/x", "ok");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Fetch({.url = server_.Url("/x"), .keep_alive = false}).ok());
  }
  EXPECT_EQ(server_.connections(), 3);
  EXPECT_EQ(server_.requests().at(0).Header("connection"), "close");
  EXPECT_TRUE(server_.WaitForOpenConnections(0));
}

TEST_F(HttpClientTest, AConnectionThatTheServerClosedMeanwhileIsReplaced) {
  const int port = server_.port();
  server_.Answer("/x", "ok");
  ASSERT_TRUE(Get("/x").ok());
  server_.Stop();
  FakeHttpServer successor(port);
  successor.Answer("/x", "new");
  const Result<HttpResponse> result = Get("/x");
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->body, "new");
}

TEST_F(HttpClientTest, BoundsConnectionsAndQueuesTheRest) {
  constexpr int kRequests = 10;
  const auto gate = std::make_shared<Gate>();
  server_.Answer("/x", FakeAnswer{.body = "ok", .gate = gate});
  int answered = 0;
  for (int i = 0; i < kRequests; ++i) {
    client_->Send({.url = server_.Url("/x")}, [&](Result<HttpResponse> result) {
      EXPECT_TRUE(result.ok());
      if (++answered == kRequests) loop_.Stop();
    });
  }
  waiter_ = std::thread([&] {
    EXPECT_TRUE(server_.WaitForRequests(2));
    loop_.Post([&] {
      EXPECT_EQ(server_.requests().size(), 2u);  // as many as may be at once
      gate->Open();
    });
  });
  loop_.Run();
  waiter_.join();
  EXPECT_EQ(answered, kRequests);
  EXPECT_EQ(server_.connections(), 2);
}

TEST_F(HttpClientTest, OneHostThatHangsDoesNotHoldUpAnother) {
  FakeHttpServer other;
  other.Answer("/x", "ok");
  server_.Answer("/hang", FakeAnswer{.ending = Ending::kHang});
  for (int i = 0; i < 5; ++i) {
    client_->Send({.url = server_.Url("/hang")},
                  [](Result<HttpResponse>) { ADD_FAILURE() << "it hangs"; });
  }
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Fetch({.url = other.Url("/x")}).ok());
  client_.reset();
}

TEST_F(HttpClientTest, WaitingForAConnectionCountsAgainstTheTimeOut) {
  server_.Answer("/hang", FakeAnswer{.ending = Ending::kHang});
  for (int i = 0; i < 2; ++i) {
    client_->Send({.url = server_.Url("/hang")}, [](Result<HttpResponse>) {});
  }
  EXPECT_EQ(FailureOf({.url = server_.Url("/y"), .timeout = Millis(30)}),
            At("/y") + "timed out after 30ms waiting for a free connection");
  client_.reset();
}

TEST_F(HttpClientTest, ATimeOutFreesTheConnectionForTheNext) {
  server_.Answer("/hang", FakeAnswer{.ending = Ending::kHang});
  server_.Answer("/x", "ok");
  int timed_out = 0;
  for (int i = 0; i < 2; ++i) {
    client_->Send({.url = server_.Url("/hang"), .timeout = Millis(30)},
                  [&](Result<HttpResponse> result) { timed_out += result.ok() ? 0 : 1; });
  }
  EXPECT_TRUE(Get("/x").ok());
  EXPECT_EQ(timed_out, 2);
}

TEST_F(HttpClientTest, TimesOutWhenTheServerHangs) {
  server_.Answer("/hang", FakeAnswer{.ending = Ending::kHang});
  const Result<HttpResponse> result = Fetch({.url = server_.Url("/hang"), .timeout = Millis(50)});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, At("/hang") + "timed out after 50ms");
  EXPECT_EQ(result.error().kind, ErrorKind::kUnavailable);
}

TEST_F(HttpClientTest, TimesOutWhileConnecting) {
  // A listener that never accepts, with its queue full: the handshake is not completed.
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 0), 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int filler = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(filler, reinterpret_cast<sockaddr*>(&address), size), 0);
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/x";
  EXPECT_EQ(FailureOf({.url = url, .timeout = Millis(50)}),
            "GET " + url + ": timed out after 50ms while connecting");
  ::close(filler);
  ::close(listener);
}

TEST_F(HttpClientTest, ConnectionRefused) {
  const ClosedPort port;
  const Result<HttpResponse> result = Fetch({.url = port.url() + "/x"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "GET " + port.url() + "/x: connection refused");
  EXPECT_EQ(result.error().kind, ErrorKind::kUnavailable);
}

TEST_F(HttpClientTest, ALackOfDescriptorsIsOursAndNotTheServers) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;  // what is open stays open
  setrlimit(RLIMIT_NOFILE, &none);
  const auto result = Get("/x");
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(result.error().message, At("/x") + "no socket can be opened: too many open files");
}

TEST_F(HttpClientTest, ACutAnswerIsAnError) {
  server_.Answer("/cut", FakeAnswer{.body = "0123456789", .ending = Ending::kCut});
  EXPECT_EQ(FailureOf({.url = server_.Url("/cut")}),
            At("/cut") + "the connection was closed in the middle of the answer");
}

TEST_F(HttpClientTest, ADroppedConnectionIsAnError) {
  server_.Answer("/drop", FakeAnswer{.ending = Ending::kDrop});
  EXPECT_EQ(FailureOf({.url = server_.Url("/drop")}),
            At("/drop") + "the connection was closed before an answer came");
}

TEST_F(HttpClientTest, AnAnswerThatIsNotHttpIsAnError) {
  server_.Answer("/ssh", FakeAnswer{.raw = "SSH-2.0-OpenSSH_9.2p1\r\n\r\n"});
  EXPECT_EQ(FailureOf({.url = server_.Url("/ssh")}), At("/ssh") + "the answer is not HTTP");
}

TEST_F(HttpClientTest, AnAnswerOverTheLimitIsAnErrorAndOneAtTheLimitIsNot) {
  server_.Answer("/x", std::string(1000, 'x'));
  EXPECT_TRUE(Fetch({.url = server_.Url("/x"), .max_answer_bytes = 1000}).ok());
  EXPECT_EQ(FailureOf({.url = server_.Url("/x"), .max_answer_bytes = 999}),
            At("/x") + "the answer is larger than the limit of 999 bytes");
}

TEST_F(HttpClientTest, AnEndlessAnswerIsGivenUpAtTheLimit) {
  server_.Answer("/endless",
                 FakeAnswer{.body = std::string(1 << 16, 'x'), .ending = Ending::kEndless});
  EXPECT_EQ(FailureOf({.url = server_.Url("/endless"), .max_answer_bytes = 1 << 20}),
            At("/endless") + "the answer is larger than the limit of 1048576 bytes");
  EXPECT_TRUE(server_.WaitForOpenConnections(0)) << "went on receiving";
}

TEST_F(HttpClientTest, TheTimeOutIsForTheWholeAnswerNotForEachByte) {
  server_.Answer("/drip", FakeAnswer{.body = std::string(1 << 16, 'x'), .ending = Ending::kDrip});
  EXPECT_EQ(FailureOf({.url = server_.Url("/drip"), .timeout = Millis(150)}),
            At("/drip") + "timed out after 150ms");
}

// What is left of an answer on a connection must not become the beginning of the next.
TEST_F(HttpClientTest, AnExchangeAfterAFailedOneHasAConnectionOfItsOwn) {
  server_.Answer("/good", "good");
  server_.Answer("/drip", FakeAnswer{.body = std::string(1 << 16, 'x'), .ending = Ending::kDrip});
  server_.Answer("/large", std::string(1 << 20, 'x'));
  server_.Answer("/cut", FakeAnswer{.body = "cut", .ending = Ending::kCut});
  for (const char* path : {"/drip", "/large", "/cut"}) {
    ASSERT_EQ(Get("/good")->body, "good");
    const std::string failure =
        FailureOf({.url = server_.Url(path), .timeout = Millis(150), .max_answer_bytes = 1 << 17});
    EXPECT_TRUE(failure.starts_with(At(path))) << failure;
    const auto next = Get("/good");
    ASSERT_TRUE(next.ok()) << "after " << path << ": " << next.error().message;
    EXPECT_EQ(next->body, "good") << "after " << path;
    const std::vector<FakeRequest> requests = server_.requests();
    EXPECT_NE(requests.end()[-1].connection, requests.end()[-2].connection) << path;
  }
}

TEST_F(HttpClientTest, AnAnswerWithoutAnEndIsHandedOnAsItComes) {
  server_.Answer("/watch", FakeAnswer{.body = "event" + std::string(1 << 16, 'x'),
                                      .ending = Ending::kEndless});
  size_t seen = 0;
  HttpClient::RequestId id = 0;
  id = client_->Send({.url = server_.Url("/watch"),
                      .timeout = std::chrono::minutes(1),
                      .max_answer_bytes = 32u << 20,
                      .on_data =
                          [&](std::string_view data) {
                            EXPECT_TRUE(seen > 0 || data.empty() || data.starts_with("event"));
                            seen += data.size();
                            if (seen < (64u << 20)) return;  // more than may come at once
                            client_->Cancel(id);
                            loop_.Stop();
                          }},
                     [](Result<HttpResponse>) { FAIL() << "cancelled, and called back"; });
  loop_.Run();
  EXPECT_GE(seen, 64u << 20);
  client_->Cancel(id);  // harmless
  EXPECT_TRUE(server_.WaitForOpenConnections(0));
}

TEST_F(HttpClientTest, OnlyASuccessIsHandedOnAndItsEndIsTold) {
  server_.Answer("/full", "all of it");
  server_.Answer("/gone", "too old", 410);
  std::string data;
  const auto watch = [&](const std::string& path) {
    return Fetch(
        {.url = server_.Url(path), .on_data = [&](std::string_view more) { data += more; }});
  };
  const auto full = watch("/full");
  EXPECT_EQ(data, "all of it");
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->body, "");
  const auto gone = watch("/gone");
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(gone->status, 410);
  EXPECT_EQ(gone->body, "too old");
  EXPECT_EQ(data, "all of it");
}

TEST_F(HttpClientTest, TheBeginningOfAnAnswerIsToldBeforeAnythingComes) {
  server_.Answer("/quiet", FakeAnswer{.raw = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"});
  std::vector<std::string> came;
  const auto quiet = Fetch({.url = server_.Url("/quiet"),
                            .on_data = [&](std::string_view data) { came.emplace_back(data); }});
  EXPECT_FALSE(quiet.ok());  // it was cut
  EXPECT_EQ(came, std::vector<std::string>{""});
}

TEST_F(HttpClientTest, WatchesLeaveRoomForRequests) {
  const auto gate = std::make_shared<Gate>();
  server_.Answer("/watch", FakeAnswer{.gate = gate});
  server_.Answer("/", "answered");
  for (int i = 0; i < 5; ++i) {  // two connections a host are allowed
    client_->Send({.url = server_.Url("/watch"), .on_data = [](std::string_view) {}},
                  [](const Result<HttpResponse>&) { FAIL() << "ended"; });
  }
  const auto answer = Get("/");
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->body, "answered");
  client_.reset();
}

TEST_F(HttpClientTest, ARequestThatWasCancelledNeverCallsBack) {
  server_.Answer("/", "answered");
  const auto gate = std::make_shared<Gate>();
  server_.Answer("/slow", FakeAnswer{.gate = gate});
  const auto never = [](const Result<HttpResponse>&) { FAIL() << "cancelled, and called back"; };
  const auto first = client_->Send({.url = server_.Url("/slow")}, never);
  const auto second = client_->Send({.url = server_.Url("/slow")}, never);
  const auto queued = client_->Send({.url = server_.Url("/slow")}, never);
  client_->Cancel(queued);
  client_->Cancel(first);
  client_->Cancel(second);
  EXPECT_TRUE(Get("/").ok());
}

TEST_F(HttpClientTest, EndlessHeadersAreAnError) {
  FakeAnswer answer{.body = "ok"};
  for (int i = 0; i < 300; ++i) answer.headers.emplace_back("X-Filler", std::string(1000, 'x'));
  server_.Answer("/x", answer);
  EXPECT_NE(FailureOf({.url = server_.Url("/x")})
                .find("its headers are larger than the limit of 262144 bytes"),
            std::string::npos);
}

TEST_F(HttpClientTest, DoesNotFollowRedirects) {
  server_.Answer("/x", FakeAnswer{.status = 302, .headers = {{"Location", server_.Url("/y")}}});
  const Result<HttpResponse> result = Get("/x");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->status, 302);
  EXPECT_EQ(server_.requests().size(), 1u);
}

TEST_F(HttpClientTest, IgnoresAProxyOfTheEnvironment) {
  const ClosedPort proxy;
  ASSERT_EQ(::setenv("http_proxy", proxy.url().c_str(), 1), 0);
  server_.Answer("/x", "ok");
  EXPECT_TRUE(Get("/x").ok());
  ::unsetenv("http_proxy");
}

TEST_F(HttpClientTest, SendsCredentialsAndNeverShowsThem) {
  const ClosedPort port;
  const std::string host = port.url().substr(7);
  server_.Answer("/x", "ok");
  ASSERT_TRUE(Fetch({.url = server_.Url("/x"), .username = "ann", .password = "sesame"}).ok());
  EXPECT_EQ(server_.requests().at(0).Header("authorization"), "Basic YW5uOnNlc2FtZQ==");
  const std::string failure = FailureOf({.url = "http://ann:sesame@" + host + "/x?token=sesame#s",
                                         .headers = {{"Authorization", "Bearer sesame"}},
                                         .username = "ann",
                                         .password = "sesame"});
  EXPECT_EQ(failure, "GET http://" + host + "/x: connection refused");
}

TEST_F(HttpClientTest, RefusesRequestsThatCannotBeSent) {
  const std::string url = server_.Url("/x");
  const std::vector<std::pair<HttpRequest, std::string>> cases = {
      {{.url = "ftp://u:secret@h/x"}, "'ftp://h/x': the URL must begin with http:// or https://"},
      {{.url = ""}, "'': the URL must begin with http:// or https://"},
      {{.method = "GET /y", .url = url}, "'" + url + "': the method is not one of HTTP"},
      {{.url = url, .headers = {{"X", "a\r\nEvil: 1"}}},
       "'" + url + "': the value of header X holds a line break"},
      {{.url = url, .headers = {{"X: a\r\nY", "1"}}},
       "'" + url + "': a header's name holds characters that HTTP forbids"},
      {{.url = url, .timeout = Millis(0)}, "'" + url + "': the time-out must be positive"},
      {{.url = "http://h:port/x"}, "GET http://h:port/x: the URL is malformed"},
  };
  for (const auto& [request, message] : cases) {
    const Result<HttpResponse> result = Fetch(request);
    ASSERT_FALSE(result.ok()) << message;
    EXPECT_EQ(result.error().message, message);
    EXPECT_EQ(result.error().kind, ErrorKind::kInvalid);
  }
  EXPECT_TRUE(server_.requests().empty());
}

class UnixSocketTest : public HttpClientTest {
 protected:
  UnixSocketTest() {
    char name[] = "/tmp/autoscaled-net-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~UnixSocketTest() override { ::rmdir(folder_.c_str()); }
  std::string folder_;
};

TEST_F(UnixSocketTest, SpeaksOverAUnixSocketAndReusesTheConnection) {
  FakeHttpServer server(folder_ + "/a.sock");
  server.Answer("/x", "unix");
  for (int i = 0; i < 5; ++i) {
    const Result<HttpResponse> result =
        Fetch({.url = "http://gateway/x", .unix_socket = folder_ + "/a.sock"});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(result->body, "unix");
  }
  EXPECT_EQ(server.requests().at(0).Header("host"), "gateway");
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(UnixSocketTest, SocketsAreToldApartAndOneThatHangsDoesNotHoldUpTheOther) {
  FakeHttpServer first(folder_ + "/a.sock");
  FakeHttpServer second(folder_ + "/b.sock");
  first.Answer("/x", FakeAnswer{.ending = Ending::kHang});
  second.Answer("/x", "b");
  for (int i = 0; i < 3; ++i) {
    client_->Send({.url = "http://gateway/x", .unix_socket = folder_ + "/a.sock"},
                  [](Result<HttpResponse>) { ADD_FAILURE() << "it hangs"; });
  }
  for (int i = 0; i < 3; ++i) {
    const Result<HttpResponse> result =
        Fetch({.url = "http://gateway/x", .unix_socket = folder_ + "/b.sock"});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(result->body, "b");
  }
  client_.reset();
}

TEST_F(UnixSocketTest, SaysThatTheSocketDoesNotExist) {
  EXPECT_EQ(FailureOf({.url = "http://gateway/x", .unix_socket = folder_ + "/none.sock"}),
            "GET http://gateway/x over " + folder_ + "/none.sock: the socket does not exist");
}

TEST_F(HttpClientTest, DestroyingTheClientDropsWhatIsOutstanding) {
  server_.Answer("/hang", FakeAnswer{.ending = Ending::kHang});
  const auto owned = std::make_shared<int>(0);
  for (int i = 0; i < 5; ++i) {
    client_->Send({.url = server_.Url("/hang")},
                  [owned](Result<HttpResponse>) { ADD_FAILURE() << "called back"; });
  }
  client_->Send({.url = "nonsense"},
                [owned](Result<HttpResponse>) { ADD_FAILURE() << "called back"; });
  client_.reset();
  Settle();
  EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(HttpClientTest, DestroyingTheClientWithRequestsOnTheWire) {
  server_.Answer("/hang", FakeAnswer{.ending = Ending::kHang});
  const auto owned = std::make_shared<int>(0);
  for (int i = 0; i < 5; ++i) {
    client_->Send({.url = server_.Url("/hang")},
                  [owned](Result<HttpResponse>) { ADD_FAILURE() << "called back"; });
  }
  waiter_ = std::thread([&] {
    EXPECT_TRUE(server_.WaitForRequests(2));
    loop_.Stop();
  });
  loop_.Run();
  waiter_.join();
  client_.reset();
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_TRUE(server_.WaitForOpenConnections(2));
}

TEST_F(HttpClientTest, ACallbackMayDestroyTheClient) {
  server_.Answer("/x", "ok");
  int answered = 0;
  for (int i = 0; i < 4; ++i) {
    client_->Send({.url = server_.Url("/x")}, [&](Result<HttpResponse>) {
      ++answered;
      client_.reset();
      loop_.Stop();
    });
  }
  loop_.Run();
  Settle();
  EXPECT_EQ(answered, 1);
}

TEST_F(HttpClientTest, ACallbackMaySendAgain) {
  server_.Answer("/x", "ok");
  int answered = 0;
  std::function<void(Result<HttpResponse>)> again = [&](Result<HttpResponse> result) {
    EXPECT_TRUE(result.ok());
    if (++answered == 50) return loop_.Stop();
    client_->Send({.url = server_.Url("/x")}, again);
  };
  client_->Send({.url = server_.Url("/x")}, again);
  loop_.Run();
  EXPECT_EQ(answered, 50);
  EXPECT_EQ(server_.connections(), 1);
}

}  // namespace
}  // namespace autoscale
