// HttpKeyring: what lets a request in. Secret files are read again when they change; tokens of
// OAuth 2.0 are cached, and fetched anew before they end.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/http_client.h"
#include "providers/http/options.h"

namespace autoscale {

using SteadyTime = std::chrono::steady_clock::time_point;
using SteadyClock = std::function<SteadyTime()>;

struct HttpAuthorization {
  std::vector<std::pair<std::string, std::string>> headers;
  std::string username, password;  // basic authentication, when there is a name
  bool operator==(const HttpAuthorization&) const = default;
  // Takes the secrets out of a text that somebody else wrote.
  [[nodiscard]] std::string Scrub(std::string text) const;
};

class HttpKeyring {
 public:
  using Callback = std::function<void(Result<HttpAuthorization>)>;

  HttpKeyring(HttpClient& http, SteadyClock now) : http_(http), now_(std::move(now)) {}

  // Calls back at once, or once a token is there, within `timeout` of the first who waits for it.
  // `refused`: an answer of before that let nobody in; null: none.
  void Get(const HttpAccess& access, const HttpAuthorization* refused, Millis timeout,
           Callback done);

 private:
  struct SecretFile {
    std::string stamp;  // what the file system says of it
    std::string text;
  };
  struct Token {
    std::string text;  // empty: there is none
    SteadyTime renew_at, ends;
    std::vector<Callback> waiting;
    bool busy = false;
  };

  Result<std::string> Read(const SecretRef& ref, bool anew);
  void GetToken(const HttpAccess& access, const HttpAuthorization* refused, Millis timeout,
                Callback done);
  void Fetch(const HttpAccess& access, const std::string& secret, Token& token, Millis timeout);
  void TakeToken(Token& token, const std::string& url, const Result<HttpResponse>& answer);
  void Tell(Token& token, const Result<HttpAuthorization>& told);

  HttpClient& http_;
  SteadyClock now_;
  std::map<std::string, SecretFile> files_;
  std::map<std::string, Token> tokens_;  // by HttpAccess::Key
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale
