// KubernetesClient: asks an API server and waits for the answer, as a person with kubectl.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "net/http_client.h"

namespace autoscale {

class KubernetesClient {
 public:
  using Json = nlohmann::json;
  struct Answer {
    int status = 0;  // 0: none came
    Json json;
    std::string text;
    [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
  };

  KubernetesClient(std::string url, std::string ca_file, std::string token);
  ~KubernetesClient();
  KubernetesClient(const KubernetesClient&) = delete;
  KubernetesClient& operator=(const KubernetesClient&) = delete;

  // From any thread; each waits at most half a minute.
  Answer Get(const std::string& path) { return Ask("GET", path, "", ""); }
  // A failure of the test when it is not taken.
  Json Create(const std::string& collection, const Json& object);
  Answer Patch(const std::string& path, const Json& patch);
  Answer Delete(const std::string& path, const Json& options = Json::object());
  // Server-side apply of one document of YAML.
  Answer Apply(const std::string& path, const std::string& yaml);
  Answer Ask(const std::string& method, const std::string& path, const std::string& body,
             const std::string& content_type);

 private:
  const std::string url_, ca_file_, token_;
  EventLoop loop_;
  HttpClient http_;
  std::thread thread_;
};

}  // namespace autoscale
