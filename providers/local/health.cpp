#include "providers/local/health.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "providers/local/unique_fd.h"

namespace autoscale {
namespace {

using Done = std::function<void(Status)>;

Error Unhealthy(std::string phrase) { return {ErrorKind::kUnavailable, std::move(phrase)}; }

// The kind of a check that could not be made, for want of a descriptor or memory of ours.
ErrorKind KindOf(int fault) {
  const bool ours = fault == EMFILE || fault == ENFILE || fault == ENOBUFS || fault == ENOMEM;
  return ours ? ErrorKind::kExhausted : ErrorKind::kUnavailable;
}

void CheckHttp(HttpClient& http, const HealthOptions& options, const std::string& endpoint,
               std::weak_ptr<void> owner, Done done) {
  HttpRequest request;
  request.url = "http://" + endpoint + options.path;
  request.timeout = options.timeout;
  request.max_answer_bytes = 1u << 20;  // a page that says how it feels is fine, a download is not
  // Each time anew: an instance that accepts no connections any more is not healthy.
  request.keep_alive = false;
  if (!options.body.empty()) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = options.body;
  }
  std::string what = request.method + " " + options.path;
  http.Send(std::move(request),
            [owner = std::move(owner), done = std::move(done), what = std::move(what),
             contains = options.contains](Result<HttpResponse> answer) {
              if (owner.expired()) return;
              if (!answer.ok()) return done(std::move(answer).error());
              if (answer->status / 100 != 2) {
                return done(Unhealthy(what + " answered " + std::to_string(answer->status)));
              }
              if (answer->body.find(contains) == std::string::npos) {
                return done(Unhealthy(what + " answered without '" + contains + "'"));
              }
              done(Ok{});
            });
}

// A connection under way. It keeps itself alive through the loop's callbacks until it is settled.
class TcpCheck : public std::enable_shared_from_this<TcpCheck> {
 public:
  TcpCheck(EventLoop& loop, std::weak_ptr<void> owner, Done done)
      : loop_(loop), owner_(std::move(owner)), done_(std::move(done)) {}

  void Start(const std::string& host, int port, Millis timeout) {
    sockaddr_storage address{};
    const socklen_t size = Read(host, port, address);
    errno = EAFNOSUPPORT;  // of an address that is none
    if (size > 0) {
      fd_ = UniqueFd(socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    }
    if (!fd_ || (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 &&
                 errno != EINPROGRESS)) {
      loop_.Post([self = shared_from_this(), fault = errno] { self->Settle(fault); });
      return;
    }
    watched_ = true;
    loop_.Watch(fd_.get(), EPOLLOUT, [self = shared_from_this()](uint32_t) { self->Connected(); });
    timer_ = loop_.After(timeout, [self = shared_from_this()] { self->Settle(ETIMEDOUT); });
  }

 private:
  // "10.0.0.1" or "[fd00::1]"; its size, 0 when it is neither.
  static socklen_t Read(const std::string& host, int port, sockaddr_storage& address) {
    if (host.starts_with('[') && host.ends_with(']')) {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(static_cast<uint16_t>(port));
      const std::string bare = host.substr(1, host.size() - 2);
      return inet_pton(AF_INET6, bare.c_str(), &v6.sin6_addr) == 1 ? sizeof v6 : 0;
    }
    auto& v4 = reinterpret_cast<sockaddr_in&>(address);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<uint16_t>(port));
    return inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1 ? sizeof v4 : 0;
  }

  void Connected() {
    int fault = 0;
    socklen_t size = sizeof fault;
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &fault, &size);
    if (fault == 0 && IsConnectedToItself()) fault = ECONNREFUSED;
    Settle(fault);
  }

  // Loopback lets a socket meet itself when the kernel picks the very port it dials.
  [[nodiscard]] bool IsConnectedToItself() const {
    sockaddr_storage mine{}, theirs{};
    socklen_t mine_size = sizeof mine, theirs_size = sizeof theirs;
    return getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&mine), &mine_size) == 0 &&
           getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&theirs), &theirs_size) == 0 &&
           mine_size == theirs_size && std::memcmp(&mine, &theirs, mine_size) == 0;
  }

  void Settle(int fault) {
    const auto self = shared_from_this();  // the callbacks below held it
    if (watched_) {
      loop_.Unwatch(fd_.get());
      loop_.Cancel(timer_);
    }
    fd_ = UniqueFd();
    if (owner_.expired()) return;
    if (fault == 0) return done_(Ok{});
    done_(Error{KindOf(fault), std::string("connecting: ") + std::strerror(fault)});
  }

  EventLoop& loop_;
  std::weak_ptr<void> owner_;
  Done done_;
  UniqueFd fd_;
  EventLoop::TimerId timer_ = 0;
  bool watched_ = false;
};

}  // namespace

void CheckHealth(EventLoop& loop, HttpClient& http, const HealthOptions& options,
                 const std::string& host, int port, std::weak_ptr<void> owner, Done done) {
  if (!options.path.empty()) {
    return CheckHttp(http, options, host + ":" + std::to_string(port), std::move(owner),
                     std::move(done));
  }
  std::make_shared<TcpCheck>(loop, std::move(owner), std::move(done))
      ->Start(host, port, options.timeout);
}

HealthWatch::HealthWatch(EventLoop& loop, HttpClient& http, std::string host, int port,
                         Verdict verdict, std::function<void()> changed)
    : loop_(loop),
      http_(http),
      host_(std::move(host)),
      port_(port),
      verdict_(verdict),
      changed_(std::move(changed)) {}

HealthWatch::~HealthWatch() { loop_.Cancel(timer_); }

void HealthWatch::Follow(const HealthOptions& options) {
  options_ = options;
  if (std::exchange(following_, true)) return;  // the next check uses them
  Schedule(NextDelay());
}

void HealthWatch::Schedule(Millis delay) {
  timer_ = loop_.After(delay, [this] { Check(); });
}

void HealthWatch::Check() {
  CheckHealth(loop_, http_, options_, host_, port_, alive_,
              [this](const Status& outcome) { Take(outcome); });
}

void HealthWatch::Take(const Status& outcome) {
  const std::string before = std::exchange(trouble_, outcome.ok() ? "" : outcome.error().message);
  if (!outcome.ok() && outcome.error().kind == ErrorKind::kExhausted) {
    trouble_ = before;  // it says nothing about the instance
    return Schedule(NextDelay());
  }
  const bool healthy = verdict_ == Verdict::kHealthy;
  in_a_row_ = outcome.ok() == healthy ? 0 : in_a_row_ + 1;
  const int enough = healthy ? options_.unhealthy_after : options_.healthy_after;
  const bool changes = in_a_row_ >= enough;
  if (changes) {
    verdict_ = healthy ? Verdict::kUnhealthy : Verdict::kHealthy;
    in_a_row_ = 0;
  }
  Schedule(NextDelay());
  if (changes || trouble_ != before) changed_();
}

// How soon new capacity serves depends on how soon it is noticed: an instance that starts is asked
// after 10, 20, 40, 80, 100, 100... ms.
Millis HealthWatch::NextDelay() {
  constexpr Millis kFirst{10}, kSlowest{100};
  if (verdict_ != Verdict::kUnknown) return options_.interval;
  quick_ = quick_ == Millis(0) ? kFirst : quick_ * 2;
  quick_ = std::min({quick_, kSlowest, options_.interval});
  return quick_;
}

}  // namespace autoscale
