// demo-backend: what the demo scales. An HTTP/1.1 server that can serve so many requests a second
// and no more: each request occupies its one worker for 1/capacity seconds, the rest queue, and so
// latency grows with load as a real program's does. The worker is a timer, so that twenty
// backends fit on a laptop. Health checks do not queue. SIGTERM: answers what it has accepted,
// then exits.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace {

constexpr size_t kMaxQueue = 20'000;  // beyond it 503: absurdly long for a demo
constexpr size_t kMaxRequestBytes = 64u
                                    << 10;  // head and body; a longer request ends its connection

struct Options {
  in_addr address{htonl(INADDR_LOOPBACK)};
  int port = 0;
  double rps_capacity = 200;
  double boot_seconds = 0;
};

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "demo-backend: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

int64_t NowNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

struct Connection {
  uint64_t serial = 0;  // tells a reused descriptor from the one that asked
  std::string input;
  bool busy = false;  // a request of it is queued or served
};

class Backend {
 public:
  explicit Backend(Options options)
      : options_(options), service_nanos_(static_cast<int64_t>(1e9 / options.rps_capacity)) {}

  int Run() {
    Open();
    while (!(stopping_ && queue_.empty())) {
      epoll_event events[128];
      const int count = epoll_wait(epoll_, events, 128, -1);
      if (count < 0 && errno != EINTR) Die("epoll_wait");
      for (int i = 0; i < count; ++i) Dispatch(events[i].data.fd);
    }
    return 0;
  }

 private:
  struct Job {
    int fd;
    uint64_t serial;
    int64_t done_at;
  };

  void Open() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    usleep(static_cast<useconds_t>(options_.boot_seconds * 1e6));

    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    signal_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(options_.port));
    address.sin_addr = options_.address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("bind");
    if (listen(listener_, 4096) != 0) Die("listen");
    for (const int fd : {signal_, timer_, listener_}) Watch(fd);
  }

  void Watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }

  void Dispatch(int fd) {
    if (fd == listener_) {
      Accept();
    } else if (fd == timer_) {
      Serve();
    } else if (fd == signal_) {
      Stop();
    } else {
      Read(fd);
    }
  }

  void Accept() {
    while (true) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connections_[fd].serial = ++last_serial_;
      Watch(fd);
    }
  }

  void Read(int fd) {
    const auto found = connections_.find(fd);
    if (found == connections_.end()) return;  // closed earlier in this round
    char buffer[16384];
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return Close(fd);
    found->second.input.append(buffer, static_cast<size_t>(got));
    if (found->second.input.size() > kMaxRequestBytes) return Close(fd);
    TakeRequest(fd, found->second);
  }

  // Queues the request at the head of the input, if one is complete and none is under way.
  void TakeRequest(int fd, Connection& connection) {
    if (connection.busy) return;
    const size_t head = connection.input.find("\r\n\r\n");
    if (head == std::string::npos) return;
    const size_t body = BodyBytes(std::string_view(connection.input).substr(0, head));
    if (connection.input.size() < head + 4 + body) return;
    const bool health = connection.input.starts_with("GET /healthz ");
    connection.input.erase(0, head + 4 + body);
    if (health) return Answer(fd, "200 OK", "ok\n");
    if (queue_.size() >= kMaxQueue) return Answer(fd, "503 Service Unavailable", "queue full\n");
    connection.busy = true;
    const int64_t start = std::max(NowNanos(), queue_.empty() ? 0 : queue_.back().done_at);
    queue_.push_back({fd, connection.serial, start + service_nanos_});
    if (queue_.size() == 1) Arm();
  }

  static size_t BodyBytes(std::string_view head) {
    constexpr std::string_view kField = "\r\ncontent-length:";
    for (size_t at = head.find("\r\n"); at != std::string_view::npos;
         at = head.find("\r\n", at + 2)) {
      if (head.size() - at > kField.size() &&
          strncasecmp(head.data() + at, kField.data(), kField.size()) == 0) {
        return std::strtoul(std::string(head.substr(at + kField.size())).c_str(), nullptr, 10);
      }
    }
    return 0;
  }

  void Arm() const {
    itimerspec when{};
    if (!queue_.empty()) {
      const int64_t at = queue_.front().done_at;
      when.it_value = {at / 1'000'000'000, at % 1'000'000'000};
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void Serve() {
    uint64_t expirations = 0;
    if (read(timer_, &expirations, sizeof expirations) < 0) return;
    const int64_t now = NowNanos();
    while (!queue_.empty() && queue_.front().done_at <= now) {
      const Job job = queue_.front();
      queue_.pop_front();
      const auto found = connections_.find(job.fd);
      if (found == connections_.end() || found->second.serial != job.serial) continue;  // hung up
      found->second.busy = false;
      Answer(job.fd, "200 OK", "hello from port " + std::to_string(options_.port) + "\n");
    }
    Arm();
  }

  // Small enough for any socket buffer: a short write means that the client is gone or hostile.
  void Answer(int fd, std::string_view status, const std::string& body) {
    std::string text = "HTTP/1.1 ";
    text.append(status).append("\r\nContent-Type: text/plain\r\nContent-Length: ");
    text.append(std::to_string(body.size()));
    text.append(stopping_ ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n").append(body);
    const ssize_t sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (stopping_ || sent != static_cast<ssize_t>(text.size())) return Close(fd);
    TakeRequest(fd, connections_[fd]);
  }

  void Stop() {
    stopping_ = true;
    Accept();  // whoever has connected already is served
    close(listener_);
    epoll_ctl(epoll_, EPOLL_CTL_DEL, signal_, nullptr);
    for (auto it = connections_.begin(); it != connections_.end();) {
      const int fd = it->first;
      const bool busy = it->second.busy;
      ++it;
      if (!busy) Read(fd);  // a request may have arrived in this very moment
    }
  }

  void Close(int fd) {
    connections_.erase(fd);
    close(fd);
  }

  const Options options_;
  const int64_t service_nanos_;
  int epoll_ = -1, signal_ = -1, timer_ = -1, listener_ = -1;
  bool stopping_ = false;
  uint64_t last_serial_ = 0;
  std::unordered_map<int, Connection> connections_;
  std::deque<Job> queue_;
};

Options Parse(int argc, char** argv) {
  Options options;
  bool known = true;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--address") known = inet_pton(AF_INET, argv[i + 1], &options.address) == 1;
    if (flag == "--port") options.port = std::atoi(argv[i + 1]);
    if (flag == "--rps-capacity") options.rps_capacity = std::atof(argv[i + 1]);
    if (flag == "--boot") options.boot_seconds = std::atof(argv[i + 1]);
  }
  if (!known || options.port <= 0 || options.port > 65535 || options.rps_capacity <= 0 ||
      options.boot_seconds < 0 || argc % 2 == 0) {
    std::fputs(
        "usage: demo-backend --port PORT [--address 127.0.0.1] [--rps-capacity 200] "
        "[--boot SECONDS]\n",
        stderr);
    std::exit(2);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return Backend(Parse(argc, argv)).Run();
}
