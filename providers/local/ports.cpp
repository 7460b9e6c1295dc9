#include "providers/local/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "providers/local/unique_fd.h"

namespace autoscale {
namespace {

// 0, or why it cannot be bound.
int TryBind(const std::string& host, int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  // Connections of an earlier instance that linger in TIME_WAIT are no obstacle; listeners are.
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  return bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

}  // namespace

Result<int> ChoosePort(const std::string& host, int first, int last, const std::set<int>& claimed) {
  const std::string range = std::to_string(first) + "-" + std::to_string(last);
  int refused = 0;  // other than by being taken
  int foreign = 0;
  for (int port = first; port <= last; ++port) {
    if (claimed.contains(port)) continue;
    const int fault = TryBind(host, port);
    if (fault == 0) return port;
    if (fault == EADDRNOTAVAIL) {
      return Error{ErrorKind::kInvalid, "host " + host + " is not an address of this machine"};
    }
    if (fault == EMFILE || fault == ENFILE) {
      return Error{ErrorKind::kExhausted, "cannot try ports: out of file descriptors"};
    }
    if (fault != EADDRINUSE) refused = fault;
    ++foreign;
  }
  std::string message = "no free port in " + range;
  if (foreign > 0) message += ", " + std::to_string(foreign) + " of them taken by other programs";
  if (refused != 0) message += std::string(" (") + std::strerror(refused) + ")";
  return Error{ErrorKind::kExhausted, message};
}

}  // namespace autoscale
