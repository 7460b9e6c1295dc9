#include "gateways/haproxy/runtime_api.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "config/section.h"
#include "engine/model/text.h"

namespace autoscale::haproxy {
namespace {

// A line must fit into HAProxy's buffer (tune.bufsize, 16 KiB by default).
constexpr size_t kLongestLine = 8 * 1024;
// About 120 bytes a server: far more servers than a backend may have.
constexpr size_t kLongestAnswer = 16 * 1024 * 1024;
// HAProxy takes 10 at a time by default (stats maxconn), and people look too.
constexpr size_t kMostConnections = 4;

std::string Words(int error) { return std::generic_category().message(error); }

Error Unavailable(std::string message) {
  return Error{ErrorKind::kUnavailable, std::move(message)};
}

Error CannotConnect(int error) {
  switch (error) {
    case ENOENT:
      return Unavailable("there is no such socket; does HAProxy run with a 'stats socket' line?");
    case ECONNREFUSED:
      return Unavailable("connection refused: HAProxy does not listen there");
    case EACCES:
    case EPERM:
      return Error{ErrorKind::kForbidden,
                   "the socket's permissions do not let us in; give it a 'group' and 'mode 660'"};
    case EAGAIN:
      return Unavailable("the socket takes no more connections at the moment");
    default:
      return Unavailable("no connection: " + Words(error));
  }
}

// Whatever a name in it holds, a command stays one command of one line.
bool IsOneCommand(std::string_view command) {
  return std::all_of(command.begin(), command.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view(" -_./:[]").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::deque<std::string> Lines(const std::vector<std::string>& commands, const std::string& first) {
  std::deque<std::string> lines;
  for (const std::string& command : commands) {
    if (lines.empty() || lines.back().size() + 1 + command.size() > kLongestLine) {
      lines.push_back(first.empty() ? command : first + ";" + command);
    } else {
      lines.back() += ";" + command;
    }
  }
  if (lines.empty() && !first.empty()) lines.push_back(first);
  for (std::string& line : lines) line += "\n";
  return lines;
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress ToSocketAddress(const RuntimeAddress& address) {
  SocketAddress out;
  if (!address.unix_socket.empty()) {
    auto* unix_address = reinterpret_cast<sockaddr_un*>(&out.storage);
    unix_address->sun_family = AF_UNIX;
    address.unix_socket.copy(unix_address->sun_path, sizeof unix_address->sun_path - 1);
    out.size = sizeof(sockaddr_un);
    return out;
  }
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, address.host.c_str(), &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(address.port);
    out.size = sizeof(sockaddr_in);
  } else if (inet_pton(AF_INET6, address.host.c_str(), &ipv6->sin6_addr) == 1) {
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(address.port);
    out.size = sizeof(sockaddr_in6);
  }
  return out;
}

}  // namespace

struct RuntimeApi::Exchange {
  std::deque<std::string> lines;  // the first is the one under way
  Done done;
  EventLoop::TimerId timer = 0;
  int fd = -1;
  bool connected = false;
  size_t sent = 0;         // of the first line
  size_t line_begins = 0;  // where its answer begins in `answer`
  std::string answer;
};

RuntimeApi::RuntimeApi(EventLoop& loop, RuntimeAddress address, Millis timeout)
    : loop_(loop), address_(std::move(address)), timeout_(timeout) {}

RuntimeApi::~RuntimeApi() {
  *alive_ = false;
  for (auto& [id, exchange] : exchanges_) {
    loop_.Cancel(exchange->timer);
    Disconnect(*exchange);
  }
}

void RuntimeApi::Later(std::function<void()> task) {
  loop_.Post([alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

void RuntimeApi::Ask(std::vector<std::string> commands, const std::string& first, Done done) {
  const auto bad = std::find_if_not(commands.begin(), commands.end(), IsOneCommand);
  if (bad != commands.end()) {
    Error error{ErrorKind::kInvalid,
                "'" + OneLine(*bad, 120) + "' holds what HAProxy's commands may not"};
    return Later([done = std::move(done), error = std::move(error)] { done(error); });
  }
  const uint64_t id = next_id_++;
  auto exchange = std::make_unique<Exchange>();
  exchange->lines = Lines(commands, first);
  exchange->done = std::move(done);
  exchange->timer = loop_.After(timeout_, [this, id] {
    Finish(id, Unavailable("timed out after " + FormatDuration(timeout_)));
  });
  exchanges_[id] = std::move(exchange);
  waiting_.push_back(id);
  Later([this] { StartWaiting(); });
}

void RuntimeApi::StartWaiting() {
  while (open_ < kMostConnections && !waiting_.empty()) {
    const uint64_t id = waiting_.front();
    waiting_.pop_front();
    const auto found = exchanges_.find(id);
    if (found == exchanges_.end()) continue;  // its time was over before its turn
    if (found->second->lines.empty()) {
      Finish(id, std::string());
    } else {
      Connect(id);
    }
  }
}

void RuntimeApi::Connect(uint64_t id) {
  Exchange& exchange = *exchanges_.at(id);
  const SocketAddress address = ToSocketAddress(address_);
  exchange.sent = 0;
  exchange.connected = false;
  exchange.line_begins = exchange.answer.size();
  exchange.fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (exchange.fd < 0) return Finish(id, Unavailable("no socket: " + Words(errno)));
  ++open_;
  if (connect(exchange.fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) !=
          0 &&
      errno != EINPROGRESS) {
    return Finish(id, CannotConnect(errno));
  }
  loop_.Watch(exchange.fd, EPOLLIN | EPOLLOUT,
              [this, id](uint32_t events) { OnEvent(id, events); });
}

void RuntimeApi::OnEvent(uint64_t id, uint32_t events) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  Exchange& exchange = *found->second;
  if (!exchange.connected) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(exchange.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Finish(id, CannotConnect(error));
    exchange.connected = true;
  }
  if (exchange.sent < exchange.lines.front().size() && !SendSome(id, exchange)) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) ReceiveSome(id, exchange);
}

// False: it is over.
bool RuntimeApi::SendSome(uint64_t id, Exchange& exchange) {
  const std::string& line = exchange.lines.front();
  while (exchange.sent < line.size()) {
    const ssize_t sent =
        send(exchange.fd, line.data() + exchange.sent, line.size() - exchange.sent, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
      Finish(id, Unavailable("the connection was closed before it took the commands"));
      return false;
    }
    exchange.sent += static_cast<size_t>(sent);
  }
  loop_.Watch(exchange.fd, EPOLLIN, [this, id](uint32_t events) { OnEvent(id, events); });
  return true;
}

void RuntimeApi::ReceiveSome(uint64_t id, Exchange& exchange) {
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = recv(exchange.fd, buffer.data(), buffer.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      return Finish(id, Unavailable("the connection broke: " + Words(errno)));
    }
    if (got == 0) return TakeEnd(id, exchange);
    if (exchange.answer.size() + static_cast<size_t>(got) > kLongestAnswer) {
      return Finish(id, Unavailable("the answer is longer than 16 MiB"));
    }
    exchange.answer.append(buffer.data(), static_cast<size_t>(got));
  }
}

void RuntimeApi::TakeEnd(uint64_t id, Exchange& exchange) {
  if (exchange.sent < exchange.lines.front().size()) {
    return Finish(id, Unavailable("the connection was closed before it took the commands"));
  }
  if (exchange.answer.size() == exchange.line_begins) {
    return Finish(id, Unavailable("the connection was closed without an answer"));
  }
  Disconnect(exchange);
  exchange.lines.pop_front();
  if (exchange.lines.empty()) return Finish(id, std::move(exchange.answer));
  Connect(id);
}

void RuntimeApi::Disconnect(Exchange& exchange) {
  if (exchange.fd < 0) return;
  loop_.Unwatch(exchange.fd);
  close(exchange.fd);
  exchange.fd = -1;
  --open_;
}

void RuntimeApi::Finish(uint64_t id, Result<std::string> answer) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  const std::unique_ptr<Exchange> exchange = std::move(found->second);
  exchanges_.erase(found);
  loop_.Cancel(exchange->timer);
  Disconnect(*exchange);
  if (!waiting_.empty()) Later([this] { StartWaiting(); });
  exchange->done(std::move(answer));  // last: it may ask again, or end us
}

}  // namespace autoscale::haproxy
