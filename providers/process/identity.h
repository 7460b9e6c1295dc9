// Which process it is: a pid alone names whoever has it now; with its start time and the boot it
// names one process for ever.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/time.h"
#include "providers/local/unique_fd.h"

namespace autoscale {

struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat: clock ticks since boot
  std::string boot_id;
  bool operator==(const ProcessIdentity&) const = default;
};

// "pid 123\nstart 456\nboot 4f7c...\n", and back; nothing for any other text.
std::string ToText(const ProcessIdentity& identity);
std::optional<ProcessIdentity> ParseProcessIdentity(std::string_view text);

// What /proc/PID/stat says; nothing when there is no such process.
struct ProcessStat {
  uint64_t cpu_ticks = 0;  // user and system, children that were waited for included
  uint64_t start_ticks = 0;
  uint64_t resident_pages = 0;
};
std::optional<ProcessStat> ReadProcessStat(pid_t pid);
// Of a stat file's text; apart for the sake of names such as "a) R 1 (b".
std::optional<ProcessStat> ParseProcessStat(std::string_view text);

std::string ReadBootId();

// Who `pid` is now. The caller knows that it lives: it is the caller itself or its child.
std::optional<ProcessIdentity> Identify(pid_t pid);

// A pidfd of exactly that process, an empty one if it is no more; nothing when that cannot be told
// now, for want of descriptors or memory. Whatever is then done through the descriptor can hit no
// other process.
std::optional<UniqueFd> OpenProcess(const ProcessIdentity& identity);

// How long ago the process started.
Millis AgeOf(const ProcessIdentity& identity);

}  // namespace autoscale
