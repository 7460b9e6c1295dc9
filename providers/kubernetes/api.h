// Api: one cluster's API server, as one account. Knows how to ask it and what its answers mean.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "net/http_client.h"
#include "providers/kubernetes/credentials.h"

namespace autoscale::kubernetes {

struct ApiCall {
  std::string method = "GET";
  std::string path;  // "/apis/apps/v1/namespaces/shop/deployments?limit=250"
  std::string body;
  std::string content_type;
  Millis timeout{10000};
  // Of a watch: what comes of it, as it comes.
  std::function<void(std::string_view)> on_data;
};

class Api {
 public:
  using CallId = uint64_t;
  // The body of a 2xx. An error says what the API server said: kConflict for 409 and 410, kNotFound
  // 404, kForbidden 401 and 403 (its message names verb and resource), kOutOfRange 422, kInvalid
  // the other 4xx, kThrottled 429, else kUnavailable.
  using Callback = std::function<void(Result<std::string>)>;

  Api(EventLoop& loop, HttpClient& http, std::string kubeconfig, std::string context);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Calls back once, never before it returned; not at all after Cancel or the end of this object.
  CallId Send(ApiCall call, Callback done);
  void Cancel(CallId id);

 private:
  struct Pending {
    ApiCall call;
    Callback done;
    std::optional<HttpClient::RequestId> request;
    bool again = false;  // with credentials read anew, after a 401
  };
  void Start(CallId id, bool anew);
  void Ask(CallId id, const ClusterAccess& access);
  void Take(CallId id, Result<HttpResponse> answer);
  void Finish(CallId id, Result<std::string> result);

  HttpClient& http_;
  Credentials credentials_;
  std::map<CallId, Pending> pending_;
  CallId last_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

// What an answer other than 2xx says.
Error ReadFailure(const HttpResponse& answer);

}  // namespace autoscale::kubernetes
