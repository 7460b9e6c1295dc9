// HttpServer: answers requests over plain HTTP, each client on a thread of its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/model/result.h"
#include "engine/model/time.h"

namespace autoscale {

struct HttpAnswer {
  int status = 200;
  std::string body;  // never empty
  const char* type = "text/plain; charset=utf-8";
  const char* allow = nullptr;  // the methods there are, with 405
};

struct HttpServerLimits {
  unsigned clients = 16;  // at once; more are turned away
  // Whoever is there for longer, by silence or by reading slowly, must go when the next one comes.
  Millis patience = std::chrono::seconds(15);
};

class HttpServer {
 public:
  // Called on the clients' threads, several at once; what it throws becomes a 500.
  using Handler = std::function<HttpAnswer(std::string_view method, std::string_view path)>;

  // Listens on an IPv4 address; port 0 takes any free one.
  static Result<std::unique_ptr<HttpServer>> Start(const std::string& address, int port,
                                                   Handler handler, HttpServerLimits limits = {});
  // Ends all connections; waits for calls of the handler.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  [[nodiscard]] int port() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
