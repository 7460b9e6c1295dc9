// autoscaled-plugin LOCK SHA256 PROGRAM [ARGUMENT...]
//
// Runs a plugin's program and sees to it that it does not outlive the daemon: when standard input
// ends, because the daemon closed it or is no more, the program gets SIGTERM and, 2 s later, it and
// all of this process group are killed. It holds the lock meanwhile, so that the program of the
// next daemon starts after this one's end. SHA256 is the checksum that the program must have, or
// empty.
//
// A process of one thread: the program dies with it, as PDEATHSIG goes by the thread that started
// it, which in the daemon may end before the process does.
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include "providers/plugin/descriptor.h"

namespace autoscale {
namespace {

constexpr int kNotRun = 127;      // what shells answer for a command that could not be run
constexpr int kSignalBase = 128;  // and for one that a signal ended
constexpr int kGraceMillis = 2000;
// The program of a daemon that was killed ends within its grace.
constexpr int kLockTries = 100, kLockPauseMillis = 50;

[[noreturn]] void Fail(const std::string& sentence) {
  // One write: the daemon reads lines, and takes this one for the reason.
  const std::string line = "autoscaled-plugin: " + sentence + "\n";
  [[maybe_unused]] const ssize_t n = write(STDOUT_FILENO, line.data(), line.size());
  _exit(kNotRun);
}

std::string Reason() { return std::generic_category().message(errno); }

// Whether standard input has come to its end within the time.
bool DaemonIsGone(int millis) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&input, 1, millis) > 0;
}

Descriptor TakeLock(const std::string& path) {
  Descriptor lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) Fail("cannot open " + path + ": " + Reason());
  for (int i = 0; flock(lock.get(), LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK) Fail("cannot lock " + path + ": " + Reason());
    if (i == kLockTries) Fail("its process of an earlier start does not end; it holds " + path);
    if (DaemonIsGone(kLockPauseMillis)) _exit(kNotRun);
  }
  return lock;
}

std::string Sha256Of(int file) {
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  std::vector<unsigned char> part(1u << 20);
  bool fine = context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1;
  ssize_t n = 0;
  while (fine && (n = read(file, part.data(), part.size())) > 0) {
    fine = EVP_DigestUpdate(context, part.data(), static_cast<size_t>(n)) == 1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  fine = fine && n == 0 && EVP_DigestFinal_ex(context, digest.data(), &size) == 1;
  EVP_MD_CTX_free(context);
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; fine && i < size; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

// The program that was looked at, to be executed as it is: what is put in its place meanwhile is
// not. Of a script only the name can be handed to its interpreter: then there is none.
Descriptor Inspect(const std::string& program, const std::string& wanted) {
  Descriptor file(open(program.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) Fail("cannot read " + program + ": " + Reason());
  const std::string found = Sha256Of(file.get());
  if (found.empty()) Fail("cannot read " + program);
  if (found != wanted) {
    Fail("the checksum of " + program + " is " + found + ", and 'sha256' says " + wanted);
  }
  std::array<char, 4> start{};
  const bool elf = pread(file.get(), start.data(), start.size(), 0) == 4 && start[0] == 0x7f &&
                   start[1] == 'E' && start[2] == 'L' && start[3] == 'F';
  return elf ? std::move(file) : Descriptor();
}

[[noreturn]] void Become(const Descriptor& file, char** command, pid_t runner) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != runner) _exit(kNotRun);  // it died before the line above
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  if (file) {
    fexecve(file.get(), command, environ);
  } else {
    execv(command[0], command);
  }
  Fail("cannot run " + std::string(command[0]) + ": " + Reason());
}

// Until the program or the daemon has ended; the program's exit status, as shells have it.
int Watch(pid_t program) {
  const Descriptor pidfd(static_cast<int>(syscall(SYS_pidfd_open, program, 0)));
  std::array<pollfd, 2> both = {{{.fd = pidfd.get(), .events = POLLIN, .revents = 0},
                                 {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}}};
  while (poll(both.data(), both.size(), -1) < 0 && errno == EINTR) {
  }
  int status = 0;
  if (both[0].revents == 0) {
    kill(program, SIGTERM);
    poll(both.data(), 1, kGraceMillis);
    kill(program, SIGKILL);
    waitpid(program, &status, 0);
    kill(0, SIGKILL);  // what it left in our group, and ourselves
  }
  waitpid(program, &status, 0);
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

int Run(char** arguments) {
  const Descriptor lock = TakeLock(arguments[1]);
  const std::string wanted = arguments[2];
  char** const command = arguments + 3;
  const Descriptor file = wanted.empty() ? Descriptor() : Inspect(command[0], wanted);
  const pid_t self = getpid();
  const pid_t program = fork();
  if (program < 0) Fail("no more processes may be started: " + Reason());
  if (program == 0) Become(file, command, self);
  // They are the program's: at its end they end.
  close(STDOUT_FILENO);
  close(STDERR_FILENO);
  return Watch(program);
}

}  // namespace
}  // namespace autoscale

int main(int argc, char** argv) {
  if (argc < 4 || getpgrp() != getpid()) {
    std::fprintf(stderr, "autoscaled-plugin is run by autoscaled, not by hand\n");
    return 2;
  }
  return autoscale::Run(argv);
}
