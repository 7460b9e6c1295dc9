#include "tests/integration/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "engine/model/file.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

constexpr std::chrono::milliseconds kLookEvery{10};

int OpenForWriting(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    std::perror(path.c_str());
    std::abort();
  }
  return fd;
}

}  // namespace

bool Eventually(const std::function<bool()>& holds, std::chrono::seconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kLookEvery);
  }
  return true;
}

std::string ReadWhole(const std::filesystem::path& path) {
  const auto text = ReadFile(path);
  return text.ok() ? *text : "";
}

Child::Child(const std::vector<std::string>& command, std::filesystem::path output)
    : output_(std::move(output)) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int out = OpenForWriting(output_.string() + ".out");
  const int err = OpenForWriting(output_.string() + ".err");
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out, 1);
    dup2(err, 2);
    execv(argv[0], argv.data());
    _exit(127);
  }
  if (pid_ < 0) {
    std::perror("fork");
    std::abort();
  }
  close(out);
  close(err);
}

Child::~Child() {
  Signal(SIGKILL);
  (void)Wait();
}

void Child::Signal(int signal) const {
  if (!exit_code_) SignalOne(pid_, signal);
}

std::optional<int> Child::Wait(std::chrono::seconds patience) {
  if (exit_code_) return exit_code_;
  int status = 0;
  if (Eventually([&] { return waitpid(pid_, &status, WNOHANG) != 0; }, patience)) {
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return exit_code_;
}

std::string Child::Output() const { return ReadWhole(output_.string() + ".out"); }
std::string Child::Errors() const { return ReadWhole(output_.string() + ".err"); }

}  // namespace autoscale
