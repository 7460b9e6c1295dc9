#include "tests/real/prometheus_process.h"

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/signal_one.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

}  // namespace

std::string FindPrometheus() {
  std::string folders;
  if (const char* parts = std::getenv("AUTOSCALE_PARTS")) {
    folders = std::string(parts) + "/usr/bin:";
  }
  if (const char* path = std::getenv("PATH")) folders += path;
  std::istringstream list(folders);
  for (std::string folder; std::getline(list, folder, ':');) {
    const std::string program = folder + "/prometheus";
    if (::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

PrometheusProcess::PrometheusProcess(const std::string& program, const std::string& configuration,
                                     const std::string& past)
    : program_(program), port_(FreePort()) {
  char name[] = "/tmp/autoscaled-prometheus-XXXXXX";
  if (::mkdtemp(name) == nullptr) std::abort();
  folder_ = name;
  std::ofstream(folder_ + "/prometheus.yml") << configuration;
  if (!past.empty()) Fill(past);
  Launch();
}

PrometheusProcess::~PrometheusProcess() {
  Kill();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void PrometheusProcess::Launch() {
  pid_ = Run({
      program_,
      "--config.file=" + folder_ + "/prometheus.yml",
      "--storage.tsdb.path=" + folder_ + "/data",
      "--web.listen-address=127.0.0.1:" + std::to_string(port_),
      "--query.lookback-delta=1m",
      "--log.level=error",
  });
}

void PrometheusProcess::Fill(const std::string& past) const {
  const std::string file = folder_ + "/past";
  std::ofstream(file) << past;
  const std::string tool = program_.substr(0, program_.rfind('/') + 1) + "promtool";
  // Few blocks: each of them is files that are written and synchronised.
  const pid_t pid = Run({tool, "tsdb", "create-blocks-from", "openmetrics", "-q",
                         "--max-block-duration=240h", file, folder_ + "/data"});
  ::waitpid(pid, nullptr, 0);
}

pid_t PrometheusProcess::Run(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  return pid;
}

void PrometheusProcess::Signal(int signal) const {
  if (pid_ > 0) SignalOne(pid_, signal);
}

void PrometheusProcess::Kill() {
  if (pid_ <= 0) return;
  SignalOne(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void PrometheusProcess::StartEmpty() {
  std::error_code ignored;
  fs::remove_all(folder_ + "/data", ignored);
  Launch();
}

}  // namespace autoscale
