// RuntimeApi: HAProxy's Runtime API over its stats socket. One line of commands a connection; the
// answer ends where HAProxy closes it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/result.h"
#include "net/event_loop.h"

namespace autoscale::haproxy {

// Where the stats socket is: exactly one of both.
struct RuntimeAddress {
  std::string unix_socket;  // absolute path
  std::string host;         // an IP address, without brackets
  uint16_t port = 0;
};

// All on the event loop's thread; nothing blocks.
class RuntimeApi {
 public:
  using Done = std::function<void(Result<std::string>)>;

  // `timeout` is that of one Ask, from the call on, waiting for its turn included.
  RuntimeApi(EventLoop& loop, RuntimeAddress address, Millis timeout);
  ~RuntimeApi();  // what is under way is not answered any more
  RuntimeApi(const RuntimeApi&) = delete;
  RuntimeApi& operator=(const RuntimeApi&) = delete;

  // Has HAProxy run the commands in their order and answers with all that it said, never before
  // Ask has returned. `first` is a command that stands in front on each connection: what does not
  // fit into one line takes several, and without commands it is asked alone. kUnavailable: not
  // reached, in time, as a whole; commands may have been run all the same. kForbidden: the socket's
  // permissions do not let us in. kInvalid: a command holds more than letters, digits, spaces and
  // "-_./:[]"; none was sent.
  void Ask(std::vector<std::string> commands, const std::string& first, Done done);

 private:
  struct Exchange;

  void StartWaiting();
  void Connect(uint64_t id);
  void OnEvent(uint64_t id, uint32_t events);
  bool SendSome(uint64_t id, Exchange& exchange);
  void ReceiveSome(uint64_t id, Exchange& exchange);
  void TakeEnd(uint64_t id, Exchange& exchange);
  void Disconnect(Exchange& exchange);
  void Finish(uint64_t id, Result<std::string> answer);
  void Later(std::function<void()> task);

  EventLoop& loop_;
  RuntimeAddress address_;
  Millis timeout_;
  std::map<uint64_t, std::unique_ptr<Exchange>> exchanges_;
  std::deque<uint64_t> waiting_;
  size_t open_ = 0;
  uint64_t next_id_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace autoscale::haproxy
