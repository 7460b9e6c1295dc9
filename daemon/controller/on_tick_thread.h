// Controller::OnTickThread, for the sources that answer other threads.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <utility>

#include "daemon/controller/controller.h"

namespace autoscale {

// How long a question waits for the tick thread, which is busy for milliseconds at most.
inline constexpr std::chrono::seconds kAnswerWithin{5};

template <typename T>
Result<T> Controller::OnTickThread(std::function<Result<T>()> function) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  std::future<Result<T>> answer = promise->get_future();
  // Taken by whoever comes first: what was given up is not carried out later.
  auto taken = std::make_shared<std::atomic<bool>>(false);
  options_.courier.ToTick([promise, taken, function = std::move(function)] {
    if (!taken->exchange(true)) promise->set_value(function());
  });
  if (answer.wait_for(kAnswerWithin) != std::future_status::ready && !taken->exchange(true)) {
    return Error{ErrorKind::kUnavailable, "the daemon is busy and did not answer within 5s"};
  }
  return answer.get();
}

}  // namespace autoscale
