#include "daemon/telemetry/telemetry.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <string_view>
#include <thread>

#include "daemon/telemetry/exposition.h"
#include "engine/model/time.h"

namespace autoscale {
namespace {

// A scrape, a probe and one slow client at a time.
constexpr const char* kThreads = "3";
// A client that neither sends nor reads holds a thread for so long.
constexpr const char* kRequestMillis = "5000";

constexpr const char* kText = "text/plain; charset=utf-8";

struct Answer {
  int status = 200;
  std::string body;
  const char* type = kText;
  const char* more_headers = "";
};

const char* StatusText(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

void Send(mg_connection* connection, const Answer& answer) {
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "Cache-Control: no-store\r\n%sConnection: close\r\n\r\n",
            answer.status, StatusText(answer.status), answer.type, answer.body.size(),
            answer.more_headers);
  mg_write(connection, answer.body.data(), answer.body.size());
}

Answer Probe(const std::function<std::string()>& problem, const char* fine) {
  const std::string sentence = problem ? problem() : std::string();
  if (sentence.empty()) return {.body = std::string(fine) + "\n"};
  return {.status = 503, .body = sentence + "\n"};
}

// Connects and leaves again; whether it succeeds does not matter.
void Knock(const sockaddr_in& address) {
  const int knocking = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (knocking < 0) return;
  (void)connect(knocking, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  close(knocking);
}

// mg_stop of CivetWeb 1.15 waits up to two seconds for its own poll to time out (its issue
// 1163). A connection ends that poll at once.
void Stop(mg_context* server, const sockaddr_in& address) {
  std::atomic<bool> stopped{false};
  std::thread waker([&] {
    while (!stopped) {
      Knock(address);
      std::this_thread::sleep_for(Millis(5));
    }
  });
  mg_stop(server);
  stopped = true;
  waker.join();
}

}  // namespace

struct TelemetryServer::State {
  State(const Counters& counted, TelemetrySources from)
      : counters(counted), sources(std::move(from)) {}
  ~State() {
    if (server != nullptr) Stop(server, address);
    mg_exit_library();
  }

  Answer Handle(std::string_view method, std::string_view path) const;
  static int OnRequest(mg_connection* connection);
  static int OnMessage(const mg_connection* connection, const char* message);

  const Counters& counters;
  const TelemetrySources sources;
  const std::thread::id starter = std::this_thread::get_id();
  std::string first_message;  // of CivetWeb to the starter: why it could not start
  mg_context* server = nullptr;
  sockaddr_in address{};
};

Answer TelemetryServer::State::Handle(std::string_view method, std::string_view path) const {
  const bool known = path == "/metrics" || path == "/healthz" || path == "/readyz";
  if (!known) return {.status = 404, .body = "Try /metrics, /healthz or /readyz.\n"};
  if (method != "GET") {
    return {.status = 405, .body = "Only GET is served here.\n", .more_headers = "Allow: GET\r\n"};
  }
  if (path == "/healthz") return Probe(sources.unhealthy, "healthy");
  if (path == "/readyz") return Probe(sources.unready, "ready");
  const auto services = sources.services ? sources.services() : std::vector<ServiceGauges>();
  const auto usage = sources.usage ? sources.usage() : std::vector<UsageView>();
  return {.body = RenderMetrics(counters, services, usage), .type = kExpositionType};
}

// Called by C code: nothing may be thrown out of it.
int TelemetryServer::State::OnRequest(mg_connection* connection) {
  const mg_request_info* request = mg_get_request_info(connection);
  const auto* state = static_cast<const State*>(request->user_data);
  try {
    const char* path = request->local_uri != nullptr ? request->local_uri : "";
    Send(connection, state->Handle(request->request_method, path));
  } catch (const std::exception& failed) {
    Send(connection, {.status = 500, .body = std::string(failed.what()) + "\n"});
  }
  return 1;  // answered
}

int TelemetryServer::State::OnMessage(const mg_connection* connection, const char* message) {
  auto* state = static_cast<State*>(mg_get_user_data(mg_get_context(connection)));
  // Those of other threads tell of clients that left.
  if (state != nullptr && state->starter == std::this_thread::get_id() &&
      state->first_message.empty()) {
    state->first_message = message;
  }
  return 1;  // do not print it
}

TelemetryServer::TelemetryServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
TelemetryServer::~TelemetryServer() = default;
int TelemetryServer::port() const { return ntohs(state_->address.sin_port); }

Result<std::unique_ptr<TelemetryServer>> TelemetryServer::Start(const std::string& address,
                                                                int port, const Counters& counters,
                                                                TelemetrySources sources) {
  const std::string where = address + ":" + std::to_string(port);
  in_addr parsed{};
  if (inet_pton(AF_INET, address.c_str(), &parsed) != 1 || port < 0 || port > 65535) {
    return Error{ErrorKind::kInvalid, "listen: " + where +
                                          " is not an IPv4 address and port such as "
                                          "127.0.0.1:9464"};
  }
  mg_init_library(0);
  auto state = std::make_unique<State>(counters, std::move(sources));
  const char* options[] = {"listening_ports",    where.c_str(),  "num_threads", kThreads,
                           "request_timeout_ms", kRequestMillis, nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = State::OnRequest;
  callbacks.log_message = State::OnMessage;
  state->server = mg_start(&callbacks, state.get(), options);
  mg_server_port listening{};
  if (state->server == nullptr || mg_get_server_ports(state->server, 1, &listening) != 1) {
    return Error{ErrorKind::kUnavailable,
                 "listen: cannot listen on " + where + " (" + state->first_message +
                     "): end what uses the port, or set another under listen"};
  }
  state->address.sin_family = AF_INET;
  state->address.sin_addr = parsed;
  state->address.sin_port = htons(static_cast<uint16_t>(listening.port));
  return std::unique_ptr<TelemetryServer>(new TelemetryServer(std::move(state)));
}

}  // namespace autoscale
