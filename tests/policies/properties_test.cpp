// What holds of every policy in every situation, tried on random ones through the real engine.
//
//   AUTOSCALED_SEED        the first situation's; a failure prints its own
//   AUTOSCALED_SITUATIONS  how many of each policy
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/record/record.h"
#include "tests/policies/situation.h"
#include "tests/sanitized.h"

namespace autoscale {
namespace {

constexpr uint64_t kSeed = 20'260'101;
constexpr uint64_t kSituations = 400 / kSlower;

class Properties : public ::testing::Test {
 protected:
  // Runs the check in so many random situations of each policy; ends at the first failure.
  void InEach(uint64_t situations, const std::function<void(Random&, Situation&)>& check) {
    const uint64_t seed = FromEnvironment("AUTOSCALED_SEED", kSeed);
    situations = FromEnvironment("AUTOSCALED_SITUATIONS", situations);
    for (uint64_t i = 0; i < situations; ++i) {
      for (int policy = 0; policy < CountPolicies(); ++policy) {
        Random random(seed + i + static_cast<uint64_t>(policy) * 1'000'003);
        Situation situation = RandomSituation(random, host_, policy);
        SCOPED_TRACE("AUTOSCALED_SEED=" + std::to_string(seed + i) + " AUTOSCALED_SITUATIONS=1\n" +
                     situation.Told());
        check(random, situation);
        if (HasFatalFailure()) return;
      }
    }
  }
  StepOutcome Outcome(const Situation& situation) {
    return Step(host_, situation.service, situation.input);
  }

  PolicyHost host_{PolicyLimits{}};
};

std::string Bytes(const StepOutcome& outcome) {
  return ToJson(outcome.proposal).dump() + ToJson(outcome.decision).dump() +
         StagesToJson(outcome.decision).dump() + outcome.history.Encode() + outcome.state;
}

bool IsWithin(int capacity, const Bounds& bounds) {
  return capacity >= bounds.min && capacity <= bounds.max;
}

// Some of its metrics in some state of trouble, what it kept damaged: it decides within the bounds,
// and from outside it goes straight towards them.
TEST_F(Properties, NeverOutsideTheBounds) {
  int outside = 0;
  InEach(kSituations, [&](Random& random, Situation& situation) {
    for (const MetricRole& role : situation.roles) {
      if (random.Chance(80)) continue;
      situation.input.metrics[role.name] =
          UnusableSample(random, role, static_cast<SampleState>(random.Whole(1, 6)));
    }
    if (random.Chance(10)) situation.input.state = random.Bytes(40);
    const int before = situation.input.capacity.desired;
    const Bounds& bounds = situation.service.rules.bounds;
    const int after = Outcome(situation).decision.desired;
    if (IsWithin(before, bounds)) {
      ASSERT_TRUE(IsWithin(after, bounds)) << after;
      return;
    }
    ++outside;
    const auto [least, most] = std::minmax(before, std::clamp(before, bounds.min, bounds.max));
    ASSERT_TRUE(after >= least && after <= most) << after;
  });
  if (HasFatalFailure()) return;
  EXPECT_GT(outside, 0);
}

// Parameters that a policy allows never make it fail, whatever the metrics and what came before.
TEST_F(Properties, NoFault) {
  InEach(kSituations, [&](Random&, Situation& situation) {
    const Proposal proposal = Outcome(situation).proposal;
    ASSERT_NE(proposal.cause, HoldCause::kFault) << proposal.reason;
  });
}

// Every metric in every state, all combinations but the one in which all are well; a policy keeps
// the capacity at least, and so does what is decided.
TEST_F(Properties, MissingDataNeverShrinks) {
  constexpr int kStates = 7;
  InEach(kSituations, [&](Random& random, Situation& situation) {
    const Situation well = situation;
    int combinations = 1;
    for (size_t i = 0; i < well.roles.size(); ++i) combinations *= kStates;
    if (random.Chance(10)) situation.input.state = random.Bytes(40);
    // A part of them for each situation, all of them many times over.
    for (int i = 0; i < 6; ++i) {
      bool missing = false;
      int64_t rest = random.Whole(1, combinations - 1);
      for (const MetricRole& role : well.roles) {
        const auto state = static_cast<SampleState>(rest % kStates);
        rest /= kStates;
        situation.input.metrics[role.name] = state == SampleState::kFresh
                                                 ? well.input.metrics.at(role.name)
                                                 : UnusableSample(random, role, state);
        missing |= role.needed && state != SampleState::kFresh;
      }
      if (!missing) continue;
      const StepOutcome outcome = Outcome(situation);
      const int before = situation.input.capacity.desired;
      ASSERT_GE(outcome.proposal.capacity, before) << outcome.proposal.reason << '\n'
                                                   << situation.Told();
      if (before <= situation.service.rules.bounds.max) {
        ASSERT_GE(outcome.decision.desired, before) << outcome.decision.reason << '\n'
                                                    << situation.Told();
      }
    }
  });
}

// Twice in one host, in it once more after others ran, and in a host that knows nothing.
TEST_F(Properties, SameInputSameBytes) {
  InEach(kSituations / 4, [&](Random& random, Situation& situation) {
    const std::string bytes = Bytes(Outcome(situation));
    ASSERT_EQ(Bytes(Outcome(situation)), bytes);
    for (int i = 0; i < 2; ++i) {
      Outcome(RandomSituation(random, host_, random.Int(0, CountPolicies() - 1)));
    }
    ASSERT_EQ(Bytes(Outcome(situation)), bytes);
    PolicyHost fresh{PolicyLimits{}};
    ASSERT_EQ(Bytes(Step(fresh, situation.service, situation.input)), bytes);
  });
}

// Two situations that differ in the load only, of one metric or several.
TEST_F(Properties, MoreLoadNeverFewerInstances) {
  int more = 0;
  InEach(kSituations, [&](Random& random, Situation& situation) {
    if (random.Chance(15)) {
      const MetricRole& role = situation.roles[static_cast<size_t>(
          random.Whole(0, static_cast<int64_t>(situation.roles.size()) - 1))];
      situation.input.metrics[role.name] =
          UnusableSample(random, role, static_cast<SampleState>(random.Whole(1, 6)));
    }
    StepOutcome low = Outcome(situation);
    for (int i = 0; i < 4; ++i) {
      for (const MetricRole& role : situation.roles) {
        Sample& sample = situation.input.metrics[role.name];
        if (role.is_load && random.Chance(70)) sample = Raised(random, sample);
      }
      StepOutcome high = Outcome(situation);
      ASSERT_GE(high.proposal.capacity, low.proposal.capacity) << low.proposal.reason << '\n'
                                                               << high.proposal.reason << '\n'
                                                               << situation.Told();
      ASSERT_GE(high.decision.desired, low.decision.desired) << low.decision.reason << '\n'
                                                             << high.decision.reason << '\n'
                                                             << situation.Told();
      more += high.proposal.capacity > low.proposal.capacity ? 1 : 0;
      low = std::move(high);
    }
  });
  if (HasFatalFailure()) return;
  EXPECT_GT(more, 0);
}

}  // namespace
}  // namespace autoscale
