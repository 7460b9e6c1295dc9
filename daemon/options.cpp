#include "daemon/options.h"

#include <CLI/CLI.hpp>

namespace autoscale {

std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code) {
  Options options;
  CLI::App app{"autoscaled: makes a fleet follow its load."};
  app.set_version_flag("--version", std::string("autoscaled ") + AUTOSCALED_VERSION);
  app.add_option("--config", options.config, "The daemon's configuration file")
      ->capture_default_str();
  app.add_flag("--check-config", options.check_config,
               "Load and check the configuration and all it names, tell every fault, and exit "
               "(0: fine, 2: not)");
  app.add_flag("--dry-run", options.dry_run,
               "Decide and record, but start, stop and publish nothing");
  app.add_flag("--fault-points", options.fault_points)->group("");  // for tests, not in the help
  app.footer(
      "SIGTERM ends the daemon and leaves the fleet serving; SIGHUP loads the configuration "
      "anew.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : 2;
    return std::nullopt;
  }
  return options;
}

}  // namespace autoscale
