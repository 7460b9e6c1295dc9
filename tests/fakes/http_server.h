// FakeHttpServer: a scriptable HTTP/1.1 server on loopback TCP or a unix socket, for tests.
//
// It keeps connections alive, records every request and can misbehave in the ways that real servers
// do: hang, cut an answer short, drop the connection, answer garbage. All methods may be called
// from any thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoscale {

// Holds back whoever waits until it is opened. Opens once.
class Gate {
 public:
  Gate();
  void Open();
  void Wait();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// A body that is sent while it is written, such as a watch's.
class FakeStream {
 public:
  FakeStream();
  void Push(std::string text);
  // The connection is closed once all is sent: what HTTP takes for the end of such a body.
  void End();

 private:
  friend class FakeHttpServer;
  struct State;
  std::shared_ptr<State> state_;
};

struct FakeRequest {
  std::string method;
  std::string target;                                        // "/api/v1/query?x=1"
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  int connection = 0;  // 1 for the first connection accepted, 2 for the second, ...

  // The header's value; empty when it was not sent.
  [[nodiscard]] std::string Header(std::string_view lower_case_name) const;
};

struct FakeAnswer {
  enum class Ending {
    kComplete,
    kCut,      // announces the whole body, sends half of it, closes the connection
    kDrop,     // closes the connection without a byte
    kHang,     // never answers; the connection stays open until the server stops
    kDrip,     // announces the whole body and sends a byte of it every 20 ms
    kEndless,  // announces no length and sends the body again and again
  };
  int status = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  Ending ending = Ending::kComplete;
  bool close = false;                  // says "Connection: close" and closes after the answer
  std::string raw;                     // sent instead of all the above when not empty, then closes
  std::shared_ptr<Gate> gate;          // answers only once this is open
  std::shared_ptr<FakeStream> stream;  // the body, with status 200, instead of all the above
  std::chrono::milliseconds delay{0};  // and so much later
};

class FakeHttpServer {
 public:
  using Handler = std::function<FakeAnswer(const FakeRequest&)>;

  // Listens on 127.0.0.1. Port 0: any free one. Aborts when it cannot listen.
  explicit FakeHttpServer(int port = 0);
  // Listens on a unix socket; a stale one is replaced.
  explicit FakeHttpServer(const std::string& unix_socket);
  ~FakeHttpServer();
  FakeHttpServer(const FakeHttpServer&) = delete;
  FakeHttpServer& operator=(const FakeHttpServer&) = delete;

  // Answers everything that no Answer names; called for one request at a time, on a thread of the
  // server. Without a handler: 404.
  void Handle(Handler handler);
  // What to answer to requests for this path (without its query), until told otherwise.
  void Answer(const std::string& path, FakeAnswer answer);
  void Answer(const std::string& path, std::string body, int status = 200);

  [[nodiscard]] int port() const;
  [[nodiscard]] std::string address() const;                        // "127.0.0.1:PORT"
  [[nodiscard]] std::string Url(std::string_view path = "") const;  // "http://127.0.0.1:PORT/path"

  [[nodiscard]] std::vector<FakeRequest> requests() const;
  [[nodiscard]] int connections() const;  // accepted since the start
  // Waits until so many requests have come in all, for at most ten seconds; false: they have not.
  [[nodiscard]] bool WaitForRequests(size_t count) const;
  // Waits until no more than so many connections are open; as above.
  [[nodiscard]] bool WaitForOpenConnections(int at_most) const;

  // Closes every connection and the listener, and waits for its threads; opens the gates that
  // answers are waiting at. The destructor does it too.
  void Stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace autoscale
