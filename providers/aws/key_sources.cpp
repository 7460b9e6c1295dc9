#include "providers/aws/key_sources.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/section.h"
#include "net/http_text.h"
#include "providers/aws/answer.h"

namespace autoscale::aws {
namespace {

using Done = std::function<void(Result<FetchedKeys>)>;
using Json = nlohmann::json;

constexpr size_t kMaxAnswer = 64u << 10;
constexpr const char* kTokenHeader = "X-aws-ec2-metadata-token";
constexpr const char* kTokenSeconds = "300";  // far more than one fetch takes
constexpr const char* kRolePath = "/latest/meta-data/iam/security-credentials/";

Error StatusError(const HttpRequest& request, const HttpResponse& response) {
  const bool passing = response.status == 429 || response.status >= 500;
  Error error{passing ? ErrorKind::kUnavailable : ErrorKind::kForbidden,
              "answered " + std::to_string(response.status)};
  const AwsFault fault = ParseFault(response.body);
  if (!fault.code.empty()) error.message += " (" + fault.code + "): " + fault.message;
  return std::move(error).Within(request.method + " " + ShownUrl(request.url));
}

// The body of a 200.
void Ask(HttpClient& http, HttpRequest request, std::function<void(Result<std::string>)> done) {
  request.max_answer_bytes = kMaxAnswer;
  const HttpRequest shown{.method = request.method, .url = request.url};
  http.Send(std::move(request), [shown, done = std::move(done)](Result<HttpResponse> answer) {
    if (!answer.ok()) return done(std::move(answer).error());
    if (answer->status != 200) return done(StatusError(shown, *answer));
    done(std::move(answer->body));
  });
}

std::string TextIn(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// As containers and instances tell them.
Result<FetchedKeys> ParseJsonKeys(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return Error{ErrorKind::kUnavailable, "the answer is not JSON"};
  const std::string code = TextIn(json, "Code");
  FetchedKeys fetched{.keys = {.id = TextIn(json, "AccessKeyId"),
                               .secret = TextIn(json, "SecretAccessKey"),
                               .token = TextIn(json, "Token")},
                      .expires = ParseTimestamp(TextIn(json, "Expiration"))};
  if (fetched.keys.id.empty() || fetched.keys.secret.empty() ||
      (!code.empty() && code != "Success")) {
    return Error{ErrorKind::kUnavailable,
                 "the answer has no keys" + (code.empty() ? "" : " (" + code + ")")};
  }
  return fetched;
}

// Hands on what came, with the place's name where it failed.
Done From(const char* place, Done done) {
  return [place, done = std::move(done)](Result<FetchedKeys> fetched) {
    if (fetched.ok()) return done(std::move(fetched));
    done(std::move(fetched).error().Within(place));
  };
}

void FetchWebIdentity(HttpClient& http, const KeyPlaces& places, Millis timeout, const Done& done) {
  const auto file = places.environment("AWS_WEB_IDENTITY_TOKEN_FILE").value_or("");
  const auto token = ReadSecret({.from = SecretRef::From::kFile, .name = file});
  if (!token.ok()) return done(token.error());
  HttpRequest request{.method = "POST",
                      .url = places.sts + "/",
                      .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                      .body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15",
                      .timeout = timeout,
                      .ca_file = places.ca_file};
  const auto add = [&](const char* name, const std::string& value) {
    request.body += std::string("&") + name + "=" + FormEscape(value);
  };
  add("RoleArn", places.environment("AWS_ROLE_ARN").value_or(""));
  add("RoleSessionName", places.environment("AWS_ROLE_SESSION_NAME").value_or("autoscaled"));
  add("WebIdentityToken", *token);
  Ask(http, std::move(request), [done](Result<std::string> body) {
    if (!body.ok()) return done(std::move(body).error());
    auto assumed = ParseAssumedRole(*body);
    if (!assumed.ok()) return done(std::move(assumed).error());
    done(FetchedKeys{.keys = assumed->keys, .expires = assumed->expires});
  });
}

void FetchFromContainer(HttpClient& http, const KeyPlaces& places, Millis timeout,
                        const Done& done) {
  const auto relative = places.environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const auto full = places.environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  HttpRequest request{.url = relative ? places.container + *relative : full.value_or(""),
                      .timeout = timeout};
  if (!relative && !IsCredentialUrl(request.url)) {
    return done(Error{ErrorKind::kInvalid,
                      "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or name this machine"});
  }
  if (const auto file = places.environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
    const auto token = ReadSecret({.from = SecretRef::From::kFile, .name = *file});
    if (!token.ok()) return done(token.error());
    request.headers.emplace_back("Authorization", *token);
  } else if (const auto token = places.environment("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
    request.headers.emplace_back("Authorization", *token);
  }
  Ask(http, std::move(request), [done](Result<std::string> body) {
    done(body.ok() ? ParseJsonKeys(*body) : Result<FetchedKeys>(std::move(body).error()));
  });
}

// IMDSv2: a token, the role's name, its keys.
class InstanceFetch : public std::enable_shared_from_this<InstanceFetch> {
 public:
  InstanceFetch(HttpClient& http, std::string origin, Millis timeout, Done done)
      : http_(http), origin_(std::move(origin)), timeout_(timeout), done_(std::move(done)) {}

  void Start() {
    Step({.method = "PUT",
          .url = origin_ + "/latest/api/token",
          .headers = {{std::string(kTokenHeader) + "-ttl-seconds", kTokenSeconds}}},
         [this](const std::string& token) {
           token_ = token;
           AskRole();
         });
  }

 private:
  void AskRole() {
    Step(Get(kRolePath), [this](const std::string& body) {
      const std::string role = body.substr(0, body.find_first_of("\r\n"));
      if (role.empty() || role.find('/') != std::string::npos) {
        return done_(Error{ErrorKind::kForbidden, "the instance has no role"});
      }
      Step(Get(kRolePath + role), [this](const std::string& keys) { done_(ParseJsonKeys(keys)); });
    });
  }

  [[nodiscard]] HttpRequest Get(const std::string& path) const {
    return {.url = origin_ + path, .headers = {{kTokenHeader, token_}}};
  }

  void Step(HttpRequest request, std::function<void(const std::string&)> next) {
    request.timeout = timeout_;
    Ask(http_, std::move(request),
        [self = shared_from_this(), next = std::move(next)](Result<std::string> body) {
          if (body.ok()) return next(*body);
          self->done_(std::move(body).error());
        });
  }

  HttpClient& http_;
  const std::string origin_;
  const Millis timeout_;
  const Done done_;
  std::string token_;
};

Result<FetchedKeys> Lasting(Result<AccessKeys> keys) {
  if (!keys.ok()) return std::move(keys).error();
  return FetchedKeys{.keys = *std::move(keys), .expires = std::nullopt};
}

}  // namespace

bool IsCredentialUrl(const std::string& url) {
  if (url.starts_with("https://")) return true;
  if (!url.starts_with("http://")) return false;
  std::string host = HostOf(url);
  if (host.find('@') != std::string::npos) return false;
  host = host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':'));
  static constexpr std::string_view kHosts[] = {"localhost", "[::1]", "169.254.170.2",
                                                "169.254.170.23", "[fd00:ec2::23]"};
  const bool loopback =
      host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
  return loopback || std::find(std::begin(kHosts), std::end(kHosts), host) != std::end(kHosts);
}

void FetchKeys(HttpClient& http, const KeyPlaces& places, Millis timeout, Done done) {
  const EnvironmentLookup& environment = places.environment;
  if (!places.profile.empty()) return done(Lasting(ReadProfile(environment, places.profile)));
  const auto id = environment("AWS_ACCESS_KEY_ID");
  const auto secret = environment("AWS_SECRET_ACCESS_KEY");
  if (id && secret) {
    const auto token = environment("AWS_SESSION_TOKEN");
    return done(Lasting(AccessKeys{.id = *id, .secret = *secret, .token = token.value_or("")}));
  }
  if (environment("AWS_WEB_IDENTITY_TOKEN_FILE") && environment("AWS_ROLE_ARN")) {
    return FetchWebIdentity(http, places, timeout, From("web identity", std::move(done)));
  }
  auto profile = ReadProfile(environment, "");
  // A `default` that only says a region, say, is none; one that was asked for has to be there.
  if (profile.ok() || environment("AWS_PROFILE")) return done(Lasting(std::move(profile)));
  if (environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
      environment("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
    return FetchFromContainer(http, places, timeout, From("container", std::move(done)));
  }
  if (environment("AWS_EC2_METADATA_DISABLED") == "true") {
    return done(Error{ErrorKind::kForbidden,
                      "none in the environment, the shared files or a container, and the "
                      "instance metadata is switched off (AWS_EC2_METADATA_DISABLED)"});
  }
  std::make_shared<InstanceFetch>(
      http, environment("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or(places.instance), timeout,
      From("instance metadata", std::move(done)))
      ->Start();
}

}  // namespace autoscale::aws
