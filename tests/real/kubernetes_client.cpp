#include "tests/real/kubernetes_client.h"

#include <gtest/gtest.h>

#include <future>
#include <utility>

namespace autoscale {

KubernetesClient::KubernetesClient(std::string url, std::string ca_file, std::string token)
    : url_(std::move(url)),
      ca_file_(std::move(ca_file)),
      token_(std::move(token)),
      http_(loop_, 4),
      thread_([this] { loop_.Run(); }) {}

KubernetesClient::~KubernetesClient() {
  loop_.Stop();
  thread_.join();
}

KubernetesClient::Answer KubernetesClient::Ask(const std::string& method, const std::string& path,
                                               const std::string& body,
                                               const std::string& content_type) {
  HttpRequest request{.method = method,
                      .url = url_ + path,
                      .body = body,
                      .timeout = std::chrono::seconds(30),
                      .ca_file = ca_file_};
  if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_);
  if (!content_type.empty()) request.headers.emplace_back("Content-Type", content_type);
  std::promise<Answer> promise;
  auto future = promise.get_future();
  loop_.Post([&] {
    http_.Send(std::move(request), [&promise](Result<HttpResponse> answer) {
      if (!answer.ok()) return promise.set_value({.text = answer.error().message});
      promise.set_value({.status = answer->status,
                         .json = Json::parse(answer->body, nullptr, false),
                         .text = answer->body});
    });
  });
  return future.get();
}

KubernetesClient::Json KubernetesClient::Create(const std::string& collection, const Json& object) {
  Answer answer = Ask("POST", collection, object.dump(), "application/json");
  EXPECT_TRUE(answer.ok()) << collection << ": " << answer.text;
  return std::move(answer.json);
}

KubernetesClient::Answer KubernetesClient::Patch(const std::string& path, const Json& patch) {
  return Ask("PATCH", path, patch.dump(), "application/merge-patch+json");
}

KubernetesClient::Answer KubernetesClient::Delete(const std::string& path, const Json& options) {
  return Ask("DELETE", path, options.dump(), "application/json");
}

KubernetesClient::Answer KubernetesClient::Apply(const std::string& path, const std::string& yaml) {
  const char separator = path.find('?') == std::string::npos ? '?' : '&';
  return Ask("PATCH", path + separator + "fieldManager=autoscaled-test", yaml,
             "application/apply-patch+yaml");
}

}  // namespace autoscale
