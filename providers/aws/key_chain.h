// KeyChain: the keys of an account, kept fresh: temporary ones are fetched anew before they end.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "providers/aws/key_sources.h"

namespace autoscale::aws {

struct Clocks {
  std::function<std::chrono::steady_clock::time_point()> steady = [] {
    return std::chrono::steady_clock::now();
  };
  // Seconds since 1970: what signatures and the ends of keys are told in.
  std::function<int64_t()> wall = [] {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
};

class KeyChain {
 public:
  using Callback = std::function<void(Result<AccessKeys>)>;

  KeyChain(HttpClient& http, KeyPlaces places, Clocks clocks);
  KeyChain(const KeyChain&) = delete;
  KeyChain& operator=(const KeyChain&) = delete;

  // Calls back at once while keys hold, else once they are there. `refused`: keys that AWS did not
  // take; they are got anew, and may be the same again. Null: none.
  void Get(const AccessKeys* refused, Millis timeout, Callback done);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  void Fetch(Millis timeout);
  void Take(Result<FetchedKeys> fetched);
  [[nodiscard]] bool Holds() const;

  HttpClient& http_;
  const KeyPlaces places_;
  const Clocks clocks_;
  std::optional<AccessKeys> keys_;
  SteadyTime renew_at_{}, ends_{};
  bool busy_ = false;
  std::vector<Callback> waiting_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace autoscale::aws
