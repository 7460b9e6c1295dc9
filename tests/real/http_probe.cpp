#include "tests/real/http_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace autoscale {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const sockaddr_in address = Loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

// Headers' names, which each server writes in its own way.
std::string LowerCase(std::string head) {
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return head;
}

// How long the body is, by its header; npos: until the end of the connection.
size_t BodyLength(const std::string& head) {
  static const std::string kName = "content-length: ";
  const size_t at = head.find(kName);
  if (at == std::string::npos) return std::string::npos;
  return std::strtoul(head.c_str() + at + kName.size(), nullptr, 10);
}

}  // namespace

HttpProbe::Answer HttpProbe::Get(const std::string& path, bool keep_alive) {
  if (!Send(path, keep_alive)) return {};
  return Receive();
}

bool HttpProbe::Send(const std::string& path, bool keep_alive) {
  if (fd_ < 0) fd_ = Connect(port_);
  if (fd_ < 0) return false;
  // HTTP/1.0 where the length may be missing and the end of the connection tells it.
  const std::string text = "GET " + path + (keep_alive ? " HTTP/1.1" : " HTTP/1.0") +
                           "\r\nHost: test\r\n" + (keep_alive ? "" : "Connection: close\r\n") +
                           "\r\n";
  return send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

HttpProbe::Answer HttpProbe::Receive() {
  std::string text;
  size_t body = std::string::npos;
  size_t length = std::string::npos;
  char buffer[16384];
  while (body == std::string::npos || length == std::string::npos || text.size() < body + length) {
    const ssize_t count = recv(fd_, buffer, sizeof buffer, 0);
    if (count <= 0) {
      Close();
      if (count < 0 || body == std::string::npos || length != std::string::npos) return {};
      break;
    }
    text.append(buffer, static_cast<size_t>(count));
    if (body == std::string::npos && text.find("\r\n\r\n") != std::string::npos) {
      body = text.find("\r\n\r\n") + 4;
      length = BodyLength(LowerCase(text.substr(0, body)));
    }
  }
  if (LowerCase(text.substr(0, body)).find("connection: close") < body) Close();
  return {.status = std::atoi(text.c_str() + sizeof "HTTP/1.1"), .body = text.substr(body)};
}

void HttpProbe::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

}  // namespace autoscale
