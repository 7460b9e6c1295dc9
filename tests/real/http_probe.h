// A client that asks one thing at a time, and can misbehave: for tests against real gateways.
#pragma once

#include <string>

namespace autoscale {

// One blocking keep-alive connection to 127.0.0.1.
class HttpProbe {
 public:
  struct Answer {
    int status = 0;  // 0: no complete answer
    std::string body;
  };

  explicit HttpProbe(int port) : port_(port) {}
  ~HttpProbe() { Close(); }
  HttpProbe(const HttpProbe&) = delete;
  HttpProbe& operator=(const HttpProbe&) = delete;

  // Connects if needed, asks and waits for the whole answer, at most ten seconds.
  Answer Get(const std::string& path, bool keep_alive = true);
  // Asks without waiting; Close then is what an impatient user does.
  bool Send(const std::string& path, bool keep_alive = true);
  Answer Receive();
  void Close();

 private:
  int port_;
  int fd_ = -1;
};

// A port of 127.0.0.1 at which nobody listens now.
int FreePort();

}  // namespace autoscale
