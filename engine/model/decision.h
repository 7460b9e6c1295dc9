// Proposal and decision: what a policy wants, and what the engine makes of it, stage by stage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/snapshot.h"
#include "engine/model/time.h"

namespace autoscale {

enum class ProposalKind : uint8_t { kHold, kScaleUp, kScaleDown, kScaleTo, kTrack };

// "hold", "scale_up", "scale_down", "scale_to", "track".
std::string_view ToString(ProposalKind kind);
std::optional<ProposalKind> ParseProposalKind(std::string_view text);

// Why a proposal is a hold. kNone for every other kind.
enum class HoldCause : uint8_t {
  kNone,
  kPolicy,   // the policy said hold
  kInside,   // within the tolerance or between the thresholds: nothing to do
  kPending,  // an earlier scale-out has not arrived yet
  kMetric,   // a metric that the policy needs is not usable
  kFault,    // the policy looped, threw, or returned nonsense
};

// "", "policy", "inside", "pending", "metric", "fault".
std::string_view ToString(HoldCause cause);

// No proposal is above it; services have at most 10,000 instances.
inline constexpr int kMaxCapacity = 1'000'000;

struct Proposal {
  ProposalKind kind = ProposalKind::kHold;
  HoldCause cause = HoldCause::kNone;
  int capacity = 0;    // the capacity wanted; for a hold the desired capacity of the snapshot
  std::string reason;  // one line, written for a person
  std::string at;      // "checkout.lua:7", where the policy said so; empty when nowhere
};

// The stages that a decision may have.
inline constexpr std::string_view kStabilization = "stabilization";
inline constexpr std::string_view kRate = "rate";
inline constexpr std::string_view kCooldown = "cooldown";
inline constexpr std::string_view kBounds = "bounds";
// In the record only when they changed something.
inline constexpr std::string_view kMaxStep = "step";
inline constexpr std::string_view kFlap = "flap";
inline constexpr std::string_view kErrors = "errors";
inline constexpr std::string_view kProtection = "protection";
inline constexpr std::string_view kProjection = "projection";
inline constexpr std::string_view kCost = "cost";
inline constexpr std::string_view kBudget = "budget";
inline constexpr std::string_view kBreaker = "breaker";
inline constexpr std::string_view kPause = "pause";
inline constexpr std::string_view kStore = "store";  // nothing can be stored
// The constant equal to the text; absent: no stage is called so.
std::optional<std::string_view> FindStageName(std::string_view text);

// One stage of a decision. `name` is one of the constants above.
struct StageRecord {
  std::string_view name;
  int before = 0;
  int after = 0;
  std::string reason;  // why it changed, or why not; empty when the stage had nothing to say
};

struct Decision {
  int before = 0;   // desired when the tick began
  int desired = 0;  // desired from now on
  std::string reason;
  std::vector<StageRecord> stages;
};

}  // namespace autoscale
