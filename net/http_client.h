// HttpClient: HTTP over TCP, TLS or a unix socket, on the event loop. The only user of libcurl.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
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
  std::string ca_file;                  // TLS: besides the system's; read anew within a minute
  std::string certificate_file;         // TLS: ours, as PEM; with its key in `key_file`
  std::string key_file;                 // empty: in certificate_file, too
  // TLS: the same as text, instead of the files. The CA's are then the only ones that count.
  std::string ca_pem, certificate_pem, key_pem;
  bool verify = true;      // TLS: false: whoever answers is believed
  bool keep_alive = true;  // false: a fresh connection, closed afterwards

  // Of an answer without an end, such as a watch: takes the body of a 2xx as it comes, which then
  // is not in the response; with nothing at first, when the answer has begun. Called as `done` is,
  // before it. Such a request has a connection of its own, which counts towards no bound;
  // `max_answer_bytes` bounds what comes at once.
  std::function<void(std::string_view)> on_data;
};

struct HttpResponse {
  int status = 0;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
};

class HttpClient {
 public:
  using Callback = std::function<void(Result<HttpResponse>)>;
  using RequestId = uint64_t;

  // `max_connections_per_host` bounds sockets; requests beyond it queue inside their time-out.
  HttpClient(EventLoop& loop, int max_connections_per_host);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sends on the loop's thread and calls back there, exactly once, never before Send returned. An
  // answer with any status is a success; no answer, a time-out (kUnavailable, "timed out after
  // 2s"), a cut body or a body over the limit is an error. Redirects are not followed. Destroying
  // the client drops outstanding requests without calling back.
  RequestId Send(HttpRequest request, Callback done);
  // Drops a request without calling back; does nothing for one that has ended.
  void Cancel(RequestId id);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
