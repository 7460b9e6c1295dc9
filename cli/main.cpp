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
#include "cli/text.h"
#include "config/scalar.h"
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
  std::string policy;
  int64_t decision = 0;
  int limit = 20;
  bool remove_all = false;
  PolicyEvalOptions eval;
  ProtectOptions protect;
  PolicyTestOptions test;
  PolicyCheckOptions check;
  PolicyDiffOptions diff;
  ReplayOptions replay;
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

// Of commands that do more than ask the daemon.
constexpr const char* kTestCodes =
    "Exit codes: 0 all passed, 1 one failed, 2 there is nothing to run.";
constexpr const char* kCheckCodes =
    "Exit codes: 0 no error, 1 at least one, 2 nothing could be checked.";
constexpr const char* kCompareCodes =
    "Exit codes: 0 no difference, 1 a difference, 2 bad usage or input, 3 no daemon answered.";

// CLI11's own check of numbers names the range of a double.
const CLI::Validator kIsDecision(
    [](std::string& text) {
      const bool number =
          !text.empty() && text.size() < 19 &&
          std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
      return number && text.find_first_not_of('0') != std::string::npos
                 ? std::string()
                 : "'" + text + "' is no decision: give a number, as `history` shows them";
    },
    "ID");

// Which command was meant by the first word that is none.
std::string Guess(const CLI::App& app, const std::string& word) {
  const CLI::App* level = &app;
  while (!level->get_subcommands().empty()) level = level->get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::App* command : level->get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return DidYouMean(word, names);
}

void AddReaders(CLI::App& app, Arguments& arguments, Run& run) {
  auto* status = app.add_subcommand("status", "Services with their capacity and health");
  status->add_option("service", arguments.service, "One service, with instances and gateways");
  status->callback(
      [&] { run = [&](const Context& c) { return RunStatus(c, arguments.service); }; });

  auto* explain = app.add_subcommand("explain", "Why a service has the capacity that it has");
  auto* service = explain->add_option("service", arguments.service, "The service's last decision");
  auto* decision = explain->add_option("--decision", arguments.decision, "A decision of `history`")
                       ->check(kIsDecision);
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

  auto* replay = app.add_subcommand("replay", "Make a stored decision again, and compare");
  ReplayOptions& options = arguments.replay;
  auto* id = replay->add_option("id", options.id, "A decision of `history`")->check(kIsDecision);
  auto* last = replay->add_option("--last", options.service, "The last decision of this service");
  id->excludes(last);
  replay->footer(kCompareCodes);
  replay->add_option("--policy", options.policy,
                     "What another policy would have made of it: a file, or a shipped one");
  replay->add_option("--param", options.params, "NAME=VALUE, instead of the recorded one");
  replay->callback([&, id, last] {
    if (id->count() + last->count() != 1) {
      throw CLI::ValidationError("replay", "name a decision's ID or give --last SERVICE");
    }
    run = [&](const Context& c) { return RunReplay(c, options); };
  });

  auto* shadow =
      app.add_subcommand("shadow", "How the policy tried beside a service's own compares with it");
  shadow->add_option("service", arguments.service)->required();
  shadow->callback(
      [&] { run = [&](const Context& c) { return RunShadow(c, arguments.service); }; });

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

  auto* protect = app.add_subcommand("protect", "Keep an instance from being scaled in");
  ProtectOptions& kept = arguments.protect;
  protect->add_option("service", kept.service)->required();
  protect->add_option("instance", kept.instance, "Its id, as status shows it")->required();
  auto* lasting =
      protect->add_option("--for", kept.duration, "How long: 30m, 1h; default: for good");
  protect->add_flag("--off", kept.off, "It is as any other again")->excludes(lasting);
  protect->add_option("--reason", kept.reason, "Shown by status");
  protect->callback([&] { run = [&](const Context& c) { return RunProtect(c, kept); }; });

  auto* reload = app.add_subcommand("reload", "Load the daemon's configuration anew");
  reload->add_flag("--remove-all", arguments.remove_all,
                   "Also when no service is left in it: all are drained and stopped");
  reload->callback(
      [&] { run = [&](const Context& c) { return RunReload(c, arguments.remove_all); }; });
}

void AddPolicyTest(CLI::App& policy, PolicyTestOptions& options, Run& run) {
  auto* test = policy.add_subcommand("test", "Run tests of policies: *_test.lua and *.scenario");
  test->add_option("path", options.paths, "Files, or folders with all beneath them")->required();
  test->add_option("-j,--jobs", options.jobs, "Files at a time; default: as many as cores")
      ->check(CLI::Range(1, 64));
  test->add_flag("--tap", options.tap, "Answer in TAP version 14");
  test->add_option("--filter", options.filter, "Only cases with this text in their place or name");
  test->footer(kTestCodes);
  test->callback([&] { run = [&](const Context& c) { return RunPolicyTest(c, options); }; });
}

// Of options with a service: which one, and what it shares.
template <typename Options>
CLI::Option* AddService(CLI::App& command, Options& options) {
  command.add_option("--name", options.name, "Which service, when the file has several");
  command.add_option("--config", options.daemon_file, "The daemon's file, for shared metrics");
  return command.add_option("--service", options.service_file, "The service's YAML file");
}

void AddPolicyCheck(CLI::App& policy, PolicyCheckOptions& options, Run& run) {
  auto* check = policy.add_subcommand("check", "Say what is wrong with policies before they act");
  auto* path = check->add_option("path", options.paths, "Files, or folders with all beneath them");
  auto* service = AddService(*check, options);
  service->excludes(path);
  check->footer(kCheckCodes);
  check->callback([&, path, service] {
    if (path->count() + service->count() == 0) {
      throw CLI::ValidationError("check", "name files or folders, or give --service FILE");
    }
    run = [&](const Context& c) { return RunPolicyCheck(c, options); };
  });
}

void AddPolicyDiff(CLI::App& policy, PolicyDiffOptions& options, Run& run) {
  auto* diff = policy.add_subcommand("diff", "Two policies on the same inputs");
  diff->add_option("old", options.old_policy, "A file, or the name of a shipped policy")
      ->required();
  diff->add_option("new", options.new_policy, "Another")->required();
  diff->add_option("--input", options.inputs, "*.scenario, or JSON as of `policy eval`")
      ->required();
  AddService(*diff, options);
  diff->footer(kCompareCodes);
  diff->callback([&] { run = [&](const Context& c) { return RunPolicyDiff(c, options); }; });
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
  AddPolicyTest(*policy, arguments.test, run);
  AddPolicyCheck(*policy, arguments.check, run);
  AddPolicyDiff(*policy, arguments.diff, run);
  policy->add_subcommand("list", "The policies and modules that come with autoscaled")
      ->callback([&] { run = RunPolicyList; });
  auto* show = policy->add_subcommand("show", "Print one of them");
  show->add_option("name", arguments.policy, "As `policy list` names it")->required();
  show->callback(
      [&] { run = [&](const Context& c) { return RunPolicyShow(c, arguments.policy); }; });
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
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> words = app.remaining(true);
    const std::string word = words.empty() ? std::string() : words.front();
    std::cerr << "autoscalectl: '" << word << "' is not expected here" << Guess(app, word)
              << "\nRun with --help for what there is.\n";
    return kExitUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? kExitOk : kExitUsage;
  }
  if (!run) {
    std::cerr << "autoscalectl: say what to do:\n" << app.help();
    return kExitUsage;
  }

  for (std::string* text :
       {&arguments.service, &arguments.reason, &arguments.replay.service,
        &arguments.protect.service, &arguments.protect.instance, &arguments.protect.reason}) {
    *text = ToUtf8(*text);
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
