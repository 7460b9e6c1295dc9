#include "providers/plugin/handshake.h"

#include <arpa/inet.h>

#include <vector>

#include "config/scalar.h"
#include "engine/model/text.h"

namespace autoscale {
namespace {

constexpr size_t kShownBytes = 120;  // of what came, in a message
constexpr size_t kLeastFields = 4, kMostFields = 7;

Error Bad(std::string message) { return {ErrorKind::kUnavailable, std::move(message)}; }

std::string Quoted(std::string_view text) { return "'" + OneLine(text, kShownBytes) + "'"; }

std::vector<std::string_view> Split(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t bar = line.find('|');
    fields.push_back(line.substr(0, bar));
    if (bar == std::string_view::npos) return fields;
    line.remove_prefix(bar + 1);
  }
}

Result<std::string> UnixAddress(std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) {
    return Bad("the socket in its handshake must be an absolute path, not " + Quoted(path));
  }
  if (path.size() > kMaxSocketPath) {
    return Bad("the socket's path in its handshake is " + std::to_string(path.size()) +
               " bytes long, and the system allows " + std::to_string(kMaxSocketPath) +
               "; choose a shorter state_dir");
  }
  return "unix:" + std::string(path);
}

Result<std::string> TcpAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  const std::string host(text.substr(0, colon));
  const auto port =
      colon == std::string_view::npos ? std::nullopt : ParseInt(text.substr(colon + 1));
  in_addr address{};
  if (!port || *port < 1 || *port > 65535 || host.find('\0') != std::string::npos ||
      inet_pton(AF_INET, host.c_str(), &address) != 1) {
    return Bad("the address in its handshake must be an IPv4 address and a port, not " +
               Quoted(text));
  }
  if (ntohl(address.s_addr) >> 24 != 127) {
    return Bad("the address in its handshake must be one of this machine alone (127.0.0.1), not " +
               Quoted(text));
  }
  return "ipv4:" + std::string(text);
}

}  // namespace

Result<std::string> ReadHandshake(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  const std::vector<std::string_view> fields = Split(line);
  if (fields.size() < kLeastFields || fields.size() > kMostFields || line.size() > kMaxHandshake) {
    return Bad(
        "the first line on its standard output must be a handshake such as "
        "'1|1|unix|/path|grpc', not " +
        Quoted(line));
  }
  if (fields[0] != "1") {
    return Bad("it speaks version " + Quoted(fields[0]) + " of the handshake; autoscaled speaks 1");
  }
  if (fields[1] != "1") {
    return Bad("it speaks version " + Quoted(fields[1]) +
               " of the provider protocol; autoscaled speaks 1 (autoscale.v1)");
  }
  if (fields.size() > 4 && fields[4] != "grpc") {
    return Bad("it speaks " + Quoted(fields[4]) + "; autoscaled speaks grpc");
  }
  if (fields.size() > 5 && !fields[5].empty()) {
    return Bad("it wants TLS, which autoscaled did not offer it");
  }
  if (fields[2] == "unix") return UnixAddress(fields[3]);
  if (fields[2] == "tcp") return TcpAddress(fields[3]);
  return Bad("it listens on network " + Quoted(fields[2]) + "; unix or tcp is needed");
}

}  // namespace autoscale
