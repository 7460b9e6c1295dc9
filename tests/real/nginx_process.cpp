#include "tests/real/nginx_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/real/http_probe.h"
#include "tests/signal_one.h"

namespace autoscale {
namespace {

using std::chrono::milliseconds;

std::filesystem::path SourceFolder() { return std::filesystem::canonical(AUTOSCALE_SOURCE_DIR); }

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The example must still hold what the test replaces, else it tests something else.
void Replace(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) {
    std::fprintf(stderr, "autoscaled.conf.example no longer holds '%s'\n", from.c_str());
    std::abort();
  }
  text.replace(at, from.size(), to);
}

// Debian keeps libraries and Lua modules in a folder named after the machine.
std::string LibraryFolder(const std::filesystem::path& root) {
  for (const auto& entry : std::filesystem::directory_iterator(root / "usr/lib")) {
    if (std::filesystem::exists(entry.path() / "lua/5.1/cjson.so")) return entry.path().filename();
  }
  return "x86_64-linux-gnu";
}

// While the test wishes it, the worker that takes the next push stops itself in the middle of it.
constexpr char kStopInAPush[] = R"lua(
  local cjson, dict = require "cjson.safe", ngx.shared.autoscaled_counters
  local encode = cjson.encode
  require("ffi").cdef "int raise(int signal);"
  cjson.encode = function(value)
    if dict:get("test:stop") and ngx.req.get_method() == "PUT" then
      dict:delete("test:stop")
      require("ffi").C.raise(19)
    end
    return encode(value)
  end
)lua";
// Generations that no list has been stored of.
constexpr char kTear[] = R"lua(
  local dict = ngx.shared.autoscaled_lists
  for _, key in ipairs(dict:get_keys(0)) do
    if key:find("^g|") then dict:incr(key, 1) end
  end
)lua";

}  // namespace

NginxProcess::NginxProcess(std::filesystem::path root, std::string counters)
    : root_(std::move(root)),
      counters_(std::move(counters)),
      port_(FreePort()),
      error_page_port_(FreePort()),
      metrics_port_(FreePort()) {
  std::string folder = std::filesystem::temp_directory_path() / "nginx-test-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) std::abort();
  folder_ = folder;
  std::filesystem::create_directory(state_dir());
  WriteConfiguration();
}

NginxProcess::~NginxProcess() {
  Stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string NginxProcess::HttpBlock() const {
  std::string text = ReadText(SourceFolder() / "gateways/nginx/autoscaled.conf.example");
  const std::string share = (root_ / "usr/share/lua/5.1").string();
  Replace(text, "/usr/share/autoscaled/nginx/?.lua;;",
          (SourceFolder() / "gateways/nginx/lua/?.lua;").string() + share + "/?.lua;;");
  Replace(text, "/var/lib/autoscaled-nginx", "state");
  Replace(text, "autoscaled_counters 16m", "autoscaled_counters " + counters_);
  Replace(text, "autoscaled.init_worker()", std::string("autoscaled.init_worker()") + kStopInAPush);
  Replace(text, "listen 80;", "listen 127.0.0.1:" + std::to_string(port_) + ";");
  Replace(text, "unix:/run/autoscaled-nginx/control.sock", "unix:" + control_socket());
  Replace(text, "127.0.0.1:9145", "127.0.0.1:" + std::to_string(metrics_port_));
  return text;
}

void NginxProcess::WriteConfiguration() const {
  const std::string modules = (root_ / "usr/lib/nginx/modules").string();
  const std::string libraries =
      (root_ / "usr/lib" / LibraryFolder(root_) / "lua/5.1/?.so;;").string();
  std::ofstream file(folder_ / "nginx.conf");
  if (geteuid() == 0) file << "user root;\n";  // else its workers could not write into our folder
  file << "load_module " << modules << "/ndk_http_module.so;\n"
       << "load_module " << modules << "/ngx_http_lua_module.so;\n"
       << "daemon off; worker_processes 2; pid nginx.pid; error_log error.log warn;\n"
       << "events { worker_connections 4096; }\n"
       << "http {\n"
       << "  access_log off; client_body_temp_path t1; proxy_temp_path t2;\n"
       << "  fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n"
       << "  lua_package_cpath \"" << libraries << "\";\n"
       << HttpBlock() << "\n"
       << "  server {\n"
       << "    listen 127.0.0.1:" << error_page_port_ << ";\n"
       << "    location / {\n"
       << "      access_by_lua_block { autoscaled.access(\"checkout\") }\n"
       << "      proxy_pass http://checkout;\n"
       << "      error_page 502 503 =200 /sorry;\n"
       << "    }\n"
       << "    location = /sorry { return 200 sorry; }\n"
       << "    location = /test/tear { content_by_lua_block {" << kTear << "} }\n"
       << "    location = /test/stop { content_by_lua_block {\n"
       << "      ngx.shared.autoscaled_counters:set(\"test:stop\", true) } }\n"
       << "  }\n"
       << "}\n";
}

bool NginxProcess::Start() {
  const std::string program = (root_ / "usr/sbin/nginx").string();
  const std::string prefix = folder_.string() + "/";
  const std::string library = LibraryFolder(root_);
  const std::string paths =
      (root_ / "usr/lib" / library).string() + ":" + (root_ / "lib" / library).string();
  const std::string log = (folder_ / "output.log").string();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    if (root_ != "/") setenv("LD_LIBRARY_PATH", paths.c_str(), 1);
    execl(program.c_str(), "nginx", "-p", prefix.c_str(), "-c", "nginx.conf", nullptr);
    _exit(127);
  }
  for (int i = 0; i < 1000; ++i) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return false;
    }
    if (HttpProbe(metrics_port_).Get("/metrics", false).status == 200) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

void NginxProcess::Stop() {
  if (pid_ <= 0) return;
  SignalOne(pid_, SIGTERM);
  for (int i = 0; i < 500; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return;
    }
    std::this_thread::sleep_for(milliseconds(10));
  }
  for (const pid_t worker : Workers()) SignalOne(worker, SIGKILL);
  SignalOne(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NginxProcess::Crash() {
  if (pid_ <= 0) return;
  const std::vector<pid_t> workers = Workers();
  SignalOne(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  for (const pid_t worker : workers) SignalOne(worker, SIGKILL);
  // They are init's now; their listeners end with them.
  for (const pid_t worker : workers) {
    for (int i = 0; i < 500 && kill(worker, 0) == 0; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
    }
  }
  std::error_code ignored;
  std::filesystem::remove(control_socket(), ignored);
}

void NginxProcess::TearLists() const { HttpProbe(error_page_port_).Get("/test/tear", false); }

void NginxProcess::StopInNextPush() const { HttpProbe(error_page_port_).Get("/test/stop", false); }

std::optional<pid_t> NginxProcess::StoppedWorker() const {
  for (const pid_t worker : Workers()) {
    const std::string stat = ReadText("/proc/" + std::to_string(worker) + "/stat");
    if (stat.find(") T ") != std::string::npos) return worker;
  }
  return std::nullopt;
}

void NginxProcess::Reload() const { SignalOne(pid_, SIGHUP); }

std::vector<pid_t> NginxProcess::Workers() const {
  const std::string pid = std::to_string(pid_);
  std::istringstream children(ReadText("/proc/" + pid + "/task/" + pid + "/children"));
  std::vector<pid_t> workers;
  for (pid_t child = 0; children >> child;) workers.push_back(child);
  return workers;
}

std::string NginxProcess::ErrorLog() const {
  return ReadText(folder_ / "output.log") + ReadText(folder_ / "error.log");
}

}  // namespace autoscale
