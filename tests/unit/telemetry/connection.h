// A client of the telemetry's listener that can be as slow as it likes.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace autoscale {

class Connection {
 public:
  explicit Connection(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Connection() { close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }
  void Send(const std::string& text) const {
    EXPECT_EQ(send(socket_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // All until the server closes.
  [[nodiscard]] std::string ReadAll() const {
    std::string answer;
    char buffer[4096];
    for (ssize_t size = 1; (size = recv(socket_, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, static_cast<size_t>(size));
    }
    return answer;
  }

 private:
  int socket_ = -1;
  bool connected_ = false;
};

struct Reply {
  std::string head, body;
  [[nodiscard]] int status() const { return head.size() > 12 ? std::stoi(head.substr(9, 3)) : 0; }
  [[nodiscard]] bool Has(const std::string& header) const {
    return head.find("\r\n" + header + "\r\n") != std::string::npos;
  }
};

inline Reply AskAt(int port, const std::string& path, const std::string& method = "GET") {
  const Connection connection(port);
  connection.Send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = connection.ReadAll();
  const size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos) return {answer, ""};
  return {answer.substr(0, end + 2), answer.substr(end + 4)};
}

}  // namespace autoscale
