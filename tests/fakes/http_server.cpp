#include "tests/fakes/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

namespace autoscale {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);
constexpr std::chrono::milliseconds kDripEvery{20};

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Reads more into `buffer`; false at the end of the connection.
bool Receive(int fd, std::string& buffer) {
  char chunk[16384];
  const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
  if (n <= 0) return false;
  buffer.append(chunk, static_cast<size_t>(n));
  return true;
}

FakeRequest ParseHead(std::string_view head) {
  FakeRequest request;
  size_t line_end = head.find("\r\n");
  const std::string_view first = head.substr(0, line_end);
  const size_t space = first.find(' ');
  const size_t second = first.rfind(' ');
  request.method = first.substr(0, space);
  if (second > space) request.target = first.substr(space + 1, second - space - 1);
  while (line_end != std::string_view::npos) {
    head.remove_prefix(line_end + 2);
    line_end = head.find("\r\n");
    const std::string_view line = head.substr(0, line_end);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const size_t value = line.find_first_not_of(' ', colon + 1);
    request.headers.emplace_back(
        Lower(std::string(line.substr(0, colon))),
        value == std::string_view::npos ? std::string() : std::string(line.substr(value)));
  }
  return request;
}

// The next request of the connection; bytes of the one after stay in `buffer`.
std::optional<FakeRequest> ReadRequest(int fd, std::string& buffer) {
  size_t head_end;
  while ((head_end = buffer.find("\r\n\r\n")) == std::string::npos) {
    if (!Receive(fd, buffer)) return std::nullopt;
  }
  FakeRequest request = ParseHead(std::string_view(buffer).substr(0, head_end));
  buffer.erase(0, head_end + 4);
  const size_t length = std::strtoul(request.Header("content-length").c_str(), nullptr, 10);
  while (buffer.size() < length) {
    if (!Receive(fd, buffer)) return std::nullopt;
  }
  request.body = buffer.substr(0, length);
  buffer.erase(0, length);
  return request;
}

std::string Render(const FakeAnswer& answer, bool head_only) {
  std::string text = "HTTP/1.1 " + std::to_string(answer.status) +
                     " Fake\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\n";
  for (const auto& [name, value] : answer.headers) text += name + ": " + value + "\r\n";
  if (answer.close) text += "Connection: close\r\n";
  text += "\r\n";
  if (head_only) return text;
  const bool cut = answer.ending == FakeAnswer::Ending::kCut;
  return text + answer.body.substr(0, cut ? answer.body.size() / 2 : std::string::npos);
}

int Listen(int fd, const sockaddr* address, socklen_t size) {
  if (fd < 0) Die("fake http server: socket");
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, address, size) != 0) Die("fake http server: bind");
  if (::listen(fd, 512) != 0) Die("fake http server: listen");
  return fd;
}

}  // namespace

struct Gate::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
};

Gate::Gate() : state_(std::make_shared<State>()) {}

void Gate::Open() {
  const std::lock_guard lock(state_->mutex);
  state_->open = true;
  state_->changed.notify_all();
}

void Gate::Wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->open; });
}

struct FakeStream::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::string unsent;
  bool ended = false;

  // What is there to send, after waiting for it; empty: the end.
  std::string Take() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return ended || !unsent.empty(); });
    return std::exchange(unsent, {});
  }
};

FakeStream::FakeStream() : state_(std::make_shared<State>()) {}

void FakeStream::Push(std::string text) {
  const std::lock_guard lock(state_->mutex);
  state_->unsent += text;
  state_->changed.notify_all();
}

void FakeStream::End() {
  const std::lock_guard lock(state_->mutex);
  state_->ended = true;
  state_->changed.notify_all();
}

std::string FakeRequest::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

// Shared with the threads, which outlive nothing: Stop waits until none is left.
struct FakeHttpServer::State {
  int listener = -1;
  int port = 0;
  std::string path;  // of the unix socket

  std::mutex mutex;
  std::condition_variable changed;
  Handler handler;
  std::map<std::string, FakeAnswer> answers;
  std::vector<FakeRequest> requests;
  std::set<int> open;                        // fds of connections
  std::vector<std::shared_ptr<Gate>> gates;  // that answers have waited at
  std::vector<std::shared_ptr<FakeStream>> streams;
  int accepted = 0;
  int threads = 0;
  bool stopping = false;

  std::mutex handler_mutex;  // one request at a time

  void Accept();
  void Serve(int fd, int number);
  bool Respond(int fd, const FakeRequest& request);
  FakeAnswer Choose(const FakeRequest& request);
  void WaitAt(const std::shared_ptr<Gate>& gate);
  bool Stops(std::chrono::milliseconds within);
  void SendWithoutEnd(int fd, const FakeAnswer& answer);
  void SendStream(int fd, const std::shared_ptr<FakeStream>& stream);
  template <typename Condition>
  bool WaitUntil(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, condition);
  }
  void Leave() {
    const std::lock_guard lock(mutex);
    --threads;
    changed.notify_all();
  }
};

void FakeHttpServer::State::Accept() {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    const std::lock_guard lock(mutex);
    if (stopping) {
      if (fd >= 0) ::close(fd);
      return;
    }
    if (fd < 0) continue;
    open.insert(fd);
    ++threads;
    std::thread([this, fd, number = ++accepted] {
      Serve(fd, number);
      Leave();
    }).detach();
  }
}

void FakeHttpServer::State::Serve(int fd, int number) {
  std::string buffer;
  while (std::optional<FakeRequest> request = ReadRequest(fd, buffer)) {
    request->connection = number;
    {
      const std::lock_guard lock(mutex);
      requests.push_back(*request);
      changed.notify_all();
    }
    if (!Respond(fd, *request)) break;
  }
  const std::lock_guard lock(mutex);  // Stop must not shut down a number that is somebody else's
  open.erase(fd);
  ::close(fd);
  changed.notify_all();
}

// False: the connection is to be closed.
bool FakeHttpServer::State::Respond(int fd, const FakeRequest& request) {
  const FakeAnswer answer = Choose(request);
  if (answer.gate) WaitAt(answer.gate);
  if (answer.delay.count() > 0 && Stops(answer.delay)) return false;
  if (answer.ending == FakeAnswer::Ending::kDrop) return false;
  if (answer.ending == FakeAnswer::Ending::kHang) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return stopping; });
    return false;
  }
  if (answer.stream) {
    SendStream(fd, answer.stream);
    return false;
  }
  if (!answer.raw.empty()) {
    SendAll(fd, answer.raw);
    return false;
  }
  if (answer.ending == FakeAnswer::Ending::kDrip || answer.ending == FakeAnswer::Ending::kEndless) {
    SendWithoutEnd(fd, answer);
    return false;
  }
  const bool sent = SendAll(fd, Render(answer, request.method == "HEAD"));
  return sent && answer.ending == FakeAnswer::Ending::kComplete && !answer.close;
}

// Whether the server stops within that time, which is waited.
bool FakeHttpServer::State::Stops(std::chrono::milliseconds within) {
  std::unique_lock lock(mutex);
  return changed.wait_for(lock, within, [this] { return stopping; });
}

void FakeHttpServer::State::SendWithoutEnd(int fd, const FakeAnswer& answer) {
  const bool drips = answer.ending == FakeAnswer::Ending::kDrip;
  const std::string length =
      drips ? "Content-Length: " + std::to_string(answer.body.size()) + "\r\n" : "";
  bool sent = SendAll(fd, "HTTP/1.1 200 Fake\r\n" + length + "\r\n");
  if (!drips) {
    while (sent && !Stops(std::chrono::milliseconds(0))) sent = SendAll(fd, answer.body);
    return;
  }
  for (size_t i = 0; sent && i < answer.body.size() && !Stops(kDripEvery); ++i) {
    sent = SendAll(fd, std::string_view(answer.body).substr(i, 1));
  }
}

void FakeHttpServer::State::SendStream(int fd, const std::shared_ptr<FakeStream>& stream) {
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
    streams.push_back(stream);
  }
  bool sent = SendAll(fd, "HTTP/1.1 200 Fake\r\nContent-Type: application/json\r\n\r\n");
  for (std::string text; sent && !(text = stream->state_->Take()).empty();)
    sent = SendAll(fd, text);
}

FakeAnswer FakeHttpServer::State::Choose(const FakeRequest& request) {
  Handler chosen;
  {
    const std::lock_guard lock(mutex);
    const auto it = answers.find(request.target.substr(0, request.target.find('?')));
    if (it != answers.end()) return it->second;
    chosen = handler;
  }
  if (!chosen) return FakeAnswer{.status = 404, .body = "nothing here\n"};
  const std::lock_guard lock(handler_mutex);
  return chosen(request);
}

void FakeHttpServer::State::WaitAt(const std::shared_ptr<Gate>& gate) {
  {
    const std::lock_guard lock(mutex);
    if (stopping) return;
    gates.push_back(gate);
  }
  gate->Wait();
}

FakeHttpServer::FakeHttpServer(int port) : state_(std::make_shared<State>()) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  state_->listener = Listen(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                            reinterpret_cast<sockaddr*>(&address), sizeof address);
  socklen_t size = sizeof address;
  ::getsockname(state_->listener, reinterpret_cast<sockaddr*>(&address), &size);
  state_->port = ntohs(address.sin_port);
  state_->threads = 1;
  std::thread([state = state_] {
    state->Accept();
    state->Leave();
  }).detach();
}

FakeHttpServer::FakeHttpServer(const std::string& unix_socket) : state_(std::make_shared<State>()) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (unix_socket.size() >= sizeof address.sun_path) Die("fake http server: socket path too long");
  std::memcpy(address.sun_path, unix_socket.c_str(), unix_socket.size() + 1);
  ::unlink(unix_socket.c_str());
  state_->listener = Listen(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                            reinterpret_cast<sockaddr*>(&address), sizeof address);
  state_->path = unix_socket;
  state_->threads = 1;
  std::thread([state = state_] {
    state->Accept();
    state->Leave();
  }).detach();
}

FakeHttpServer::~FakeHttpServer() { Stop(); }

void FakeHttpServer::Stop() {
  std::unique_lock lock(state_->mutex);
  if (state_->listener < 0) return;
  state_->stopping = true;
  state_->changed.notify_all();
  ::shutdown(state_->listener, SHUT_RDWR);  // ends accept
  for (const int fd : state_->open) ::shutdown(fd, SHUT_RDWR);
  for (const auto& gate : state_->gates) gate->Open();
  for (const auto& stream : state_->streams) stream->End();
  state_->changed.wait(lock, [this] { return state_->threads == 0; });
  ::close(state_->listener);
  state_->listener = -1;
  if (!state_->path.empty()) ::unlink(state_->path.c_str());
}

void FakeHttpServer::Handle(Handler handler) {
  const std::lock_guard lock(state_->mutex);
  state_->handler = std::move(handler);
}

void FakeHttpServer::Answer(const std::string& path, FakeAnswer answer) {
  const std::lock_guard lock(state_->mutex);
  state_->answers[path] = std::move(answer);
}

void FakeHttpServer::Answer(const std::string& path, std::string body, int status) {
  Answer(path, FakeAnswer{.status = status, .body = std::move(body)});
}

int FakeHttpServer::port() const { return state_->port; }
std::string FakeHttpServer::address() const { return "127.0.0.1:" + std::to_string(port()); }
std::string FakeHttpServer::Url(std::string_view path) const {
  return "http://" + (state_->path.empty() ? address() : "localhost") + std::string(path);
}

std::vector<FakeRequest> FakeHttpServer::requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->requests;
}

int FakeHttpServer::connections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->accepted;
}

bool FakeHttpServer::WaitForRequests(size_t count) const {
  return state_->WaitUntil([this, count] { return state_->requests.size() >= count; });
}

bool FakeHttpServer::WaitForOpenConnections(int at_most) const {
  return state_->WaitUntil(
      [this, at_most] { return static_cast<int>(state_->open.size()) <= at_most; });
}

}  // namespace autoscale
