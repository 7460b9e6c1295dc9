#include "providers/process/launch.h"

#include <fcntl.h>
#include <spawn.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "net/fault_point.h"

namespace autoscale {
namespace {

// Of the daemon's own environment only what every program expects; secrets stay here.
constexpr const char* kInherited[] = {"PATH", "HOME",   "USER",     "LOGNAME", "SHELL",
                                      "LANG", "LC_ALL", "LC_CTYPE", "TZ",      "TMPDIR"};
constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";
constexpr int kSpawnedLock = 3;  // where the launcher expects it

// An array for exec from strings that outlive it.
std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const ProcessTarget& target,
                                     const std::map<std::string, std::string>& values) {
  std::map<std::string, std::string> variables = {{"PATH", kDefaultPath}};
  for (const char* name : kInherited) {
    if (const char* value = std::getenv(name)) variables[name] = value;
  }
  variables["AUTOSCALED_SERVICE"] = values.at("service");
  variables["AUTOSCALED_INSTANCE"] = values.at("id");
  for (const auto& [name, value] : target.environment) variables[name] = Expand(value, values);
  variables.erase(kFaultPointVariable);  // only the daemon's own environment arms one
  // For the launcher, which takes it out before it becomes the instance.
  if (const auto point = LauncherFaultPoint()) variables[kFaultPointVariable] = *point;
  std::vector<std::string> environment;
  environment.reserve(variables.size());
  for (auto& [name, value] : variables) environment.push_back(value.insert(0, name + "="));
  return environment;
}

// The attributes of a spawn, freed at the end of the scope.
struct SpawnPlan {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  explicit SpawnPlan(int lock) {
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, lock, kSpawnedLock);
    posix_spawn_file_actions_addclosefrom_np(&files, kSpawnedLock + 1);
    posix_spawnattr_init(&attributes);
    // Its own session: a Ctrl-C at the daemon's terminal is not for the instances.
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
};

}  // namespace

std::string DefaultLauncherPath() {
  std::error_code fault;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", fault);
  return (self.parent_path() / "../libexec/autoscaled/autoscaled-launch").lexically_normal();
}

Result<pid_t> SpawnInstance(const std::string& launcher, const InstanceFolder& folder,
                            const ProcessTarget& target,
                            const std::map<std::string, std::string>& values) {
  const UniqueFd lock = folder.Lock();
  if (!lock) {
    return Error{ErrorKind::kUnavailable,
                 "cannot lock " + folder.path() + "/lock: " + std::strerror(errno)};
  }
  std::vector<std::string> arguments = {launcher, folder.path(), target.directory};
  for (const auto& word : target.command) arguments.push_back(Expand(word, values));
  std::vector<std::string> environment = Environment(target, values);
  const SpawnPlan plan(lock.get());
  pid_t pid = 0;
  const int fault = posix_spawn(&pid, launcher.c_str(), &plan.files, &plan.attributes,
                                Pointers(arguments).data(), Pointers(environment).data());
  if (fault != 0) {
    const bool exhausted = fault == EAGAIN || fault == ENOMEM || fault == EMFILE;
    return Error{exhausted ? ErrorKind::kExhausted : ErrorKind::kUnavailable,
                 "cannot start " + launcher + ": " +
                     (fault == EAGAIN ? "no more processes may be started (TasksMax=, ulimit -u)"
                                      : std::strerror(fault))};
  }
  return pid;
}

}  // namespace autoscale
