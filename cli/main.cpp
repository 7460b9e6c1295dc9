// autoscalectl: the command line. Everything CLI11 is here, because it compiles slowly.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>

#include "cli/command.h"
#include "config/section.h"

namespace autoscale::cli {
namespace {

constexpr size_t kLeastWidth = 80;
constexpr size_t kMostWidth = 120;  // longer lines are hard to read

struct Arguments {
  std::string socket = kDefaultSocket;
  std::string output = "table";
  std::string timeout = "10s";
  std::string service;
  std::string reason;
  int64_t decision = 0;
  int limit = 20;
  PolicyEvalOptions eval;
};

using Run = std::function<int(const Context&)>;

Style TerminalStyle() {
  Style style{.now = std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now())};
  if (isatty(STDOUT_FILENO) == 0) return style;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  style.colour = (no_colour == nullptr || *no_colour == '\0') && term != nullptr &&
                 std::string_view(term) != "dumb";
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.width = std::clamp<size_t>(size.ws_col, kLeastWidth, kMostWidth);
  }
  return style;
}

void AddReaders(CLI::App& app, Arguments& arguments, Run& run) {
  auto* status = app.add_subcommand("status", "Services with their capacity and health");
  status->add_option("service", arguments.service, "One service, with instances and gateways");
  status->callback(
      [&] { run = [&](const Context& c) { return RunStatus(c, arguments.service); }; });

  auto* explain = app.add_subcommand("explain", "Why a service has the capacity that it has");
  auto* service = explain->add_option("service", arguments.service, "The service's last decision");
  auto* decision = explain->add_option("--decision", arguments.decision, "A decision of `history`")
                       ->check(CLI::PositiveNumber);
  service->excludes(decision);
  explain->callback([&, service, decision] {
    if (service->count() + decision->count() != 1) {
      throw CLI::ValidationError("explain", "name a SERVICE or give --decision ID");
    }
    run = [&](const Context& c) {
      return arguments.decision > 0 ? RunExplainDecision(c, arguments.decision)
                                    : RunExplain(c, arguments.service);
    };
  });

  auto* history = app.add_subcommand("history", "Decisions that changed something, newest first");
  history->add_option("service", arguments.service, "Of one service; default: of all");
  history->add_option("--limit", arguments.limit, "At most so many")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  history->callback([&] {
    run = [&](const Context& c) { return RunHistory(c, arguments.service, arguments.limit); };
  });

  app.add_subcommand("version", "Versions of this program and of the daemon")->callback([&] {
    run = RunVersion;
  });
}

void AddActors(CLI::App& app, Arguments& arguments, Run& run) {
  auto* pause = app.add_subcommand("pause", "Keep a service at its capacity");
  pause->add_option("service", arguments.service)->required();
  pause->add_option("--reason", arguments.reason, "Shown by status and explain");
  pause->callback([&] {
    run = [&](const Context& c) { return RunPause(c, arguments.service, arguments.reason); };
  });

  auto* resume = app.add_subcommand("resume", "Let a paused service scale again");
  resume->add_option("service", arguments.service)->required();
  resume->callback(
      [&] { run = [&](const Context& c) { return RunResume(c, arguments.service); }; });

  app.add_subcommand("reload", "Load the daemon's configuration anew")->callback([&] {
    run = RunReload;
  });
}

void AddPolicy(CLI::App& app, Arguments& arguments, Run& run) {
  auto* policy = app.add_subcommand("policy", "Work on policies, without a daemon");
  policy->require_subcommand(0, 1);
  auto* eval = policy->add_subcommand("eval", "Evaluate a service's policy once and print JSON");
  PolicyEvalOptions& options = arguments.eval;
  eval->add_option("--service", options.service_file, "The service's YAML file")->required();
  eval->add_option("--name", options.name, "Which service, when the file has several");
  eval->add_option("--config", options.daemon_file, "The daemon's file, for shared metrics");
  eval->add_option("--input", options.input_file, "JSON file with the situation; - reads stdin")
      ->required();
  eval->callback([&] { run = [&](const Context& c) { return RunPolicyEval(c, options); }; });
}

int Main(int argc, char** argv) {
  Arguments arguments;
  Run run;
  CLI::App app("Asks and steers autoscaled, the autoscaling daemon.", "autoscalectl");
  app.footer(
      "Exit codes: 0 done, 1 the daemon refused or failed, 2 bad usage or input, 3 no daemon "
      "answered.");
  app.set_version_flag("--version", "autoscalectl " AUTOSCALED_VERSION);
  app.require_subcommand(0, 1);  // so that an unknown one is told by its name
  app.fallthrough();             // global options may stand after the command, too
  app.add_option("--socket", arguments.socket, "The daemon's control socket")
      ->envname("AUTOSCALE_SOCKET")
      ->capture_default_str();
  app.add_option("-o,--output", arguments.output, "Form of the answer")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.add_option("--timeout", arguments.timeout, "How long to wait for the daemon: 500ms, 10s, 1m")
      ->capture_default_str();
  AddReaders(app, arguments, run);
  AddActors(app, arguments, run);
  AddPolicy(app, arguments, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? kExitOk : kExitUsage;
  }
  if (!run) {
    std::cerr << "autoscalectl: say what to do:\n" << app.help();
    return kExitUsage;
  }

  Context context{.socket = arguments.socket,
                  .json = arguments.output == "json",
                  .style = TerminalStyle(),
                  .out = std::cout,
                  .err = std::cerr};
  const auto timeout = ParseDuration(arguments.timeout);
  if (!timeout || timeout->count() <= 0) {
    return Fail(context, kExitUsage,
                "--timeout: " + (timeout ? "must be more than zero" : timeout.error().message));
  }
  context.timeout = *timeout;
  return run(context);
}

}  // namespace
}  // namespace autoscale::cli

int main(int argc, char** argv) {
  try {
    return autoscale::cli::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "autoscalectl: " << error.what() << "\n";
    return autoscale::cli::kExitFailed;
  }
}
