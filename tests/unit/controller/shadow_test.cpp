// A policy that is tried beside the live one: counted, remembered, and never acted on.
#include "daemon/controller/shadow.h"

#include <gtest/gtest.h>

#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

class ShadowTest : public ControllerTest {
 protected:
  ServiceSpec WithShadow(const std::string& policy, const Params& params = {}) {
    ServiceSpec spec = Web();
    spec.shadow = std::make_shared<const ShadowSpec>(
        ShadowSpec{.policy = std::make_shared<PolicySource>(
                       PolicySource{"try.lua", policy, std::hash<std::string>{}(policy) + 1}),
                   .params = params});
    spec.content_hash = std::hash<std::string>{}(policy);
    return spec;
  }
  // A daemon with it, at two instances and rested.
  void Serve(const ServiceSpec& spec, int instances = 2) {
    metrics_.Says("load", instances);
    Start({spec});
    for (int i = 0; i < 3; ++i) {
      Tick();
      MakeReady();
    }
  }
  // A daemon at so many instances, to which the shadow is then given.
  void ServeThenTry(const ServiceSpec& spec, int instances) {
    ServiceSpec plain = spec;
    plain.shadow = nullptr;
    plain.content_hash = 1;
    Serve(plain, instances);
    loaded_.configuration.services = {spec};
    ASSERT_TRUE(Ask([](Controller& controller) { return controller.Reload(false); }).ok());
    Tick();
  }
  ShadowAccount Account() {
    const auto view = Ask([](Controller& controller) { return controller.ReadShadow("web"); });
    EXPECT_TRUE(view.ok()) << view.error().message;
    return view.ok() ? view->account : ShadowAccount{};
  }
};

TEST_F(ShadowTest, DiffersIsCountedAndIsNeverActedOn) {
  Serve(
      WithShadow("return scale_to(metric('load').value + param('more'), 'more')", {{"more", 3.0}}));
  const ShadowAccount before = Account();
  for (int i = 0; i < 5; ++i) Tick();
  EXPECT_EQ(provider_.instances["web"].size(), 2u);
  EXPECT_EQ(Now().desired, 2);
  const ShadowAccount account = Account();
  EXPECT_EQ(account.evaluations, before.evaluations + 5);
  EXPECT_EQ(account.more, before.more + 5);
  EXPECT_EQ(account.moves, before.moves + 5);
  EXPECT_EQ(account.stays + account.fewer + account.faults, 0);
  EXPECT_EQ(account.agreed, before.agreed);
  // One that lasts is told once.
  ASSERT_FALSE(account.examples.empty());
  EXPECT_EQ(account.examples.size(), before.examples.size());
  EXPECT_EQ(account.examples.back().live, 2);
  EXPECT_EQ(account.examples.back().shadow, 5);
  EXPECT_EQ(account.examples.back().shadow_reason, "more");
  EXPECT_NEAR(account.live_instance_hours - before.live_instance_hours, 5 * 2 / 3600.0, 1e-9);
  EXPECT_NEAR(account.instance_hours - before.instance_hours, 5 * 5 / 3600.0, 1e-9);
}

TEST_F(ShadowTest, AScaleInThatTheLiveOneDoesNotMakeIsGoneOnFrom) {
  ServiceSpec spec = WithShadow("return scale_to(4, 'four')");
  spec.rules.down.max_step_percent = 50;
  ServeThenTry(spec, 10);
  ShadowAccount before = Account();
  EXPECT_EQ(before.desired, 5);  // half of it within a minute
  for (int i = 0; i < 70; ++i) Tick();
  ShadowAccount account = Account();
  EXPECT_EQ(account.desired, 4);
  EXPECT_EQ(account.fewer, before.fewer + 70);
  for (int i = 0; i < 70; ++i) Tick();
  EXPECT_EQ(Account().desired, 4);
  EXPECT_EQ(Account().examples.size(), account.examples.size());
  EXPECT_EQ(Now().desired, 10);
}

TEST_F(ShadowTest, ItsCooldownDoesNotBringItBackToTheLiveOne) {
  ServiceSpec spec = WithShadow("return scale_to(4, 'four')");
  spec.rules.down.max_step_percent = 50;
  spec.rules.down.cooldown = std::chrono::minutes(5);
  ServeThenTry(spec, 10);
  const ShadowAccount before = Account();
  EXPECT_EQ(before.desired, 5);
  for (int i = 0; i < 70; ++i) Tick();
  EXPECT_EQ(Account().agreed, before.agreed);
  EXPECT_EQ(Account().desired, 5);
}

TEST_F(ShadowTest, WhatIsLeftOfTheBudgetIsNotItsLimit) {
  changes_per_minute_ = 3;
  Crash();
  Boot();
  Serve(WithShadow("return scale_to(9, 'nine')"));
  clock_.Advance(std::chrono::minutes(1));
  metrics_.Says("load", 8);
  Tick();
  EXPECT_LT(Now().desired, 8);
  EXPECT_EQ(Account().desired, 9);
}

TEST_F(ShadowTest, WhileNothingCanBeStoredNothingIsCompared) {
  Serve(WithShadow("return scale_to(5, 'five')"));
  const std::string away = folder_ + ".away";
  std::filesystem::rename(folder_, away);
  metrics_.Says("load", 3);
  Tick();
  const int64_t before = Account().evaluations;
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(Account().evaluations, before);
  std::filesystem::remove_all(folder_);
  std::filesystem::rename(away, folder_);
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_GT(Account().evaluations, before);
}

TEST_F(ShadowTest, ItsWindowGoesOnOverARestart) {
  ServiceSpec spec = WithShadow("return scale_to(metric('load').value, 'load')");
  spec.rules.down.stabilization = std::chrono::minutes(1);
  Serve(spec, 6);
  controller_->Finish();
  Crash();
  clock_.Advance(std::chrono::minutes(10));
  metrics_.Says("load", 2);
  Boot();
  Start({spec});
  Tick();
  EXPECT_EQ(Now().desired, 6);
  EXPECT_EQ(Account().desired, 6);
}

TEST_F(ShadowTest, StaysWhereTheLiveOneMoves) {
  Serve(WithShadow("return hold('stay')"));
  const ShadowAccount before = Account();
  metrics_.Says("load", 4);
  Tick();
  const ShadowAccount account = Account();
  EXPECT_EQ(Now().desired, 4);
  EXPECT_EQ(account.stays, before.stays + 1);
  EXPECT_EQ(account.fewer, before.fewer + 1);
  EXPECT_EQ(account.examples.back().before, 2);
  EXPECT_EQ(account.examples.back().live, 4);
  EXPECT_EQ(account.examples.back().shadow, 2);
}

TEST_F(ShadowTest, ItsFaultsAreItsOwn) {
  Serve(WithShadow("while true do end"));
  metrics_.Says("load", 3);
  Tick();
  EXPECT_EQ(Now().desired, 3);
  EXPECT_EQ(counters_.policy_faults, 0u);
  const ShadowAccount account = Account();
  EXPECT_EQ(account.faults, account.evaluations);
  EXPECT_NE(account.fault.find("try.lua:1: more than"), std::string::npos) << account.fault;
  const auto views = Ask([](Controller& controller) { return controller.ReadServices("web"); });
  EXPECT_EQ(views->front().problem, "");
}

TEST_F(ShadowTest, RemembersForItselfAlsoOverARestart) {
  const ServiceSpec spec =
      WithShadow("state.n = (state.n or 0) + 1 return scale_to(20, 'evaluation ' .. state.n)");
  Serve(spec);
  controller_->Finish();
  const ShadowAccount before = Account();
  EXPECT_GE(before.evaluations, 3);
  Crash();
  Boot();
  Start({spec});
  EXPECT_EQ(Account().evaluations, before.evaluations);
  EXPECT_EQ(Account().since, before.since);
  EXPECT_EQ(Account().examples.size(), before.examples.size());
  metrics_.Says("load", 3);  // another difference, told anew
  Tick();
  const ShadowAccount account = Account();
  EXPECT_EQ(account.evaluations, before.evaluations + 1);
  EXPECT_EQ(
      account.examples.back().shadow_reason,
      "evaluation " + std::to_string(before.evaluations + 1) + "; bounds: 20 is above max 10");
}

TEST_F(ShadowTest, ACrashLosesAMinuteAtMost) {
  const ServiceSpec spec = WithShadow("return hold('stay')");
  Serve(spec);
  for (int i = 0; i < 150; ++i) Tick();
  const int64_t evaluations = Account().evaluations;
  Crash();
  Boot();
  Start({spec});
  EXPECT_GE(Account().evaluations, evaluations - 61);
}

TEST_F(ShadowTest, AnotherPolicyOrParameterBeginsAnew) {
  Serve(WithShadow("return hold('stay')", {{"p", 1.0}}));
  const auto reload = [&](const ServiceSpec& spec) {
    loaded_.configuration.services = {spec};
    const auto report = Ask([](Controller& controller) { return controller.Reload(false); });
    ASSERT_TRUE(report.ok()) << report.error().message;
  };
  ServiceSpec same = WithShadow("return hold('stay')", {{"p", 1.0}});
  same.rules.bounds.max = 9;
  same.content_hash += 1;
  reload(same);
  EXPECT_GT(Account().evaluations, 0);
  ServiceSpec other = WithShadow("return hold('stay')", {{"p", 2.0}});
  other.content_hash += 2;
  reload(other);
  EXPECT_EQ(Account().evaluations, 0);
  EXPECT_EQ(Account().since, clock_.Now());
  reload(Web());
  const auto none = Ask([](Controller& controller) { return controller.ReadShadow("web"); });
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("has no shadow"), std::string::npos);
  Tick();
  EXPECT_TRUE(store_->ReadShadows()->empty());
}

TEST_F(ShadowTest, WhilePausedNothingIsCompared) {
  Serve(WithShadow("return scale_to(5, 'five')"));
  ASSERT_TRUE(Ask([](Controller& controller) { return controller.Pause("web", "x"); }).ok());
  const int64_t before = Account().evaluations;
  Tick();
  EXPECT_EQ(Account().evaluations, before);
}

}  // namespace
}  // namespace autoscale
