#include "daemon/telemetry/http_server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <utility>

#include "net/listener.h"

namespace autoscale {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Millis kComesWithin = std::chrono::seconds(1);  // never, when memory is out
constexpr unsigned kNeverReached = 8;                     // connections beyond our own bound

// Queues the answer; MHD_NO ends the connection without one.
MHD_Result Send(MHD_Connection* connection, HttpAnswer answer) {
  auto body = std::make_unique<std::string>(std::move(answer.body));
  MHD_Response* response = MHD_create_response_from_buffer_with_free_callback_cls(
      body->size(), body->data(), [](void* text) { delete static_cast<std::string*>(text); },
      body.get());
  if (response == nullptr) return MHD_NO;
  (void)body.release();  // the response's
  MHD_add_response_header(response, "Content-Type", answer.type);
  MHD_add_response_header(response, "Cache-Control", "no-store");
  MHD_add_response_header(response, "Connection", "close");
  if (answer.allow != nullptr) MHD_add_response_header(response, "Allow", answer.allow);
  const MHD_Result queued =
      MHD_queue_response(connection, static_cast<unsigned>(answer.status), response);
  MHD_destroy_response(response);
  return queued;
}

// Who is connected, and since when. The bounds are kept here, as those of libmicrohttpd 0.9.75 do
// harm: where a connection too many meets one that begins it keeps its lock for good, and it spins
// in the last second of a time-out.
class Clients {
 public:
  void Came(MHD_Connection* connection) {
    const int fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    {
      const std::lock_guard lock(mutex_);
      clients_[connection] = {.fd = fd, .since = Clock::now()};
      ++came_;
    }
    one_came_.notify_all();
  }
  // Before its descriptor is closed.
  void Went(MHD_Connection* connection) {
    const std::lock_guard lock(mutex_);
    clients_.erase(connection);
  }
  // Adds one and waits until it is among them, or could not be.
  template <typename Add>
  void Await(const Add& add) {
    std::unique_lock lock(mutex_);
    const uint64_t before = came_;
    lock.unlock();
    if (add() != MHD_YES) return;
    lock.lock();
    one_came_.wait_for(lock, kComesWithin, [&] { return came_ > before; });
  }
  [[nodiscard]] size_t count() {
    const std::lock_guard lock(mutex_);
    return clients_.size();
  }
  // Their threads see the end of the connection.
  void TurnOut(Millis patience) {
    const std::lock_guard lock(mutex_);
    for (const auto& [connection, client] : clients_) {
      if (Clock::now() - client.since >= patience) shutdown(client.fd, SHUT_RDWR);
    }
  }

 private:
  struct Client {
    int fd = -1;
    Clock::time_point since;
  };
  std::mutex mutex_;
  std::condition_variable one_came_;
  uint64_t came_ = 0;
  std::map<const MHD_Connection*, Client> clients_;
};

}  // namespace

struct HttpServer::State {
  ~State() {
    listener.reset();  // first: what it takes it hands to the server
    if (server != nullptr) MHD_stop_daemon(server);
  }

  void Take(int connection) {
    clients.TurnOut(limits.patience);
    if (clients.count() >= limits.clients) {
      close(connection);
      return;
    }
    clients.Await([&] {
      const sockaddr_in nobody{.sin_family = AF_INET};
      return MHD_add_connection(server, connection, reinterpret_cast<const sockaddr*>(&nobody),
                                sizeof nobody);
    });
  }

  // Called by C code: nothing may be thrown out of them.
  static MHD_Result OnRequest(void* self, MHD_Connection* connection, const char* url,
                              const char* method, const char* version, const char* upload,
                              size_t* upload_size, void** request);
  static void OnConnection(void* self, MHD_Connection* connection, void** context,
                           MHD_ConnectionNotificationCode code);

  Handler handler;
  HttpServerLimits limits;
  Clients clients;
  MHD_Daemon* server = nullptr;
  std::unique_ptr<Listener> listener;
};

MHD_Result HttpServer::State::OnRequest(void* self, MHD_Connection* connection, const char* url,
                                        const char* method, const char* /*version*/,
                                        const char* /*upload*/, size_t* /*upload_size*/,
                                        void** /*request*/) {
  try {
    return Send(connection, static_cast<State*>(self)->handler(method, url));
  } catch (const std::exception& failed) {
    return Send(connection, {.status = 500, .body = std::string(failed.what()) + "\n"});
  }
}

void HttpServer::State::OnConnection(void* self, MHD_Connection* connection, void** /*context*/,
                                     MHD_ConnectionNotificationCode code) {
  Clients& clients = static_cast<State*>(self)->clients;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    clients.Came(connection);
  } else {
    clients.Went(connection);
  }
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return state_->listener->port(); }

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, int port,
                                                      Handler handler, HttpServerLimits limits) {
  auto listener = Listener::AtPort(address, port);
  if (!listener) return listener.error();
  auto state = std::make_unique<State>();
  state->handler = std::move(handler);
  state->limits = limits;
  // The handler may wait, so each client has a thread; connections come from the listener alone.
  state->server = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_THREAD_PER_CONNECTION |
                                       MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC,
                                   0, nullptr, nullptr, &State::OnRequest, state.get(),
                                   MHD_OPTION_CONNECTION_LIMIT, limits.clients + kNeverReached,
                                   MHD_OPTION_NOTIFY_CONNECTION, &State::OnConnection, state.get(),
                                   MHD_OPTION_END);
  if (state->server == nullptr) {
    return Error{ErrorKind::kExhausted, "libmicrohttpd does not start: no thread or descriptor"};
  }
  state->listener = std::move(listener).value();
  const Status started =
      state->listener->Start([state = state.get()](int connection) { state->Take(connection); });
  if (!started) return started.error();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

}  // namespace autoscale
