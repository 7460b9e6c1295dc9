// What the Runtime API says, as values. Pure; tested by itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/result.h"
#include "engine/model/time.h"

namespace autoscale::haproxy {

// A server of a backend, a row of `show servers state`.
struct BackendServer {
  uint32_t id = 0;
  std::string name;
  std::string host;  // an IP address as HAProxy writes it
  int port = 0;
  int weight = 0;
  uint32_t admin = 0;  // bits of srv_admin_state
};
// Bits of srv_admin_state (HAProxy's management guide, "show servers state"). 0x04 only says that
// the configuration began with maintenance.
constexpr uint32_t kMaint = 0x01 | 0x02 | 0x20;
constexpr uint32_t kDrain = 0x08 | 0x10;

struct Backend {
  std::string name;
  bool known = false;                  // HAProxy has it; else all that follows is empty
  uint32_t id = 0;                     // 0: not told, for it has no servers
  std::vector<BackendServer> servers;  // ours and others'
};

// The commands for a look at these backends, and what the answer to them says, in their order.
// kUnavailable: it is not such an answer, or not the whole of it.
std::vector<std::string> LookCommands(const std::vector<std::string>& backends);
Result<std::vector<Backend>> ParseLook(std::string_view text,
                                       const std::vector<std::string>& backends);

struct Loads {
  std::map<std::string, int> in_flight;  // by backend/server; those waiting for it included
  Millis uptime{0};                      // of the process that counts them; the least of several
};
// The same for requests in flight. The uptime is asked for on each connection, kInfoCommand: during
// a reload one may be answered by the old process and another by the new one, in any order.
constexpr std::string_view kInfoCommand = "show info";
std::vector<std::string> LoadCommands(const std::vector<Backend>& backends);
Result<Loads> ParseLoads(std::string_view text);

// What is asked for in front of commands that change something, so that complaints can be told.
constexpr std::string_view kNumberSeverity = "set severity-output number";
// What the answer to such commands complains about; empty: nothing.
std::vector<std::string> Complaints(std::string_view text);
// What a complaint means for the daemon.
Error JudgeComplaint(const std::string& complaint, const std::string& backend);
Error NoSuchBackend(const std::string& backend);

}  // namespace autoscale::haproxy
