// DecisionInputs: what a decision was made of, beside the samples, capacity and time that its
// record shows anyway; enough to make it again, bit for bit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/decision/decide.h"
#include "engine/model/result.h"
#include "engine/model/snapshot.h"
#include "engine/policy/host.h"

namespace autoscale {

// What a service's decisions depend on from one reload to the next. Shared by many decisions, and
// stored once for all of them.
struct Basis {
  std::string version;  // of the autoscaled whose engine decided
  std::shared_ptr<const PolicySource> policy;
  std::shared_ptr<const Params> params;
  std::shared_ptr<const ScalingRules> rules;
  std::vector<std::shared_ptr<const Zone>> zones;
  PolicyLimits limits;
  OwnLimits own_limits;
  uint64_t source = 0;  // of one that was read: SourceHash
};

// As text that the same basis always gives: all of it but what is long and shared by many, the
// source.
std::string Encode(const Basis& basis);
// What Encode wrote; the source is still to be found by its hash.
Result<Basis> DecodeBasis(std::string_view text);
// Of a basis as encoded: the one hash of everything that decisions depend on.
uint64_t HashOf(std::string_view text);
// The source: the policy's text and modules, and the changes of the time zones.
uint64_t SourceHash(const Basis& basis);
std::string EncodeSource(const Basis& basis);
Status DecodeSource(std::string_view text, Basis& basis);

struct DecisionInputs {
  uint64_t basis_hash = 0;
  Basis basis;                           // without a policy where only its hash was read
  std::string state;                     // the policy's, before
  std::optional<std::string> new_state;  // after; absent: it did not change
  std::string history;                   // before, as History::Encode wrote it
  Conditions conditions;
  // The proposal is no evaluation's: the policy was killed, quarantined or never run.
  bool outside = false;
};

// Without the basis.
std::string Encode(const DecisionInputs& inputs);
Result<DecisionInputs> DecodeInputs(std::string_view text);

}  // namespace autoscale
