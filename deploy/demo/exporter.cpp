// demo-exporter: hands the metrics of one gateway to Prometheus, as an exporter beside a gateway
// does. nginx answers them on a unix socket only; killing this program loses the metrics of a
// gateway that goes on serving.
//
//   demo-exporter --port PORT --from SOCKET
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace autoscale::demo {
namespace {

constexpr timeval kPatience = {.tv_sec = 1, .tv_usec = 0};  // with a silent peer, per read
constexpr size_t kMaxRequestBytes = 16u << 10;
constexpr size_t kMaxAnswerBytes = 8u << 20;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "demo-exporter: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// Reads until `end` was seen (to the peer's end, if empty), the limit, or the peer's silence.
std::string ReadUntil(int fd, std::string_view end, size_t limit) {
  std::string text;
  char buffer[16384];
  while (text.size() < limit && (end.empty() || text.find(end) == std::string::npos)) {
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    text.remove_prefix(static_cast<size_t>(sent));
  }
}

void LimitWaiting(int fd) {
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
}

// The gateway's answer, head and body; a 502 when there is none.
std::string Ask(const sockaddr_un& gateway) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string answer;
  if (fd >= 0) {
    LimitWaiting(fd);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&gateway), sizeof gateway) == 0) {
      WriteAll(fd, "GET /metrics HTTP/1.0\r\nHost: exporter\r\n\r\n");
      answer = ReadUntil(fd, "", kMaxAnswerBytes);
    }
    close(fd);
  }
  if (!answer.empty()) return answer;
  return "HTTP/1.0 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
}

int Listen(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("bind");
  if (listen(fd, 16) != 0) Die("listen");
  return fd;
}

int Run(int argc, char** argv) {
  int port = 0;
  sockaddr_un gateway{};
  gateway.sun_family = AF_UNIX;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string_view value = argv[i + 1];
    if (flag == "--port") port = std::atoi(argv[i + 1]);
    if (flag == "--from") value.copy(gateway.sun_path, sizeof gateway.sun_path - 1);
  }
  if (port <= 0 || port > 65535 || gateway.sun_path[0] == '\0' || argc % 2 == 0) {
    std::fputs("usage: demo-exporter --port PORT --from SOCKET\n", stderr);
    return 2;
  }
  const int listener = Listen(port);
  while (true) {  // one client at a time: Prometheus is the only one
    const int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    LimitWaiting(client);
    if (!ReadUntil(client, "\r\n\r\n", kMaxRequestBytes).empty()) WriteAll(client, Ask(gateway));
    close(client);
  }
}

}  // namespace
}  // namespace autoscale::demo

int main(int argc, char** argv) { return autoscale::demo::Run(argc, argv); }
