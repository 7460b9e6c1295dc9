// ShadowAccount: how a policy that is tried beside the live one compares with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/result.h"
#include "engine/model/time.h"

namespace autoscale {

// A tick in which they differed, the first of those that followed each other.
struct ShadowExample {
  TimePoint at;
  int before = 0;  // desired when the tick began
  int live = 0;
  int shadow = 0;
  std::string live_reason;
  std::string shadow_reason;
};

struct ShadowAccount {
  TimePoint since;
  TimePoint last;              // evaluation; epoch start: none yet
  std::optional<int> desired;  // what its decisions have come to; absent: none yet
  int64_t evaluations = 0;     // = agreed + more + fewer
  int64_t agreed = 0;          // the same desired
  int64_t more = 0;            // the shadow wants more instances
  int64_t fewer = 0;
  int64_t stays = 0;                    // of those: it stays where the live one moves
  int64_t moves = 0;                    // of those: it moves where the live one stays
  int64_t faults = 0;                   // it looped, threw, or returned nonsense
  std::string fault;                    // of the last evaluation; empty: none
  double hours = 0;                     // over which both were counted
  double live_instance_hours = 0;       // of what the live one asked for
  double instance_hours = 0;            // of what the shadow asked for
  std::vector<ShadowExample> examples;  // the latest, oldest first
};

// As JSON, for the store.
std::string Encode(const ShadowAccount& account);
Result<ShadowAccount> DecodeAccount(std::string_view text);

}  // namespace autoscale
