#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace autoscale {
namespace {

constexpr int kBacklog = 128;
constexpr std::chrono::milliseconds kRetry{100};  // when descriptors or memory are out

// Whether there may be somebody to take at once; all other failures last for a while.
bool IsPassing(int code) { return code == EAGAIN || code == EINTR || code == ECONNABORTED; }

}  // namespace

Result<std::unique_ptr<Listener>> Listener::AtPath(const std::string& path) {
  std::unique_ptr<Listener> listener(new Listener(path));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (!listener->Open(AF_UNIX) ||
      bind(listener->fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Error error = listener->CannotListen();
    error.message += "; may this user write to its folder?";
    return error;
  }
  listener->path_ = path;  // ours to remove from here on
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::AtPort(const std::string& address, int port) {
  const std::string where = address + ":" + std::to_string(port);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, address.c_str(), &at.sin_addr) != 1 || port < 0 || port > 65535) {
    return Error{ErrorKind::kInvalid,
                 where + " is not an IPv4 address and port such as 127.0.0.1:9464"};
  }
  std::unique_ptr<Listener> listener(new Listener(where));
  socklen_t size = sizeof at;
  const int again = 1;  // a port whose last connections have not expired is free
  if (!listener->Open(AF_INET) ||
      setsockopt(listener->fd_, SOL_SOCKET, SO_REUSEADDR, &again, sizeof again) != 0 ||
      bind(listener->fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
      getsockname(listener->fd_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    return listener->CannotListen();
  }
  listener->port_ = ntohs(at.sin_port);
  return listener;
}

bool Listener::Open(int family) {
  end_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  fd_ = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return end_ >= 0 && fd_ >= 0;
}

Error Listener::CannotListen() const {
  return {ErrorKind::kUnavailable,
          "cannot listen at " + where_ + ": " + std::generic_category().message(errno)};
}

Status Listener::Start(std::function<void(int fd)> take) {
  if (listen(fd_, kBacklog) != 0) return CannotListen();
  take_ = std::move(take);
  thread_ = std::thread([this] { Run(); });
  return Ok{};
}

Listener::~Listener() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(end_, &one, sizeof one);  // its counter is never full
  if (thread_.joinable()) thread_.join();
  if (fd_ >= 0) close(fd_);
  if (end_ >= 0) close(end_);
  if (!path_.empty()) unlink(path_.c_str());
}

void Listener::Run() const {
  std::array<pollfd, 2> ready{pollfd{.fd = end_, .events = POLLIN, .revents = 0},
                              pollfd{.fd = fd_, .events = POLLIN, .revents = 0}};
  for (;;) {
    if (poll(ready.data(), ready.size(), -1) < 0) {
      if (errno != EINTR) std::this_thread::sleep_for(kRetry);  // the kernel is out of memory
      continue;
    }
    if (ready[0].revents != 0) return;
    const int connection = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection >= 0) {
      take_(connection);
    } else if (!IsPassing(errno)) {
      // Whoever waits is there still; to look again at once would use up a processor.
      poll(ready.data(), 1, static_cast<int>(kRetry.count()));
    }
  }
}

}  // namespace autoscale
