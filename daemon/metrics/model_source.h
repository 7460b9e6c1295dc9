// ModelSource: the seam to models outside, for the tick thread.
#pragma once

#include <functional>

#include "daemon/courier.h"
#include "net/http_client.h"

namespace autoscale {

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // Sends, and calls back on the tick thread, once, within about the request's time-out. Never
  // blocks.
  virtual void Send(HttpRequest request, std::function<void(Result<HttpResponse>)> done) = 0;
};

class HttpModelSource final : public ModelSource {
 public:
  // The client is used on the loop's thread alone; both outlive this.
  HttpModelSource(HttpClient& http, Courier& courier) : http_(http), courier_(courier) {}
  void Send(HttpRequest request, std::function<void(Result<HttpResponse>)> done) override;

 private:
  HttpClient& http_;
  Courier& courier_;
};

}  // namespace autoscale
