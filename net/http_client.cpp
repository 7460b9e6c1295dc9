#include "net/http_client.h"

#include <curl/curl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/http_exchange.h"

namespace autoscale {
namespace {

// Idle connections kept for reuse, over all hosts: Prometheus' few and one or two a gateway.
constexpr long kMaxIdleConnections = 256;

// curl has a bound of its own on connections a host, but it takes all unix sockets for one host and
// wakes waiting requests in one queue for all hosts, so that one that hangs would stall the others.
struct Destination {
  int active = 0;
  std::deque<HttpExchange*> waiting;
};

}  // namespace

struct HttpClient::State {
  State(EventLoop& event_loop, int connections);
  ~State();

  EventLoop& loop;
  const int max_active;
  CURLM* multi = nullptr;
  std::unordered_map<HttpExchange*, std::unique_ptr<HttpExchange>> exchanges;
  std::unordered_map<std::string, Destination> destinations;
  std::unordered_map<HttpClient::RequestId, HttpExchange*> by_id;
  std::unordered_set<HttpExchange*> endless;
  HttpClient::RequestId last_id = 0;
  std::unordered_set<int> watched;
  std::optional<EventLoop::TimerId> curl_timer;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);  // outlives us in callbacks

  void Add(std::unique_ptr<HttpExchange> exchange);
  void Start(HttpExchange& exchange);
  std::unique_ptr<HttpExchange> Take(HttpExchange& exchange);
  void OnDeadline(HttpExchange& exchange);
  bool Feed();
  void Act(curl_socket_t fd, int events);
  void OnSocket(curl_socket_t fd, int what);
  void OnTimer(long ms);
};

HttpClient::State::State(EventLoop& event_loop, int connections)
    : loop(event_loop), max_active(std::max(connections, 1)) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  multi = global == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi == nullptr) {
    std::fputs("http client: libcurl does not start\n", stderr);
    std::abort();
  }
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kMaxIdleConnections);
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(
      multi, CURLMOPT_SOCKETFUNCTION, +[](CURL*, curl_socket_t fd, int what, void* self, void*) {
        static_cast<State*>(self)->OnSocket(fd, what);
        return 0;
      });
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(
      multi, CURLMOPT_TIMERFUNCTION, +[](CURLM*, long ms, void* self) {
        static_cast<State*>(self)->OnTimer(ms);
        return 0;
      });
}

HttpClient::State::~State() {
  *alive = false;
  for (const auto& [exchange, owner] : exchanges) {
    loop.Cancel(exchange->deadline);
    if (exchange->active) curl_multi_remove_handle(multi, exchange->easy());
  }
  curl_multi_cleanup(multi);
  for (const int fd : watched) loop.Unwatch(fd);
  if (curl_timer) loop.Cancel(*curl_timer);
}

void HttpClient::State::Add(std::unique_ptr<HttpExchange> owner) {
  HttpExchange& exchange = *owner;
  exchanges.emplace(&exchange, std::move(owner));
  by_id.emplace(exchange.id, &exchange);
  if (exchange.request().on_data) endless.insert(&exchange);
  exchange.deadline =
      loop.After(exchange.request().timeout, [this, &exchange] { OnDeadline(exchange); });
  Destination& destination = destinations[exchange.destination()];
  if (destination.active < max_active) {
    ++destination.active;
    Start(exchange);
  } else {
    destination.waiting.push_back(&exchange);
  }
}

// The destination counts it already.
void HttpClient::State::Start(HttpExchange& exchange) {
  exchange.active = true;
  exchange.Prepare();
  const CURLMcode code = curl_multi_add_handle(multi, exchange.easy());
  if (code != CURLM_OK) {
    std::fprintf(stderr, "http client: %s\n", curl_multi_strerror(code));
    std::abort();
  }
}

// Ends our part in it and lets the next in the queue go.
std::unique_ptr<HttpExchange> HttpClient::State::Take(HttpExchange& exchange) {
  loop.Cancel(exchange.deadline);
  const auto it = destinations.find(exchange.destination());
  Destination& destination = it->second;
  if (!exchange.active) {
    std::erase(destination.waiting, &exchange);
  } else {
    curl_multi_remove_handle(multi, exchange.easy());
    if (destination.waiting.empty()) {
      --destination.active;
    } else {
      HttpExchange& next = *destination.waiting.front();
      destination.waiting.pop_front();
      Start(next);
    }
  }
  if (destination.active == 0) destinations.erase(it);
  endless.erase(&exchange);
  return std::move(exchanges.extract(&exchange).mapped());
}

void HttpClient::State::OnDeadline(HttpExchange& exchange) {
  Error error = exchange.TimedOut();
  const std::unique_ptr<HttpExchange> taken = Take(exchange);
  by_id.erase(taken->id);
  taken->done(std::move(error));
}

// Hands on what came of endless answers, from outside of curl's own callbacks; false: the client
// was destroyed by one of them.
bool HttpClient::State::Feed() {
  const std::shared_ptr<bool> still_alive = alive;
  std::vector<HttpClient::RequestId> ids;
  ids.reserve(endless.size());
  for (const HttpExchange* exchange : endless) ids.push_back(exchange->id);
  for (const HttpClient::RequestId id : ids) {
    const auto it = by_id.find(id);  // may have been cancelled by the one before
    if (it != by_id.end()) it->second->Feed();
    if (!*still_alive) return false;
  }
  return true;
}

void HttpClient::State::Act(curl_socket_t fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi, fd, events, &running);
  const std::shared_ptr<bool> still_alive = alive;
  if (!Feed()) return;
  std::deque<std::pair<std::unique_ptr<HttpExchange>, CURLcode>> finished;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    HttpExchange* exchange = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
    const CURLcode code = message->data.result;  // Take invalidates the message
    finished.emplace_back(Take(*exchange), code);
  }
  for (auto& [exchange, code] : finished) {
    if (!*still_alive) return;  // a callback destroyed the client: the rest is dropped
    if (by_id.erase(exchange->id) == 0) continue;  // a callback cancelled it
    exchange->done(exchange->Finish(code));
  }
}

void HttpClient::State::OnSocket(curl_socket_t fd, int what) {
  if (what == CURL_POLL_REMOVE) {
    watched.erase(fd);
    loop.Unwatch(fd);
    return;
  }
  uint32_t events = 0;
  if ((what & CURL_POLL_IN) != 0) events |= EPOLLIN;
  if ((what & CURL_POLL_OUT) != 0) events |= EPOLLOUT;
  watched.insert(fd);
  loop.Watch(fd, events, [this, fd](uint32_t occurred) {
    int action = 0;
    if ((occurred & EPOLLIN) != 0) action |= CURL_CSELECT_IN;
    if ((occurred & EPOLLOUT) != 0) action |= CURL_CSELECT_OUT;
    if ((occurred & (EPOLLERR | EPOLLHUP)) != 0) action |= CURL_CSELECT_ERR;
    Act(fd, action);
  });
}

void HttpClient::State::OnTimer(long ms) {
  if (curl_timer) loop.Cancel(*curl_timer);
  curl_timer.reset();
  if (ms < 0) return;
  // Even for "at once" not from in here: curl may not be called from its own callback.
  curl_timer = loop.After(Millis(ms), [this] {
    curl_timer.reset();
    Act(CURL_SOCKET_TIMEOUT, 0);
  });
}

HttpClient::HttpClient(EventLoop& loop, int max_connections_per_host)
    : state_(std::make_unique<State>(loop, max_connections_per_host)) {}

HttpClient::~HttpClient() = default;

HttpClient::RequestId HttpClient::Send(HttpRequest request, Callback done) {
  const RequestId id = ++state_->last_id;
  if (Status usable = CheckRequest(request); !usable) {
    state_->loop.Post([alive = state_->alive, error = std::move(usable).error(),
                       callback = std::move(done)]() mutable {
      if (*alive) callback(std::move(error));
    });
    return id;
  }
  auto exchange = std::make_unique<HttpExchange>(std::move(request), std::move(done));
  exchange->id = id;
  state_->Add(std::move(exchange));
  return id;
}

void HttpClient::Cancel(RequestId id) {
  const auto it = state_->by_id.find(id);
  if (it == state_->by_id.end()) return;
  HttpExchange* const exchange = it->second;
  state_->by_id.erase(it);
  if (state_->exchanges.contains(exchange)) state_->Take(*exchange);
}

}  // namespace autoscale
