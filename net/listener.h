// Listener: takes connections at a unix socket or a TCP port, on a thread of its own.
//
// Servers of libraries do not stand being out of descriptors: gRPC 1.51 gives up listening for
// good, others ask again at once and use up a processor. This waits and goes on, and hands them
// what it took.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "engine/model/result.h"

namespace autoscale {

class Listener {
 public:
  // Makes the socket; nobody can connect before Start, so that its access can be set first.
  static Result<std::unique_ptr<Listener>> AtPath(const std::string& path);
  // An IPv4 address; port 0 takes any free one.
  static Result<std::unique_ptr<Listener>> AtPort(const std::string& address, int port);
  // Hands each connection, not blocking, to `take`, which owns it; on the listener's thread.
  Status Start(std::function<void(int fd)> take);
  // Takes no more connections; removes the socket.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] int port() const { return port_; }  // 0: at a path

 private:
  explicit Listener(std::string where) : where_(std::move(where)) {}
  [[nodiscard]] Error CannotListen() const;  // by errno
  bool Open(int family);
  void Run() const;

  const std::string where_;
  std::string path_;  // empty: a port
  int port_ = 0;
  int fd_ = -1;
  int end_ = -1;  // an eventfd: readable once it is over
  std::function<void(int fd)> take_;
  std::thread thread_;
};

}  // namespace autoscale
