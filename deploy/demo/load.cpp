// demo-load: an open-loop HTTP load. Requests arrive as users do, by chance at a given rate
// (Poisson), whether or not earlier ones have been answered, and latency counts from the moment a
// request was due. A closed loop would slow down with an overloaded service and hide what we came
// to see.
//
//   demo-load --port PORT[,PORT...] --schedule 20:100,35:700,25:100 [--steer FILE]
//             [--out FILE] [--summary FILE]
//
// Requests go to the ports in turn. --out gets a JSON line a second, --summary one object at the
// end. With --steer the load goes on after the schedule: FILE says how many requests a second, is
// read again each second, and ends it with the word "end". SIGTERM ends the load and waits for the
// answers under way; a second one does not. Exit 0 whatever was measured.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "deploy/demo/load_answer.h"
#include "deploy/demo/load_window.h"

namespace autoscale::demo {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kRequestTimeout = 10 * kSecond;  // then it counts as failed
// An idle connection is given up well before a server would close it in our face (nginx: 75 s).
constexpr int64_t kIdleTimeout = 5 * kSecond;
constexpr size_t kMaxConnections = 20'000;
constexpr double kSteerSeconds = 1;  // how often --steer's file is read

struct Step {
  double seconds = 0;
  double rps = 0;
};

struct Options {
  std::vector<int> ports;
  std::string path = "/";
  std::vector<Step> schedule;
  std::string steer, out, summary;
  uint64_t seed = 1;
};

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "demo-load: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

int64_t NowNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

class Load {
 public:
  explicit Load(Options options) : options_(std::move(options)), random_(options_.seed) {
    for (const int port : options_.ports) targets_.push_back({.port = port, .idle = {}});
    request_ = "GET " + options_.path + " HTTP/1.1\r\nHost: demo\r\nUser-Agent: demo-load\r\n\r\n";
  }

  void Run() {
    Open();
    start_ = NowNanos();
    next_arrival_ = start_;
    step_end_ = start_;
    window_end_ = start_ + kSecond;
    NextStep();
    window_rps_ = rps_;
    PlanArrival();
    while (!finished_) {
      Arm();
      epoll_event events[256];
      const int count = epoll_wait(epoll_, events, 256, -1);
      if (count < 0 && errno != EINTR) Die("epoll_wait");
      for (int i = 0; i < count; ++i) Dispatch(events[i].data.fd, events[i].events);
      Advance(NowNanos());
    }
    WriteSummary();
  }

 private:
  struct Target {
    int port = 0;
    std::deque<int> idle;  // connections: longest idle first; the freshest is reused
  };

  struct Connection {
    size_t target = 0;
    bool connecting = true;
    bool reused = false;
    bool busy = true;
    int64_t due = 0;  // when the request under way was due
    int64_t idle_since = 0;
    std::string input;
  };

  void Open() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    signal_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    for (const int fd : {signal_, timer_}) Watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    if (!options_.out.empty()) {
      out_ = std::fopen(options_.out.c_str(), "we");
      if (out_ == nullptr) Die("cannot write " + options_.out);
    }
  }

  void Watch(int fd, uint32_t interest, int operation) const {
    epoll_event event{};
    event.events = interest;
    event.data.fd = fd;
    epoll_ctl(epoll_, operation, fd, &event);
  }

  // --- time ---

  void NextStep() {
    const bool planned = step_ < options_.schedule.size();
    const auto step = planned ? std::optional(options_.schedule[step_++]) : Steered();
    arriving_ = step.has_value();
    rps_ = step ? step->rps : 0;
    if (step) step_end_ += static_cast<int64_t>(step->seconds * 1e9);
  }

  // What --steer's file wants for the next second; nothing when it wants an end, or without one. A
  // file that cannot be read, as in the moment in which it is written, changes nothing. At least
  // one request a second, because arrivals are planned ahead up to the next one.
  [[nodiscard]] std::optional<Step> Steered() const {
    if (options_.steer.empty()) return std::nullopt;
    std::array<char, 32> text{};
    std::FILE* file = std::fopen(options_.steer.c_str(), "re");
    if (file != nullptr) {
      if (std::fgets(text.data(), text.size(), file) == nullptr) text[0] = '\0';
      std::fclose(file);
    }
    if (std::string_view(text.data()).starts_with("end")) return std::nullopt;
    const double rps = std::atof(text.data());
    return Step{.seconds = kSteerSeconds, .rps = std::max(rps > 0 ? rps : rps_, 1.0)};
  }

  // The next arrival of a Poisson process; a step's rate holds from its very start.
  void PlanArrival() {
    while (arriving_) {
      const double gap = rps_ > 0 ? std::exponential_distribution<double>(rps_)(random_) : 1e9;
      const int64_t at = next_arrival_ + static_cast<int64_t>(std::min(gap, 1e8) * 1e9);
      if (at < step_end_) {
        next_arrival_ = at;
        return;
      }
      next_arrival_ = step_end_;
      NextStep();
    }
  }

  void Arm() const {
    int64_t at = window_end_;
    if (arriving_) at = std::min(at, next_arrival_);
    if (!in_flight_.empty()) at = std::min(at, in_flight_.front().deadline);
    itimerspec when{};
    when.it_value = {at / kSecond, at % kSecond};
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void Advance(int64_t now) {
    while (arriving_ && next_arrival_ <= now) {
      window_.Arrived();
      Send(next_arrival_);
      PlanArrival();
    }
    while (!in_flight_.empty() && in_flight_.front().deadline <= now) {
      const Deadline deadline = in_flight_.front();
      in_flight_.pop_front();
      const auto found = connections_.find(deadline.fd);
      if (found != connections_.end() && found->second.busy && found->second.due == deadline.due) {
        Fail(deadline.fd, "timeout");
      }
    }
    while (now >= window_end_) CloseWindow(now);
    finished_ = finished_ || (!arriving_ && pending_ == 0);
  }

  void CloseWindow(int64_t now) {
    if (out_ != nullptr) {
      std::fprintf(out_, "{\"t\":%lld,\"target_rps\":%.0f,\"in_flight\":%zu,%s}\n",
                   static_cast<long long>((window_end_ - start_) / kSecond), window_rps_, pending_,
                   window_.Json().c_str());
      std::fflush(out_);
    }
    total_.Add(window_);
    window_ = Window();
    window_rps_ = rps_;
    window_end_ += kSecond;
    for (Target& target : targets_) {
      while (!target.idle.empty() &&
             now - connections_[target.idle.front()].idle_since > kIdleTimeout) {
        Drop(target.idle.front());
      }
    }
  }

  // --- requests ---

  void Send(int64_t due) {
    ++pending_;
    const size_t turn = next_target_;
    next_target_ = (next_target_ + 1) % targets_.size();
    if (Target& target = targets_[turn]; !target.idle.empty()) {
      const int fd = target.idle.back();
      target.idle.pop_back();
      Connection& connection = connections_[fd];
      connection.reused = true;
      Begin(fd, connection, due);
      return Write(fd);
    }
    const int fd = connections_.size() < kMaxConnections
                       ? socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
                       : -1;
    if (fd < 0) return CountFailure("out_of_connections");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Begin(fd, connections_[fd] = Connection{.target = turn, .input = {}}, due);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(targets_[turn].port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS) {
      return Fail(fd, "connect");
    }
    Watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
  }

  void Begin(int fd, Connection& connection, int64_t due) {
    connection.busy = true;
    connection.due = due;
    connection.input.clear();
    in_flight_.push_back({fd, due, due + kRequestTimeout});
  }

  void Write(int fd) {  // a request of 60 bytes fits any socket buffer
    if (send(fd, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size())) {
      Fail(fd, connections_[fd].reused ? "reset" : "connect");
    }
  }

  void Dispatch(int fd, uint32_t events) {
    if (fd == timer_) {
      uint64_t expirations = 0;
      [[maybe_unused]] const ssize_t got = read(timer_, &expirations, sizeof expirations);
    } else if (fd == signal_) {
      Stop();
    } else if (const auto found = connections_.find(fd); found != connections_.end()) {
      if (found->second.connecting) return Connected(fd, found->second, events);
      Read(fd, found->second);
    }
  }

  void Stop() {
    signalfd_siginfo info{};
    [[maybe_unused]] const ssize_t got = read(signal_, &info, sizeof info);
    finished_ = !arriving_;  // asked for the second time
    arriving_ = false;
  }

  void Connected(int fd, Connection& connection, uint32_t events) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) return Fail(fd, "connect");
    if ((events & EPOLLOUT) == 0) return;
    connection.connecting = false;
    Watch(fd, EPOLLIN, EPOLL_CTL_MOD);
    Write(fd);
  }

  void Read(int fd, Connection& connection) {
    char buffer[16384];
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (!connection.busy) return Drop(fd);  // closed, or talkative, while idle
    if (got <= 0) return Fail(fd, "reset");
    connection.input.append(buffer, static_cast<size_t>(got));
    bool bad = false;
    const auto answer = Parse(connection.input, bad);
    if (bad) return Fail(fd, "bad_answer");
    if (!answer || connection.input.size() < answer->total_bytes) return;
    Finish(fd, connection, *answer);
  }

  void Finish(int fd, Connection& connection, const Answer& answer) {
    const int64_t now = NowNanos();
    connection.busy = false;
    connection.idle_since = now;
    --pending_;
    if (answer.status >= 200 && answer.status < 300) {
      window_.Succeeded(now - connection.due);
    } else {
      window_.Failed("status_" + std::to_string(answer.status));
    }
    targets_[connection.target].idle.push_back(fd);
    if (answer.close) Drop(fd);
  }

  void Fail(int fd, const char* cause) {
    CountFailure(cause);
    connections_.erase(fd);
    close(fd);
  }

  void CountFailure(const char* cause) {
    --pending_;
    window_.Failed(cause);
  }

  void Drop(int fd) {  // an idle connection
    const auto found = connections_.find(fd);
    std::erase(targets_[found->second.target].idle, fd);
    connections_.erase(found);
    close(fd);
  }

  void WriteSummary() {
    if (pending_ > 0) std::fprintf(stderr, "demo-load: stopped with %zu pending\n", pending_);
    total_.Add(window_);
    const std::string text = "{" + total_.Json() + "}\n";
    if (out_ != nullptr) std::fclose(out_);
    if (options_.summary.empty()) {
      std::fputs(text.c_str(), stdout);
      return;
    }
    std::FILE* file = std::fopen(options_.summary.c_str(), "we");
    if (file == nullptr) Die("cannot write " + options_.summary);
    std::fputs(text.c_str(), file);
    std::fclose(file);
  }

  struct Deadline {
    int fd;
    int64_t due;
    int64_t deadline;
  };

  Options options_;
  std::string request_;
  std::mt19937_64 random_;
  int epoll_ = -1, signal_ = -1, timer_ = -1;
  std::FILE* out_ = nullptr;
  size_t step_ = 0;
  double rps_ = 0;
  double window_rps_ = 0;  // at the start of the present second
  bool arriving_ = true, finished_ = false;
  int64_t start_ = 0, step_end_ = 0, next_arrival_ = 0, window_end_ = 0;
  size_t pending_ = 0;  // due and not answered
  Window window_, total_;
  std::unordered_map<int, Connection> connections_;
  std::vector<Target> targets_;
  size_t next_target_ = 0;
  std::deque<Deadline> in_flight_;  // by deadline; entries of answered requests are skipped
};

std::vector<Step> ParseSchedule(const std::string& text) {
  std::vector<Step> steps;
  const char* at = text.c_str();
  while (*at != '\0') {
    Step step;
    int used = 0;
    if (std::sscanf(at, "%lf:%lf%n", &step.seconds, &step.rps, &used) != 2 || step.seconds <= 0 ||
        step.rps < 0) {
      return {};
    }
    steps.push_back(step);
    at += used;
    if (*at == ',') ++at;
  }
  return steps;
}

// Empty when one of them is none.
std::vector<int> ParsePorts(std::string_view text) {
  std::vector<int> ports;
  while (!text.empty()) {
    const size_t length = std::min(text.find(','), text.size());
    int port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + length, port);
    if (error != std::errc() || end != text.data() + length || port < 1 || port > 65535) return {};
    ports.push_back(port);
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return ports;
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--port") options.ports = ParsePorts(value);
    if (flag == "--path") options.path = value;
    if (flag == "--schedule") options.schedule = ParseSchedule(value);
    if (flag == "--steer") options.steer = value;
    if (flag == "--out") options.out = value;
    if (flag == "--summary") options.summary = value;
    if (flag == "--seed") options.seed = std::strtoull(value.c_str(), nullptr, 10);
  }
  if (options.ports.empty() || options.schedule.empty() || argc % 2 == 0) {
    std::fputs(
        "usage: demo-load --port PORT,... --schedule SECONDS:RPS,... [--steer FILE] [--path /]\n"
        "                 [--out FILE] [--summary FILE] [--seed N]\n",
        stderr);
    std::exit(2);
  }
  return options;
}

}  // namespace
}  // namespace autoscale::demo

int main(int argc, char** argv) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  autoscale::demo::Load(autoscale::demo::ParseOptions(argc, argv)).Run();
}
