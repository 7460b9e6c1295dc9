#include "providers/process/options.h"

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <string_view>

namespace autoscale {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<std::string_view, int> kSignals[] = {
    {"TERM", SIGTERM}, {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"HUP", SIGHUP},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}, {"KILL", SIGKILL},
};

void ParseCommand(Section& section, ProcessTarget& target, const fs::path& base) {
  target.command = section.Strings("command");
  if (section.Has("command") && !section.node()["command"].IsSequence()) return;  // was told
  if (target.command.empty() || target.command.front().empty()) {
    section.Fault(section.Has("command") ? "command" : "",
                  "command must be a list of a program and its arguments, such as "
                  "[./backend, --port, \"{port}\"]");
    return;
  }
  std::string& program = target.command.front();
  if (program.find('/') == std::string::npos) return;  // found on the PATH
  program = (base / program).lexically_normal();       // an absolute one stays
  std::error_code fault;
  if (!fs::exists(program, fault)) section.Warn("command", "there is no program " + program);
}

void ParseStop(Section& section, ProcessTarget& target) {
  auto stop = section.Child("stop");
  if (!stop) return;
  std::vector<std::string> names;
  for (const auto& [name, number] : kSignals) names.emplace_back(name);
  target.stop.signal = kSignals[stop->Choice("signal", 0, names)].second;
  target.stop.grace =
      stop->Duration("grace", target.stop.grace, {.min = Millis(0), .max = std::chrono::hours(1)});
  stop->Finish();
}

void ParseOutput(Section& section, ProcessTarget& target) {
  auto output = section.Child("output");
  if (!output) return;
  constexpr IntRange kSizes{.min = 4 << 10, .max = int64_t{1} << 40};
  target.output_max_bytes = static_cast<uint64_t>(
      output->Bytes("max", static_cast<int64_t>(target.output_max_bytes), kSizes));
  output->Finish();
}

void ParseEnvironment(Section& section, ProcessTarget& target) {
  target.environment = section.StringMap("environment");
  for (const auto& [name, value] : target.environment) {
    if (name.empty() || name.find('=') != std::string::npos) {
      section.Fault("environment", "'" + name + "' cannot be a variable's name");
    }
  }
}

// All instances of a command that is never told its port would listen on the same one.
void CheckPortIsTold(Section& section, const ProcessTarget& target) {
  if (target.first_port == target.last_port) return;
  constexpr std::string_view kPort = "{port}";
  for (const auto& word : target.command) {
    if (word.find(kPort) != std::string::npos) return;
  }
  for (const auto& [name, value] : target.environment) {
    if (value.find(kPort) != std::string::npos) return;
  }
  section.Fault("command",
                "the instances are never told their port: put \"{port}\" into command or "
                "environment");
}

}  // namespace

std::string ProcessTarget::identity() const {
  return "process " + host + ":" + std::to_string(first_port) + "-" + std::to_string(last_port);
}

std::shared_ptr<const ProviderTarget> ParseProcessTarget(Section& section,
                                                         const std::string& /*service*/) {
  auto target = std::make_shared<ProcessTarget>();
  section.String("type");  // read by whoever chose this parser
  std::error_code fault;
  const fs::path base = fs::absolute(section.file(), fault).parent_path();
  target->directory = section.Has("directory") ? section.Path("directory") : base.string();
  ParseCommand(section, *target, base);
  ParsePorts(section, target->first_port, target->last_port);
  target->host = ParseHost(section, target->host);
  ParseEnvironment(section, *target);
  target->health = ParseHealth(section);
  ParseStop(section, *target);
  ParseOutput(section, *target);
  if (!target->command.empty()) CheckPortIsTold(section, *target);
  section.Finish();
  return target;
}

std::string Expand(std::string text, const std::map<std::string, std::string>& values) {
  size_t at = 0;
  while ((at = text.find('{', at)) != std::string::npos) {
    const size_t end = text.find('}', at);
    if (end == std::string::npos) break;
    const auto value = values.find(text.substr(at + 1, end - at - 1));
    if (value == values.end()) {
      ++at;
      continue;
    }
    text.replace(at, end - at + 1, value->second);
    at += value->second.size();
  }
  return text;
}

}  // namespace autoscale
