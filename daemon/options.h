// The daemon's command line.
#pragma once

#include <optional>
#include <string>

namespace autoscale {

struct Options {
  std::string config = "/etc/autoscaled/autoscaled.yaml";
  bool check_config = false;
  bool dry_run = false;
  bool fault_points = false;  // list them and exit
};

// Absent: nothing to run (help, version, or a mistake, told on standard output or error);
// `*exit_code` then holds what to exit with.
std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code);

}  // namespace autoscale
