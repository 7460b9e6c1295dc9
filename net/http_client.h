// HttpClient: HTTP over TCP, TLS or a unix socket, on the event loop. The only user of libcurl.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/result.h"
#include "net/event_loop.h"

namespace autoscale {

struct HttpRequest {
  std::string method = "GET";
  std::string url;          // with a unix socket the host part is only the Host header
  std::string unix_socket;  // path; empty: TCP
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  Millis timeout{5000};                 // the whole exchange; must be positive
  size_t max_answer_bytes = 64u << 20;  // a longer body is an error, not a truncation
  std::string username, password;       // basic authentication when a username is set
  std::string ca_file;                  // TLS: besides the system's
  bool keep_alive = true;               // false: a fresh connection, closed afterwards
};

struct HttpResponse {
  int status = 0;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
};

class HttpClient {
 public:
  using Callback = std::function<void(Result<HttpResponse>)>;

  // `max_connections_per_host` bounds sockets; requests beyond it queue inside their time-out.
  HttpClient(EventLoop& loop, int max_connections_per_host);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sends on the loop's thread and calls back there, exactly once, never before Send returned. An
  // answer with any status is a success; no answer, a time-out (kUnavailable, "timed out after
  // 2s"), a cut body or a body over the limit is an error. Redirects are not followed. Destroying
  // the client drops outstanding requests without calling back.
  void Send(HttpRequest request, Callback done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
