// autoscaled-launch FOLDER DIRECTORY PROGRAM [ARGUMENT...]
//
// Becomes an instance: writes its own identity into the instance's folder, sends output there, and
// executes the program in its place, so that the pid in the record is the instance's. It starts in
// a session of its own, with default signals, an empty standard input, the environment of the
// instance, and the locked lock file as descriptor 3.
#include <fcntl.h>
#include <linux/close_range.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "net/fault_point.h"
#include "providers/process/folder.h"
#include "providers/process/identity.h"

namespace autoscale {
namespace {

constexpr int kSpawnedLock = 3;
// Shell scripts like to use 3 to 9 for themselves and would drop the lock.
constexpr int kKeptLock = 100;
constexpr int kNotRun = 127;  // what shells answer for a command that could not be run

[[noreturn]] void Fail(const InstanceFolder& folder, const std::string& sentence) {
  if (!folder.Write("failure", sentence).ok()) std::fprintf(stderr, "%s\n", sentence.c_str());
  _exit(kNotRun);
}

std::string Reason() { return std::strerror(errno); }

bool SendOutput(const std::string& path, int fd) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  return file && dup2(file.get(), fd) == fd;
}

[[noreturn]] void Launch(const InstanceFolder& folder, const char* directory, char** command) {
  const int lock = fcntl(kSpawnedLock, F_DUPFD, kKeptLock);
  if (lock < 0) Fail(folder, "cannot keep the lock: " + Reason());
  close_range(kSpawnedLock, static_cast<unsigned>(lock) - 1, 0);
  close_range(static_cast<unsigned>(lock) + 1, ~0U, 0);

  ReachFaultPoint(FaultPoint::kLauncherStarted);
  const auto self = Identify(getpid());
  if (!self) Fail(folder, "cannot read /proc: is it mounted?");
  // Without a record a restarted daemon could not find the instance again: then better none.
  if (Status written = folder.Write("record", ToText(*self)); !written.ok()) {
    Fail(folder, written.error().message);
  }
  ReachFaultPoint(FaultPoint::kLauncherRecorded);
  if (chdir(directory) != 0) {
    Fail(folder, "cannot enter the folder " + std::string(directory) + ": " + Reason());
  }
  if (!SendOutput(folder.path() + "/stdout.log", STDOUT_FILENO) ||
      !SendOutput(folder.path() + "/stderr.log", STDERR_FILENO)) {
    Fail(folder, "cannot write output to " + folder.path() + ": " + Reason());
  }
  execvp(command[0], command);
  Fail(folder, "cannot run " + std::string(command[0]) + ": " + Reason());
}

}  // namespace
}  // namespace autoscale

int main(int argc, char** argv) {
  if (argc < 4 || fcntl(autoscale::kSpawnedLock, F_GETFD) < 0) {
    std::fprintf(stderr, "autoscaled-launch is run by autoscaled, not by hand\n");
    return 2;
  }
  static_cast<void>(autoscale::ArmFaultPoint().ok());  // the daemon has judged it
  unsetenv(autoscale::kFaultPointVariable);            // not for the instance
  autoscale::Launch(autoscale::InstanceFolder(argv[1]), argv[2], argv + 3);
}
