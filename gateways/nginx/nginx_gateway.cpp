#include "gateways/nginx/nginx_gateway.h"

#include <filesystem>
#include <utility>

#include "gateways/nginx/messages.h"

namespace autoscale {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

class NginxGateway : public Gateway {
 public:
  NginxGateway(const GatewayContext& context, std::shared_ptr<const NginxOptions> options)
      : loop_(context.loop),
        http_(context.http),
        context_("gateway " + context.name + " at " + options->address),
        options_(std::move(options)) {}

  [[nodiscard]] GatewayCapabilities capabilities() const override {
    return {.settle = options_->settle, .counts_in_flight = true, .persists = true};
  }

  void Publish(UpstreamList list, std::function<void(Status)> done) override {
    const std::string context = context_ + ": push of " + list.upstream;
    HttpRequest request = Request("PUT", "/upstreams/" + list.upstream);
    request.headers = {{"Content-Type", "application/json"}};
    Status status = FillBody(list, request);
    if (!status) {
      loop_.Post([error = std::move(status).error().Within(context), done = std::move(done)] {
        done(error);
      });
      return;
    }
    http_.Send(std::move(request), [context, done = std::move(done)](Result<HttpResponse> answer) {
      if (!answer) return done(std::move(answer).error().Within(context));
      Status judged = nginx::JudgePush(answer->status, answer->body);
      if (!judged) return done(std::move(judged).error().Within(context));
      done(Ok{});
    });
  }

  void Inspect(std::vector<std::string> upstreams,
               std::function<void(Result<std::vector<UpstreamStatus>>)> done) override {
    http_.Send(Request("GET", "/upstreams"), [context = context_ + ": inspect",
                                              upstreams = std::move(upstreams),
                                              done = std::move(done)](Result<HttpResponse> answer) {
      if (!answer) return done(std::move(answer).error().Within(context));
      if (answer->status != 200) {
        return done(nginx::JudgePush(answer->status, answer->body).error().Within(context));
      }
      Result<std::vector<UpstreamStatus>> parsed = nginx::ParseUpstreams(answer->body, upstreams);
      if (!parsed) return done(std::move(parsed).error().Within(context));
      done(std::move(parsed));
    });
  }

 private:
  [[nodiscard]] HttpRequest Request(std::string method, const std::string& path) const {
    HttpRequest request;
    request.method = std::move(method);
    request.url = options_->url + path;
    request.unix_socket = options_->unix_socket;
    request.timeout = options_->timeout;
    return request;
  }

  static Status FillBody(const UpstreamList& list, HttpRequest& request) {
    if (!nginx::IsUpstreamName(list.upstream)) {
      return Error{ErrorKind::kInvalid,
                   "'" + list.upstream +
                       "' is not a name that nginx takes: use letters, digits, '_', '-' and '.'"};
    }
    Result<std::string> body = nginx::PushBody(list);
    if (!body) return std::move(body).error();
    request.body = std::move(body).value();
    return Ok{};
  }

  EventLoop& loop_;
  HttpClient& http_;
  std::string context_;
  std::shared_ptr<const NginxOptions> options_;
};

// Makes the path absolute, from the folder of the file that names it.
std::string ResolvePath(const Section& section, std::string_view path) {
  const std::filesystem::path folder = std::filesystem::absolute(section.file()).parent_path();
  return (folder / path).lexically_normal().string();
}

bool ParseAddress(Section& section, NginxOptions& options) {
  std::string address = section.RequiredString("address");
  if (address.empty()) return false;  // told by RequiredString
  if (address.starts_with(kUnixPrefix)) {
    const std::string path = address.substr(kUnixPrefix.size());
    options.unix_socket = ResolvePath(section, path);
    options.url = "http://autoscaled";
    options.address = std::string(kUnixPrefix) + options.unix_socket;
    if (path.empty()) {
      section.Fault("address", "'unix:' lacks the socket's path: unix:/run/nginx-control.sock");
      return false;
    }
    return section.FitsSocket("address", options.unix_socket);
  }
  while (address.ends_with('/')) address.pop_back();
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (address.starts_with(scheme) && address.size() > scheme.size()) {
      options.url = options.address = std::move(address);
      return true;
    }
  }
  section.Fault("address", "'" + address +
                               "' is not an address: write unix:run/nginx-control.sock or "
                               "http://127.0.0.1:8081");
  return false;
}

}  // namespace

std::shared_ptr<const GatewayOptions> ParseNginxOptions(Section& section, const std::string&) {
  using std::chrono::milliseconds;
  using std::chrono::minutes;
  auto options = std::make_shared<NginxOptions>();
  const bool usable = ParseAddress(section, *options);
  options->timeout =
      section.Duration("timeout", options->timeout, {.min = milliseconds(10), .max = minutes(1)});
  options->settle =
      section.Duration("settle", options->settle, {.min = milliseconds(0), .max = minutes(1)});
  if (!usable) return nullptr;
  return options;
}

Result<std::unique_ptr<Gateway>> CreateNginxGateway(const GatewayContext& context) {
  auto options = std::dynamic_pointer_cast<const NginxOptions>(context.options);
  if (!options) {
    return Error{ErrorKind::kInternal, "gateway " + context.name + ": its options are not nginx's"};
  }
  return std::unique_ptr<Gateway>(std::make_unique<NginxGateway>(context, std::move(options)));
}

}  // namespace autoscale
