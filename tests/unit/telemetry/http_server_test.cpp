#include "daemon/telemetry/http_server.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "tests/unit/telemetry/connection.h"

namespace autoscale {
namespace {

constexpr Millis kForever = std::chrono::hours(1);

class HttpServerTest : public testing::Test {
 protected:
  void Start(HttpServerLimits limits, HttpServer::Handler handler = nullptr) {
    if (!handler) handler = [](auto, auto) { return HttpAnswer{.body = "fine\n"}; };
    auto started = HttpServer::Start("127.0.0.1", 0, std::move(handler), limits);
    ASSERT_TRUE(started.ok()) << started.error().message;
    server_ = std::move(started).value();
  }
  [[nodiscard]] int Ask(const std::string& path = "/") const {
    return AskAt(server_->port(), path).status();
  }
  // Others may be about to leave.
  [[nodiscard]] bool IsAnsweredInTheEnd() const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (Ask() != 200) {
      if (std::chrono::steady_clock::now() > until) return false;
    }
    return true;
  }

  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, WhoeverComesWhileItIsFullIsTurnedAway) {
  Start({.clients = 2, .patience = kForever});
  const Connection first(server_->port());
  {
    const Connection second(server_->port());
    EXPECT_EQ(Ask(), 0);
    first.Send("GET / HT");
    EXPECT_EQ(Ask(), 0);
  }
  EXPECT_TRUE(IsAnsweredInTheEnd());
  first.Send("TP/1.0\r\n\r\n");
  EXPECT_EQ(first.ReadAll().find("HTTP/1.1 200"), 0u);
}

TEST_F(HttpServerTest, WhoeverStaysTooLongMakesRoom) {
  Start({.clients = 2, .patience = Millis(0)});
  const Connection silent(server_->port()), slow(server_->port());
  slow.Send("GET / HT");
  EXPECT_TRUE(IsAnsweredInTheEnd());
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_EQ(slow.ReadAll(), "");
}

TEST_F(HttpServerTest, WhoeverDoesNotReadMakesRoom) {
  constexpr size_t kMoreThanFitsOnTheWay = 64 << 20;
  std::promise<void> asked;
  Start({.clients = 1, .patience = Millis(0)}, [&](auto, std::string_view path) {
    if (path != "/large") return HttpAnswer{.body = "fine\n"};
    asked.set_value();
    return HttpAnswer{.body = std::string(kMoreThanFitsOnTheWay, 'x')};
  });
  const Connection slow(server_->port());
  slow.Send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  asked.get_future().wait();
  EXPECT_TRUE(IsAnsweredInTheEnd());
  EXPECT_LT(slow.ReadAll().size(), kMoreThanFitsOnTheWay);
}

TEST_F(HttpServerTest, AnAnswerThatTakesItsTimeKeepsNobodyWaiting) {
  std::promise<void> asked, go_on;
  Start({.patience = kForever}, [&](auto, std::string_view path) {
    if (path == "/slow") {
      asked.set_value();
      go_on.get_future().wait();
    }
    return HttpAnswer{.body = "fine\n"};
  });
  auto slow = std::async(std::launch::async, [&] { return Ask("/slow"); });
  asked.get_future().wait();
  EXPECT_EQ(Ask(), 200);
  go_on.set_value();
  EXPECT_EQ(slow.get(), 200);
}

TEST_F(HttpServerTest, TheEndWaitsForNoClient) {
  Start({.patience = kForever});
  const Connection silent(server_->port()), slow(server_->port());
  slow.Send("GET / HT");
  EXPECT_EQ(Ask(), 200);  // so that the two before are in, too
  server_.reset();
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_EQ(slow.ReadAll(), "");
}

TEST_F(HttpServerTest, ABodyOrNonsenseIsNotWaitedFor) {
  Start({});
  const Connection body(server_->port()), nonsense(server_->port());
  body.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx");
  EXPECT_EQ(body.ReadAll().find("HTTP/1.1 200"), 0u);
  nonsense.Send("\x16\x03\x01\r\n\r\n");
  EXPECT_EQ(nonsense.ReadAll().find(" 200 "), std::string::npos);
  EXPECT_EQ(Ask(), 200);
}

}  // namespace
}  // namespace autoscale
