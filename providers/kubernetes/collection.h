// Collection: all objects of one kind in one namespace, kept as the API server has them by list and
// watch.
#pragma once

#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "providers/kubernetes/api.h"
#include "providers/kubernetes/json.h"

namespace autoscale::kubernetes {

// Waits between attempts that failed: doubling, and spread so that many do not come at once.
class Backoff {
 public:
  // How long to wait now; at least what the other side asked for.
  Millis Next(Millis asked);
  void Reset() { failures_ = 0; }

 private:
  int failures_ = 0;
  std::minstd_rand random_{std::random_device{}()};
};

class Collection {
 public:
  struct Listener {
    // An object as it is now, or was when it was deleted.
    std::function<void(const Json& object, bool deleted)> take;
    // The names of all that there are: what is known besides has gone.
    std::function<void(const std::set<std::string>& names)> listed;
    // It has been listed, has a fault now or has it no more.
    std::function<void()> changed;
  };

  // Begins at once. `paths` "/apis/apps/v1/namespaces/shop/deployments"; the others are tried where
  // the server does not know those before.
  Collection(EventLoop& loop, Api& api, std::vector<std::string> paths, Listener listener);
  ~Collection();
  Collection(const Collection&) = delete;
  Collection& operator=(const Collection&) = delete;

  // All of it was known once, and is no older than the last fault.
  [[nodiscard]] bool listed() const { return listed_; }
  // Why it cannot be read now; what is known of it is old.
  [[nodiscard]] const std::optional<Error>& fault() const { return fault_; }

 private:
  void List();
  void TakePage(Result<std::string> answer);
  void Watch();
  void TakeEvents(std::string_view data);
  // False: the watch is over.
  bool TakeEvent(std::string_view line);
  void EndWatch(const Result<std::string>& answer);
  void Expire();
  void Fail(Error error, bool relist);
  void Recover();
  void Later(Millis delay, void (Collection::*what)());

  EventLoop& loop_;
  Api& api_;
  const std::vector<std::string> paths_;
  size_t path_ = 0;  // of those
  const Listener listener_;
  std::optional<Api::CallId> call_;
  std::optional<EventLoop::TimerId> timer_;
  Backoff backoff_;
  std::minstd_rand random_{std::random_device{}()};

  bool listed_ = false;
  bool watching_ = false;  // the answer to the watch has begun
  std::optional<Error> fault_;
  std::string version_;          // of all that is known: a watch goes on from there
  std::string continue_;         // the next page of the list
  bool whole_ = false;           // the list comes in one page: its pages had expired
  std::set<std::string> names_;  // on the pages so far
  std::string rest_;             // of the watch's last line, which has not ended
};

}  // namespace autoscale::kubernetes
