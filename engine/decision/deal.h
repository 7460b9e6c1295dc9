// Deal: shares what is left of a budget among all who want of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace autoscale {

enum class Urgency : uint8_t { kBelowMin, kOut, kIn };

struct Wish {
  Urgency urgency = Urgency::kOut;
  int amount = 0;    // instances
  double price = 1;  // what one of them takes of the budget; more than 0
  int had = 0;       // what it has got of this budget already
};

// So many instances each, together for `left` at most. The more urgent come first; among equals
// shares are max-min with what each has had: whoever wants little has all of it, the rest come to
// equal shares. What cannot be divided goes to who has least, then to the earlier wishes.
std::vector<int> Deal(double left, std::span<const Wish> wishes);

}  // namespace autoscale
