#include "gateways/haproxy/messages.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "engine/model/text.h"

namespace autoscale::haproxy {
namespace {

constexpr size_t kShown = 120;
constexpr std::string_view kNoBackend = "Can't find backend.";

Error NotOurAnswer(const std::string& what) {
  return Error{ErrorKind::kUnavailable, "the answer is not one of HAProxy's Runtime API (" + what +
                                            "); is it the socket of a 'stats socket' line?"};
}

std::string Quoted(std::string_view text) { return "'" + OneLine(text, kShown) + "'"; }

// Takes the text up to the next line feed, without a carriage return at its end.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::vector<std::string_view> Split(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t end = line.find(separator);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

template <typename Number>
std::optional<Number> Whole(std::string_view text,
                            Number most = std::numeric_limits<Number>::max()) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > most) {
    return std::nullopt;
  }
  return value;
}

// Where the named columns are, by the line that names them all.
template <size_t N>
std::optional<std::array<size_t, N>> Columns(const std::vector<std::string_view>& header,
                                             const std::array<std::string_view, N>& names) {
  std::array<size_t, N> columns{};
  for (size_t i = 0; i < N; ++i) {
    const auto found = std::find(header.begin(), header.end(), names[i]);
    if (found == header.end()) return std::nullopt;
    columns[i] = static_cast<size_t>(found - header.begin());
  }
  return columns;
}

constexpr std::array<std::string_view, 8> kStateColumns = {
    "be_id",    "be_name",  "srv_id",          "srv_name",
    "srv_addr", "srv_port", "srv_admin_state", "srv_uweight"};
using StateColumns = std::array<size_t, kStateColumns.size()>;

// Reads one row into its backend; false: it is not one.
bool TakeServer(std::string_view line, const StateColumns& at, Backend& backend) {
  const std::vector<std::string_view> fields = Split(line, ' ');
  if (*std::max_element(at.begin(), at.end()) >= fields.size()) return false;
  const auto backend_id = Whole<uint32_t>(fields[at[0]]);
  const auto id = Whole<uint32_t>(fields[at[2]]);
  const auto port = Whole<int>(fields[at[5]], 65535);
  const auto admin = Whole<uint32_t>(fields[at[6]]);
  const auto weight = Whole<int>(fields[at[7]], 256);
  if (!backend_id || !id || !port || !admin || !weight || fields[at[1]] != backend.name ||
      fields[at[3]].empty()) {
    return false;
  }
  backend.id = *backend_id;
  backend.servers.push_back({.id = *id,
                             .name = std::string(fields[at[3]]),
                             .host = std::string(fields[at[4]]),
                             .port = *port,
                             .weight = *weight,
                             .admin = *admin});
  return true;
}

// Reads the version line, the columns' names, the rows and the empty line that ends them.
Status TakeServers(std::string_view& text, Backend& backend) {
  std::string_view line = TakeLine(text);
  if (line == kNoBackend) {
    if (TakeLine(text).empty()) return Ok{};
    return NotOurAnswer("more than a refusal");
  }
  if (!Whole<int>(line)) return NotOurAnswer("it says " + Quoted(line));
  line = TakeLine(text);
  if (!line.starts_with("# ")) return NotOurAnswer("it says " + Quoted(line));
  const auto columns = Columns(Split(line.substr(2), ' '), kStateColumns);
  if (!columns) return NotOurAnswer("columns are missing");
  while (!text.empty()) {
    line = TakeLine(text);
    if (line.empty()) {
      backend.known = true;
      return Ok{};
    }
    if (!TakeServer(line, *columns, backend)) return NotOurAnswer("it says " + Quoted(line));
  }
  return NotOurAnswer("it is cut off");
}

constexpr std::string_view kInfo = "Name: ";  // how the answer to `show info` begins

// Reads the answer to `show info`, down to the empty line that ends it.
Result<Millis> TakeUptime(std::string_view& text) {
  constexpr std::string_view kUptime = "Uptime_sec: ";
  std::optional<int> uptime;
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    if (line.starts_with(kUptime)) uptime = Whole<int>(line.substr(kUptime.size()));
    if (!line.empty()) continue;
    if (!uptime) return NotOurAnswer("Uptime_sec is missing");
    return Millis(std::chrono::seconds(*uptime));
  }
  return NotOurAnswer("it is cut off");
}

constexpr std::array<std::string_view, 4> kLoadColumns = {"pxname", "svname", "qcur", "scur"};

}  // namespace

std::vector<std::string> LookCommands(const std::vector<std::string>& backends) {
  std::vector<std::string> commands;
  commands.reserve(backends.size());
  for (const std::string& backend : backends) commands.push_back("show servers state " + backend);
  return commands;
}

Result<std::vector<Backend>> ParseLook(std::string_view text,
                                       const std::vector<std::string>& backends) {
  std::vector<Backend> look;
  for (const std::string& name : backends) {
    Backend& backend = look.emplace_back();
    backend.name = name;
    Status taken = TakeServers(text, backend);
    if (!taken) return std::move(taken).error();
  }
  if (!text.empty()) return NotOurAnswer("more than what was asked for");
  return look;
}

std::vector<std::string> LoadCommands(const std::vector<Backend>& backends) {
  std::vector<std::string> commands;
  for (const Backend& backend : backends) {
    // By its number, for a frontend may have the same name; 4: servers only.
    if (backend.id > 0) commands.push_back("show stat " + std::to_string(backend.id) + " 4 -1");
  }
  return commands;
}

Result<Loads> ParseLoads(std::string_view text) {
  Loads loads{.in_flight = {}, .uptime = Millis::max()};
  std::optional<std::array<size_t, kLoadColumns.size()>> at;
  bool ended = false;
  while (!text.empty()) {
    if (text.starts_with(kInfo)) {
      Result<Millis> uptime = TakeUptime(text);
      if (!uptime) return std::move(uptime).error();
      loads.uptime = std::min(loads.uptime, *uptime);
      ended = true;
      continue;
    }
    const std::string_view line = TakeLine(text);
    ended = line.empty();
    if (ended) continue;
    if (line.starts_with("# ")) {
      at = Columns(Split(line.substr(2), ','), kLoadColumns);
      if (!at) return NotOurAnswer("columns are missing");
      continue;
    }
    const std::vector<std::string_view> fields = Split(line, ',');
    if (!at || *std::max_element(at->begin(), at->end()) >= fields.size()) {
      return NotOurAnswer("it says " + Quoted(line));
    }
    const auto queued = Whole<int>(fields[(*at)[2]]);
    const auto served = Whole<int>(fields[(*at)[3]]);
    if (!queued || !served || *served > std::numeric_limits<int>::max() - *queued) {
      return NotOurAnswer("it says " + Quoted(line));
    }
    loads.in_flight[std::string(fields[(*at)[0]]) + "/" + std::string(fields[(*at)[1]])] =
        *queued + *served;
  }
  if (!ended || loads.uptime == Millis::max()) return NotOurAnswer("it is cut off");
  return loads;
}

std::vector<std::string> Complaints(std::string_view text) {
  constexpr size_t kMost = 3;  // the rest follows from them
  std::vector<std::string> complaints;
  while (!text.empty() && complaints.size() < kMost) {
    std::string_view line = TakeLine(text);
    // Severities are those of syslog: 4 and above are warnings and news.
    const bool marked = line.size() >= 5 && line[0] == '[' && line.substr(2, 3) == "]: ";
    const bool grave = !marked || (line[1] >= '0' && line[1] <= '3');
    if (marked) line.remove_prefix(5);
    if (!line.empty() && (grave || line.starts_with("Unknown command"))) {
      complaints.push_back(OneLine(line, kShown));
    }
  }
  return complaints;
}

Error JudgeComplaint(const std::string& complaint, const std::string& backend) {
  if (complaint.starts_with("Permission denied")) {
    return Error{ErrorKind::kForbidden,
                 "permission denied: the 'stats socket' line needs 'level admin'"};
  }
  if (complaint.starts_with("No such backend")) return NoSuchBackend(backend);
  if (complaint.find("dynamic load balancing") != std::string::npos) {
    return Error{ErrorKind::kInvalid,
                 "the balance of backend " + backend +
                     " takes no new servers; use roundrobin, leastconn, random, or another with "
                     "'hash-type consistent'"};
  }
  return Error{ErrorKind::kUnavailable, "HAProxy says '" + complaint + "'"};
}

Error NoSuchBackend(const std::string& backend) {
  return Error{ErrorKind::kInvalid, "there is no backend " + backend + "; write 'backend " +
                                        backend +
                                        "' into haproxy.cfg, or name another with 'upstream'"};
}

}  // namespace autoscale::haproxy
