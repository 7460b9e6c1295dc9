#include "engine/decision/deal.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace autoscale {
namespace {

constexpr double kRounding = 1e-9;  // of prices that have no exact binary form

int Afford(double money, const Wish& wish, int most) {
  const double count = std::floor(std::max(money, 0.0) / wish.price + kRounding);
  return count >= most ? most : static_cast<int>(count);
}

// What it gets when everybody is brought up to the level.
double UpTo(double level, const Wish& wish) {
  return std::clamp(level - wish.had * wish.price, 0.0, wish.amount * wish.price);
}

// The level to which `left` brings all of them.
double FindLevel(double left, std::span<const Wish> wishes, const std::vector<size_t>& equals) {
  constexpr int kHalvings = 64;
  double low = 0;
  double high = 0;
  for (const size_t i : equals) {
    high = std::max(high, (int64_t{wishes[i].had} + wishes[i].amount) * wishes[i].price);
  }
  for (int n = 0; n <= kHalvings; ++n) {
    const double level = n == 0 ? high : (low + high) / 2;  // first: is there enough for all?
    double sum = 0;
    for (const size_t i : equals) sum += UpTo(level, wishes[i]);
    (sum <= left + kRounding ? low : high) = level;
    if (low == high) break;
  }
  return low;
}

// Among equals; answers what is left after them.
double Share(double left, std::span<const Wish> wishes, std::vector<size_t> equals,
             std::vector<int>& granted) {
  const double level = FindLevel(left, wishes, equals);
  for (const size_t i : equals) {
    granted[i] = Afford(UpTo(level, wishes[i]), wishes[i], wishes[i].amount);
    left -= granted[i] * wishes[i].price;
  }
  const auto has = [&](size_t i) { return (wishes[i].had + granted[i]) * wishes[i].price; };
  std::stable_sort(equals.begin(), equals.end(),
                   [&](size_t a, size_t b) { return has(a) < has(b); });
  // First one more each, then whatever is still there.
  for (const int most : {1, INT32_MAX}) {
    for (const size_t i : equals) {
      const int more = Afford(left, wishes[i], std::min(most, wishes[i].amount - granted[i]));
      granted[i] += more;
      left -= more * wishes[i].price;
    }
  }
  return left;
}

}  // namespace

std::vector<int> Deal(double left, std::span<const Wish> wishes) {
  std::vector<int> granted(wishes.size(), 0);
  for (const Urgency urgency : {Urgency::kBelowMin, Urgency::kOut, Urgency::kIn}) {
    std::vector<size_t> equals;
    for (size_t i = 0; i < wishes.size(); ++i) {
      if (wishes[i].urgency == urgency && wishes[i].amount > 0) equals.push_back(i);
    }
    if (!equals.empty()) left = Share(std::max(left, 0.0), wishes, std::move(equals), granted);
  }
  return granted;
}

}  // namespace autoscale
