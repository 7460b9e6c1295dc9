#include "providers/aws/key_chain.h"

#include <algorithm>
#include <utility>

namespace autoscale::aws {
namespace {

using std::chrono::seconds;

// Temporary keys are fetched anew so long before their end, or in the last fifth of a short life:
// instances and containers have new ones five minutes before the old ones end.
constexpr seconds kRenewBefore{300};
// A renewal that failed is tried again so much later, while the keys still hold.
constexpr seconds kRenewAgain{10};
// Keys without an end are looked at again, as a file may have changed.
constexpr seconds kLookAgain{60};
constexpr std::chrono::hours kEndless{24 * 365};

}  // namespace

KeyChain::KeyChain(HttpClient& http, KeyPlaces places, Clocks clocks)
    : http_(http), places_(std::move(places)), clocks_(std::move(clocks)) {}

bool KeyChain::Holds() const { return keys_ && clocks_.steady() < ends_; }

void KeyChain::Get(const AccessKeys* refused, Millis timeout, Callback done) {
  if (refused != nullptr && keys_ == *refused) keys_.reset();
  if (!Holds()) {
    waiting_.push_back(std::move(done));
    if (!busy_) Fetch(timeout);
    return;
  }
  const AccessKeys held = *keys_;
  if (!busy_ && clocks_.steady() >= renew_at_) Fetch(timeout);
  done(held);
}

void KeyChain::Fetch(Millis timeout) {
  busy_ = true;
  renew_at_ = clocks_.steady() + kRenewAgain;
  FetchKeys(http_, places_, timeout,
            [this, alive = std::weak_ptr<int>(alive_)](Result<FetchedKeys> fetched) {
              if (!alive.expired()) Take(std::move(fetched));
            });
}

void KeyChain::Take(Result<FetchedKeys> fetched) {
  busy_ = false;
  const SteadyTime now = clocks_.steady();
  std::optional<Result<AccessKeys>> told;
  if (fetched.ok()) {
    const seconds life = fetched->expires
                             ? std::max(seconds(*fetched->expires - clocks_.wall()), seconds(0))
                             : kEndless;
    keys_ = fetched->keys;
    ends_ = now + life;
    renew_at_ = fetched->expires ? ends_ - std::min(kRenewBefore, life / 5) : now + kLookAgain;
    // Those that have ended already serve the requests at hand; AWS says what it thinks of them.
    told = fetched->keys;
  } else {
    if (now >= ends_) keys_.reset();
    told = std::move(fetched).error().Within("no credentials");
  }
  const std::weak_ptr<int> alive = alive_;
  const std::vector<Callback> waiting = std::exchange(waiting_, {});
  for (const Callback& each : waiting) {
    if (alive.expired()) return;
    each(*told);
  }
}

}  // namespace autoscale::aws
