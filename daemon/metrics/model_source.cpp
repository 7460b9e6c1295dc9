#include "daemon/metrics/model_source.h"

#include <memory>
#include <utility>

namespace autoscale {

void HttpModelSource::Send(HttpRequest request, std::function<void(Result<HttpResponse>)> done) {
  courier_.ToLoop([this, request = std::move(request), done = std::move(done)]() mutable {
    http_.Send(std::move(request), [this, done = std::move(done)](Result<HttpResponse> response) {
      // A task must be copyable.
      auto shared = std::make_shared<Result<HttpResponse>>(std::move(response));
      courier_.ToTick([done, shared] { done(std::move(*shared)); });
    });
  });
}

}  // namespace autoscale
