// As much of HTTP as demo-load needs: whether an answer is complete, and its status.
#pragma once

#include <strings.h>

#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace autoscale::demo {

constexpr size_t kMaxAnswerBytes = 1u << 20;

// How far an answer has come; nothing until its head is complete.
struct Answer {
  int status = 0;
  bool close = false;      // the server will end the connection
  size_t total_bytes = 0;  // head and body
};

inline std::optional<std::string_view> Field(std::string_view head, std::string_view name) {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    if (strncasecmp(line.data(), name.data(), name.size()) != 0) continue;
    std::string_view value = line.substr(name.size() + 1, line.find("\r\n") - name.size() - 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return value;
  }
  return std::nullopt;
}

// Answers must carry a Content-Length, as nginx's own and our backend's do; `bad` otherwise.
inline std::optional<Answer> Parse(std::string_view input, bool& bad) {
  const size_t end = input.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    bad = input.size() > kMaxAnswerBytes;
    return std::nullopt;
  }
  const std::string_view head = input.substr(0, end + 2);
  const auto length = Field(head, "content-length");
  bad = !head.starts_with("HTTP/1.") || head.size() < 12 || !length;
  if (bad) return std::nullopt;
  Answer answer;
  answer.status = std::atoi(head.data() + 9);
  const auto connection = Field(head, "connection");
  answer.close = connection && strncasecmp(connection->data(), "close", 5) == 0;
  answer.total_bytes = end + 4 + std::strtoul(length->data(), nullptr, 10);
  return answer;
}

}  // namespace autoscale::demo
