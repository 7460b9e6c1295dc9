// What nginx answers, and what is sent to it.
//
// Input: what the rest is ('0' the body of a look, '1' a status and the body of a push's answer,
// '2' a list to push: endpoints on lines, '3' the bytes on the wire that answer a look, '4' those
// that answer a push), then the text.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "gateways/nginx/messages.h"
#include "gateways/nginx/nginx_gateway.h"
#include "tests/fuzz/fuzz.h"

namespace autoscale::fuzz {
namespace {

const std::vector<std::string> kAsked = {"shop", "web-1", "unknown"};

using Statuses = Result<std::vector<UpstreamStatus>>;

void CheckStatuses(const Statuses& statuses) {
  if (!statuses.ok()) {
    Expect(statuses.error().kind != ErrorKind::kInternal, "nginx's fault is not ours");
    return ExpectMessage(statuses.error().message);
  }
  Expect(statuses->size() == kAsked.size(), "what was asked for is answered");
  for (size_t i = 0; i < kAsked.size(); ++i) {
    Expect((*statuses)[i].upstream == kAsked[i], "in the order in which it was asked");
    for (const EndpointLoad& load : (*statuses)[i].endpoints) {
      Expect(load.in_flight >= 0, "no requests below 0", load.address);
      Expect(load.address.find(':') != std::string::npos, "an address has a port", load.address);
    }
  }
}

void CheckPushed(const Status& status) {
  if (status.ok()) return;
  ExpectMessage(status.error().message);
}

std::string Summary(const Statuses& statuses) {
  if (!statuses.ok()) return statuses.error().message;
  std::string text;
  for (const UpstreamStatus& status : *statuses) {
    text += status.upstream + " " + std::to_string(status.version.epoch) + "." +
            std::to_string(status.version.sequence) + "\n";
    for (const EndpointLoad& load : status.endpoints) {
      text += load.address + " " + std::to_string(load.in_flight) + "\n";
    }
  }
  return text;
}

void CheckLook(std::string_view body) {
  const Statuses statuses = nginx::ParseUpstreams(body, kAsked);
  CheckStatuses(statuses);
  Expect(Summary(statuses) == Summary(nginx::ParseUpstreams(body, kAsked)),
         "the same body means the same");
}

void CheckPush(std::string_view text) {
  static constexpr int kStatuses[] = {200, 201, 302, 400, 404, 409, 413, 422, 500, 503};
  const int status = kStatuses[TakeChoice(text, std::size(kStatuses))];
  const Status judged = nginx::JudgePush(status, text);
  CheckPushed(judged);
  Expect(judged.ok() == (status == 200), "only 200 is a success");
}

void CheckList(std::string_view text) {
  UpstreamList list{.upstream = "shop", .version = {.epoch = 3, .sequence = 14}, .endpoints = {}};
  while (!text.empty()) {
    const Endpoint::State state =
        TakeChoice(text, 2) == 0 ? Endpoint::State::kServing : Endpoint::State::kDraining;
    list.endpoints.push_back(
        {.address = std::string(TakeUntil(text, "\n")), .weight = 100, .state = state});
  }
  const Result<std::string> body = nginx::PushBody(list);
  if (!body.ok()) return ExpectMessage(body.error().message);
  const nlohmann::json json = nlohmann::json::parse(*body, nullptr, false);
  Expect(json.is_object() && json["peers"].size() == list.endpoints.size(), "a push is JSON",
         *body);
  for (const auto& peer : json["peers"]) {
    const int port = peer["port"].get<int>();
    Expect(port >= 1 && port <= 65535, "a port is a port", *body);
    Expect(!peer["host"].get<std::string>().empty(), "a host is something", *body);
  }
}

// nginx, as far as a socket is concerned: answers each connection with the same bytes and ends it.
class Server {
 public:
  explicit Server(EventLoop& loop) : loop_(loop) {
    path_ = (std::filesystem::temp_directory_path() /
             ("autoscale-fuzz-" + std::to_string(getpid()) + ".sock"))
                .string();
    unlink(path_.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    Expect(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
               listen(listener_, 16) == 0,
           "a socket to listen at", path_);
    loop_.Watch(listener_, EPOLLIN, [this](uint32_t) { Accept(); });
  }
  ~Server() {
    loop_.Unwatch(listener_);
    close(listener_);
    unlink(path_.c_str());
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  void Answer(std::string_view bytes) { bytes_ = bytes; }
  void HangUp() {
    for (const int connection : connections_) close(connection);
    connections_.clear();
  }

 private:
  void Accept() {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) return;
    connections_.push_back(connection);
    // All at once: inputs are shorter than what a socket takes without being read.
    static_cast<void>(send(connection, bytes_.data(), bytes_.size(), MSG_NOSIGNAL));
    shutdown(connection, SHUT_WR);
  }

  EventLoop& loop_;
  std::string path_;
  std::string_view bytes_;
  int listener_ = -1;
  std::vector<int> connections_;
};

// The gateway and the server on one loop, which runs on this thread.
class Wire {
 public:
  Wire() : http_(loop_, 8), server_(loop_) {
    NginxOptions options;
    options.address = "unix:" + server_.path();
    options.unix_socket = server_.path();
    options.url = "http://autoscaled";
    options.timeout = std::chrono::seconds(30);
    gateway_ = CreateNginxGateway({.loop = loop_,
                                   .http = http_,
                                   .name = "edge",
                                   .options = std::make_shared<NginxOptions>(options)})
                   .value();
  }

  void Look(std::string_view bytes) {
    Exchange(bytes, [this](int& answers) {
      gateway_->Inspect(kAsked, [this, &answers](Statuses statuses) {
        ++answers;
        CheckStatuses(statuses);
        loop_.Stop();
      });
    });
  }

  void Push(std::string_view bytes) {
    Exchange(bytes, [this](int& answers) {
      gateway_->Publish({.upstream = "shop", .version = {.epoch = 1, .sequence = 1}},
                        [this, &answers](Status status) {
                          ++answers;
                          CheckPushed(status);
                          loop_.Stop();
                        });
    });
  }

 private:
  template <typename Ask>
  void Exchange(std::string_view bytes, Ask ask) {
    int answers = 0;
    server_.Answer(bytes);
    loop_.Post([&] { ask(answers); });
    loop_.Run();
    server_.HangUp();
    Expect(answers == 1, "one question, one answer");
  }

  EventLoop loop_;
  HttpClient http_;
  Server server_;
  std::unique_ptr<Gateway> gateway_;
};

void Run(std::string_view text) {
  static Wire wire;
  switch (TakeChoice(text, 5)) {
    case 0:
      return CheckLook(text);
    case 1:
      return CheckPush(text);
    case 2:
      return CheckList(text);
    case 3:
      return wire.Look(text);
    default:
      return wire.Push(text);
  }
}

}  // namespace
}  // namespace autoscale::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  autoscale::fuzz::Run(autoscale::fuzz::ToText(data, size));
  return 0;
}
