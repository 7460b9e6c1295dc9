#include "providers/process/identity.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>

#include "engine/model/file.h"
#include "providers/process/pidfd.h"

namespace autoscale {
namespace {

template <typename T>
bool ParseNumber(std::string_view text, T& value) {
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  return fault == std::errc() && end == text.data() + text.size();
}

// Cuts the text up to the delimiter off the front; false when it is not there.
bool Take(std::string_view& text, char delimiter, std::string_view& field) {
  const size_t end = text.find(delimiter);
  if (end == std::string_view::npos) return false;
  field = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

bool TakeLine(std::string_view& text, std::string_view key, std::string_view& value) {
  return Take(text, '\n', value) && value.starts_with(key) &&
         (value.remove_prefix(key.size()), true);
}

}  // namespace

std::string ToText(const ProcessIdentity& identity) {
  return "pid " + std::to_string(identity.pid) + "\nstart " + std::to_string(identity.start_ticks) +
         "\nboot " + identity.boot_id + "\n";
}

std::optional<ProcessIdentity> ParseProcessIdentity(std::string_view text) {
  ProcessIdentity identity;
  std::string_view pid, start, boot;
  if (!TakeLine(text, "pid ", pid) || !TakeLine(text, "start ", start) ||
      !TakeLine(text, "boot ", boot) || !text.empty()) {
    return std::nullopt;
  }
  identity.boot_id = boot;
  // Signals to 0, -1 or 1 would reach far more than one process.
  if (!ParseNumber(pid, identity.pid) || identity.pid <= 1) return std::nullopt;
  if (!ParseNumber(start, identity.start_ticks) || boot.empty()) return std::nullopt;
  return identity;
}

std::optional<ProcessStat> ParseProcessStat(std::string_view text) {
  // The second field is the name in parentheses and may hold anything, so count from its end.
  const size_t name_end = text.rfind(") ");
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 2);
  constexpr int kFirst = 3, kUserTime = 14, kChildSystemTime = 17, kStart = 22, kResident = 24;
  ProcessStat stat;
  for (int field = kFirst; field <= kResident; ++field) {
    std::string_view value;
    if (!Take(text, ' ', value)) return std::nullopt;
    uint64_t number = 0;
    if (field >= kUserTime && field <= kChildSystemTime) {
      if (!ParseNumber(value, number)) return std::nullopt;
      stat.cpu_ticks += number;
    } else if (field == kStart) {
      if (!ParseNumber(value, stat.start_ticks)) return std::nullopt;
    } else if (field == kResident) {
      if (!ParseNumber(value, stat.resident_pages)) return std::nullopt;
    }
  }
  return stat;
}

std::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  const auto text = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  return text.ok() ? ParseProcessStat(*text) : std::nullopt;
}

std::string ReadBootId() {
  const auto text = ReadFile("/proc/sys/kernel/random/boot_id");
  std::string id = text.ok() ? *text : "";
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::optional<ProcessIdentity> Identify(pid_t pid) {
  const auto stat = ReadProcessStat(pid);
  std::string boot_id = ReadBootId();
  if (!stat || boot_id.empty()) return std::nullopt;
  return ProcessIdentity{.pid = pid, .start_ticks = stat->start_ticks, .boot_id = boot_id};
}

std::optional<UniqueFd> OpenProcess(const ProcessIdentity& identity) {
  UniqueFd pidfd(pidfd_open(identity.pid, 0));
  if (!pidfd) {
    const bool short_of_something = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    return short_of_something ? std::nullopt : std::optional<UniqueFd>(UniqueFd());
  }
  // Compared after opening: if the pid changed hands before, the start time tells; after, the
  // descriptor still means the process that was looked at.
  const auto now = Identify(identity.pid);
  if (now == identity) return pidfd;
  // What is there could not be read: it is another one's, or a descriptor was missing.
  if (!now && pidfd_send_signal(pidfd.get(), 0, nullptr, 0) == 0) return std::nullopt;
  return UniqueFd();
}

Millis AgeOf(const ProcessIdentity& identity) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double uptime_s = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  const double start_s =
      static_cast<double>(identity.start_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return FromSeconds(std::max(0.0, uptime_s - start_s));
}

}  // namespace autoscale
