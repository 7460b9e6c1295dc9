#include "providers/http/keyring.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "net/http_text.h"

namespace autoscale {
namespace {

using Auth = HttpAccess::Auth;

constexpr size_t kMaxTokenAnswer = 64u << 10;
constexpr size_t kMaxTokenBytes = 16u << 10;
// A token is fetched anew this long before its end, or at four fifths of a short life.
constexpr std::chrono::seconds kRenewBefore{60};
// A renewal that failed is tried again so much later, while the token still holds.
constexpr std::chrono::seconds kRenewAgain{5};
// Of a token that says no end: a 401 tells.
constexpr std::chrono::hours kEndless{24};

std::string Stamp(const struct stat& file) {
  return std::to_string(file.st_ino) + ' ' + std::to_string(file.st_size) + ' ' +
         std::to_string(file.st_mtim.tv_sec) + '.' + std::to_string(file.st_mtim.tv_nsec);
}

// As a header may carry it.
bool IsVisible(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

HttpAuthorization Bearer(const std::string& token) {
  return {.headers = {{"Authorization", "Bearer " + token}}, .username = {}, .password = {}};
}

// The code of an OAuth error: letters and underscores only, for a message.
std::string OAuthError(const nlohmann::json& answer) {
  if (!answer.is_object() || !answer.contains("error") || !answer["error"].is_string()) return {};
  const auto& code = answer["error"].get_ref<const std::string&>();
  const bool plain = code.size() <= 64 && std::all_of(code.begin(), code.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || c == '_';
                     });
  return plain && !code.empty() ? " (" + code + ")" : std::string();
}

struct NewToken {
  std::string text;
  std::chrono::seconds life;
};

Result<NewToken> ParseToken(const HttpResponse& response) {
  const nlohmann::json answer = nlohmann::json::parse(response.body, nullptr, false);
  const std::string status = "answered " + std::to_string(response.status) + OAuthError(answer);
  if (response.status == 429 || response.status >= 500) {
    return Error{ErrorKind::kUnavailable, status};
  }
  if (response.status != 200) {
    return Error{ErrorKind::kForbidden,
                 status + ": gives no token; check client_id, client_secret and scope"};
  }
  const auto text = [&](const char* key) {
    return answer.is_object() && answer.contains(key) && answer[key].is_string()
               ? answer[key].get<std::string>()
               : std::string();
  };
  NewToken token{text("access_token"), kEndless};
  if (!IsVisible(token.text) || token.text.size() > kMaxTokenBytes) {
    return Error{ErrorKind::kUnavailable, "the answer holds no usable access_token"};
  }
  if (answer.contains("expires_in")) {
    const auto& life = answer["expires_in"];
    const double seconds = life.is_number() ? life.get<double>() : 0;
    // Zero, or what is no number: it serves the request at hand.
    token.life = std::chrono::seconds(static_cast<int64_t>(std::clamp(seconds, 0.0, 86400.0)));
  }
  return token;
}

}  // namespace

std::string HttpAuthorization::Scrub(std::string text) const {
  std::vector<std::string> secrets = {password};
  for (const auto& [name, value] : headers) {
    secrets.push_back(value.starts_with("Bearer ") ? value.substr(7) : value);
  }
  for (const std::string& secret : secrets) {
    for (size_t at = 0; !secret.empty() && (at = text.find(secret, at)) != std::string::npos;) {
      text.replace(at, secret.size(), "***");
      at += 3;
    }
  }
  return text;
}

Result<std::string> HttpKeyring::Read(const SecretRef& ref, bool anew) {
  if (ref.from != SecretRef::From::kFile) return ReadSecret(ref);
  struct stat file {};
  // What is no file, such as a pipe, could make us wait.
  if (stat(ref.name.c_str(), &file) == 0 && !S_ISREG(file.st_mode)) {
    return Error{ErrorKind::kInvalid, "the secret in " + ref.name + " is not in a regular file"};
  }
  SecretFile& known = files_[ref.name];
  const std::string stamp = Stamp(file);
  if (!anew && !known.text.empty() && known.stamp == stamp) return known.text;
  auto text = ReadSecret(ref);
  if (text.ok()) known = {stamp, *text};
  return text;
}

void HttpKeyring::Get(const HttpAccess& access, const HttpAuthorization* refused, Millis timeout,
                      Callback done) {
  if (access.auth == Auth::kNone) return done(HttpAuthorization{});
  if (access.auth == Auth::kOAuth2) return GetToken(access, refused, timeout, std::move(done));
  auto secret = Read(access.secret, refused != nullptr);
  if (!secret.ok()) return done(std::move(secret).error());
  if (access.auth == Auth::kBasic) {
    return done(HttpAuthorization{.headers = {}, .username = access.name, .password = *secret});
  }
  if (!std::all_of(secret->begin(), secret->end(),
                   [](unsigned char c) { return c >= ' ' && c < 0x7f; })) {
    return done(Error{ErrorKind::kInvalid, "the secret in " + access.secret.name +
                                               " holds what a header cannot: is it one line?"});
  }
  done(
      access.auth == Auth::kBearer
          ? Bearer(*secret)
          : HttpAuthorization{.headers = {{access.name, *secret}}, .username = {}, .password = {}});
}

void HttpKeyring::GetToken(const HttpAccess& access, const HttpAuthorization* refused,
                           Millis timeout, Callback done) {
  Token& token = tokens_[access.Key()];
  if (refused != nullptr && Bearer(token.text) == *refused) token.text.clear();
  const SteadyTime now = now_();
  // One that is about to end serves while the next is fetched.
  const bool holds = !token.text.empty() && now < token.ends;
  const HttpAuthorization held = Bearer(token.text);
  if (!holds) token.waiting.push_back(std::exchange(done, nullptr));
  if (!token.busy && (!holds || now >= token.renew_at)) {
    token.renew_at = now + kRenewAgain;
    auto secret = Read(access.secret, refused != nullptr);
    if (secret.ok()) {
      Fetch(access, *secret, token, timeout);
    } else {
      Tell(token, secret.error());
    }
  }
  if (done) done(held);
}

void HttpKeyring::Tell(Token& token, const Result<HttpAuthorization>& told) {
  const std::weak_ptr<int> alive = alive_;
  const std::vector<Callback> waiting = std::exchange(token.waiting, {});
  for (const Callback& each : waiting) {
    if (alive.expired()) return;
    each(told);
  }
}

void HttpKeyring::Fetch(const HttpAccess& access, const std::string& secret, Token& token,
                        Millis timeout) {
  token.busy = true;
  HttpRequest request{.method = "POST",
                      .url = access.token_url,
                      .headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                                  {"Accept", "application/json"}},
                      .body = "grant_type=client_credentials",
                      .timeout = timeout,
                      .max_answer_bytes = kMaxTokenAnswer,
                      .ca_file = access.ca_file,
                      .certificate_file = access.certificate_file,
                      .key_file = access.key_file};
  const auto add = [&request](const std::string& name, const std::string& value) {
    request.body += '&' + FormEscape(name) + '=' + FormEscape(value);
  };
  for (const auto& [name, value] : access.form) add(name, value);
  if (access.secret_in_form) {
    add("client_id", access.name);
    add("client_secret", secret);
  } else {
    request.username = FormEscape(access.name);  // RFC 6749, 2.3.1
    request.password = FormEscape(secret);
  }
  // A map's elements stay where they are.
  http_.Send(std::move(request), [this, &token, url = access.token_url,
                                  alive = std::weak_ptr<int>(alive_)](auto answer) {
    if (!alive.expired()) TakeToken(token, url, answer);
  });
}

void HttpKeyring::TakeToken(Token& token, const std::string& url,
                            const Result<HttpResponse>& answer) {
  token.busy = false;
  auto fresh = answer.ok() ? ParseToken(*answer) : Result<NewToken>(answer.error());
  const SteadyTime now = now_();
  if (fresh.ok()) {
    const auto early = std::min<std::chrono::milliseconds>(kRenewBefore, fresh->life / 5);
    token.text = fresh->text;
    token.ends = now + fresh->life;
    token.renew_at = token.ends - early;
    return Tell(token, Bearer(token.text));
  }
  if (now >= token.ends) token.text.clear();
  Error error = std::move(fresh).error();
  if (answer.ok()) error = std::move(error).Within("POST " + ShownUrl(url));
  Tell(token, std::move(error).Within("no token"));
}

}  // namespace autoscale
