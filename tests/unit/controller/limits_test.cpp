// Limits of a service's own, policies for which a tick has no time, and quarantine.
#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

class LimitsTest : public ControllerTest {
 protected:
  DecisionRecord Last() {
    auto record = Ask([](Controller& c) { return c.Inputs("web"); });
    EXPECT_TRUE(record.ok()) << record.error().message;
    return record.ok() ? *std::move(record) : DecisionRecord{};
  }
  // Six or two, by a load that they share: it is asked again before a scale-in.
  ServiceSpec Spread() {
    ServiceSpec spec =
        Web("state.n = (state.n or 0) + 1\n"
            "return scale_to(metric('load').value > 5 and 6 or 2, 'load')");
    spec.declared = {{"load", Unit::kCount, true}};
    return spec;
  }
  // As a worker answers that has no time left.
  void HaveNoTime(bool projected) {
    evaluator_.twist = [projected](const EvaluationRequest& request, Evaluation& answer) {
      if (request.projected != projected) return;
      answer = {.proposal = {.cause = HoldCause::kFault,
                             .capacity = request.snapshot.capacity.desired,
                             .reason = "no time"},
                .outside = true,
                .unserved = true};
    };
  }
};

TEST_F(LimitsTest, AServicesOwnAreInForceAndStoredWithItsDecisions) {
  ServiceSpec spec = Web("for i = 1, 50000 do end return scale_to(metric('load').value)");
  spec.limits.instructions = 10'000;
  metrics_.Says("load", 3);
  Start({spec});
  Tick();
  const DecisionRecord record = Last();
  EXPECT_EQ(record.proposal.reason,
            "web.lua:1: more than 10000 instructions in one evaluation (limits.instructions of "
            "service web)");
  ASSERT_NE(record.inputs, nullptr);
  EXPECT_EQ(record.inputs->basis.own_limits.instructions, 10'000);
}

TEST_F(LimitsTest, AScaleInThatNobodyHadTimeToThinkAboutWaits) {
  metrics_.Says("load", 6);
  Start({Spread()});
  for (int i = 0; i < 2; ++i) {
    Tick();
    MakeReady();
  }
  ASSERT_EQ(Now().ready, 6);
  HaveNoTime(true);
  metrics_.Says("load", 1);
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(Now().desired, 6);
  EXPECT_NE(Last().decision.reason.find("the policy could not be asked: held"), std::string::npos)
      << Last().decision.reason;
  evaluator_.twist = nullptr;
  Tick();
  EXPECT_EQ(Now().desired, 2);
}

TEST_F(LimitsTest, WhoHadNoTurnHolds) {
  metrics_.Says("load", 1);
  Start({Spread()});
  for (int i = 0; i < 2; ++i) {
    Tick();
    MakeReady();
  }
  HaveNoTime(false);
  metrics_.Says("load", 6);
  Tick();
  EXPECT_EQ(Now().desired, 2);
  EXPECT_EQ(Last().decision.reason, "no time");
}

TEST_F(LimitsTest, WhatIsTriedIsNotComparedWithoutATurn) {
  ServiceSpec spec = Spread();
  spec.shadow = std::make_shared<const ShadowSpec>(ShadowSpec{
      .policy = std::make_shared<PolicySource>(PolicySource{"try.lua", "return scale_to(9)", 77}),
      .params = {}});
  metrics_.Says("load", 3);
  Start({spec});
  const auto evaluations = [&] {
    const auto view = Ask([](Controller& c) { return c.ReadShadow("web"); });
    return view.ok() ? view->account.evaluations : -1;
  };
  Tick();
  const int64_t before = evaluations();
  ASSERT_GT(before, 0);
  evaluator_.twist = [](const EvaluationRequest& request, Evaluation& answer) {
    answer.unserved = request.policy->hash == 77;
  };
  Tick();
  EXPECT_EQ(evaluations(), before);
  evaluator_.twist = nullptr;
  Tick();
  EXPECT_EQ(evaluations(), before + 1);
}

TEST_F(LimitsTest, QuarantineIsAGauge) {
  metrics_.Says("load", 3);
  Start({Web()});
  const auto quarantined = [&] {
    std::vector<ServiceGauges> all;
    (void)Ask([&](Controller& c) -> Result<int> {
      all = c.Gauges();
      return 0;
    });
    return all.at(0).quarantined;
  };
  Tick();
  EXPECT_FALSE(quarantined());
  evaluator_.twist = [](const EvaluationRequest&, Evaluation& answer) {
    answer = {.proposal = {.cause = HoldCause::kFault, .capacity = 3, .reason = "quarantined"},
              .outside = true,
              .quarantined = true};
  };
  Tick();
  EXPECT_TRUE(quarantined());
  evaluator_.twist = nullptr;
  Tick();
  EXPECT_FALSE(quarantined());
}

}  // namespace
}  // namespace autoscale
