// What decisions depend on is stored once, found again, and dropped with the last of them.
#include "daemon/store/bases.h"

#include <gtest/gtest.h>

#include "tests/unit/store/folder_fixture.h"

namespace autoscale {
namespace {

class BasesTest : public FolderFixture {
 protected:
  // A policy says `text`; of services with another `target` the bases differ.
  static std::shared_ptr<const DecisionInputs> Inputs(const std::string& text, double target) {
    DecisionInputs inputs{.state = std::string("a\0\xff", 3),
                          .new_state = "n",
                          .history = "P1000 2000 4 ",
                          .conditions = {.budget = {.limit = 9, .left = 5, .granted = 3}}};
    inputs.basis = {.version = "1.0",
                    .policy = std::make_shared<const PolicySource>(
                        PolicySource{.path = "p.lua", .text = text, .hash = HashOf(text)}),
                    .params = std::make_shared<const Params>(Params{{"target", target}}),
                    .rules = std::make_shared<const ScalingRules>()};
    inputs.basis_hash = HashOf(Encode(inputs.basis));
    return std::make_shared<const DecisionInputs>(std::move(inputs));
  }
  static DecisionRecord Decision(int64_t id, std::shared_ptr<const DecisionInputs> inputs) {
    DecisionRecord record = Decided(id, "web");
    record.inputs = std::move(inputs);
    return record;
  }
  std::string Counts() {
    return ReadSql("SELECT (SELECT count(*) FROM bases) || ' ' || (SELECT count(*) FROM sources)");
  }
};

TEST_F(BasesTest, ADecisionIsReadWithAllThatItWasMadeOf) {
  const auto inputs = Inputs("return hold('\xff')", 0.6);
  ASSERT_TRUE(Succeeded(OpenStore()->Commit({.decisions = {Decision(1, inputs)}})));
  auto store = OpenStore();
  const auto read = store->ReadDecision(1);
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_TRUE((**read).inputs);
  EXPECT_EQ(Encode(*(**read).inputs), Encode(*inputs));
  EXPECT_EQ((**read).inputs->state, inputs->state);
  EXPECT_EQ((**read).inputs->basis.rules, nullptr);
  const auto basis = store->ReadBasis((**read).inputs->basis_hash);
  ASSERT_TRUE(basis.ok()) << basis.error().message;
  ASSERT_TRUE(*basis);
  EXPECT_EQ(Encode(**basis), Encode(inputs->basis));
  EXPECT_EQ((**basis).policy->text, "return hold('\xff')");
  EXPECT_FALSE(*store->ReadBasis(1));
}

TEST_F(BasesTest, WhatManyDependOnIsStoredOnce) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(
      store->Commit({.decisions = {Decision(1, Inputs("x", 1)), Decision(2, Inputs("x", 1)),
                                   Decision(3, Inputs("x", 2)), Decision(4, Inputs("y", 2))}})));
  EXPECT_EQ(Counts(), "3 2");
  // Also when another run of the daemon stored it, and when what was read is stored again.
  store.reset();
  store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit(
      {.decisions = {Decision(5, Inputs("x", 1)), *store->ReadDecision(3).value()}})));
  EXPECT_EQ(Counts(), "3 2");
  EXPECT_TRUE(*store->ReadBasis(Inputs("x", 2)->basis_hash));
}

TEST_F(BasesTest, WhatWasNotCommittedIsStoredWithTheNext) {
  auto store = OpenStore();
  ASSERT_FALSE(store->Commit({.decisions = {Decision(1, Inputs("x", 1)), Decided(0, "web")}}).ok());
  EXPECT_EQ(Counts(), "0 0");
  ASSERT_TRUE(Succeeded(store->Commit({.decisions = {Decision(1, Inputs("x", 1))}})));
  EXPECT_EQ(Counts(), "1 1");
}

TEST_F(BasesTest, WhatNoDecisionRefersToIsDroppedAndComesAgain) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(
      store->Commit({.decisions = {Decision(1, Inputs("x", 1)), Decision(2, Inputs("x", 2)),
                                   Decision(3, Inputs("y", 1))}})));
  const auto maintain = [&] {
    static int64_t second = 0;
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(Succeeded(store->Maintain(At(second += 2000))));
  };
  maintain();
  EXPECT_EQ(Counts(), "3 2");
  RunSql("DELETE FROM decisions WHERE id IN (1, 3)");
  maintain();
  EXPECT_EQ(Counts(), "1 1");
  EXPECT_TRUE(*store->ReadBasis(Inputs("x", 2)->basis_hash));
  ASSERT_TRUE(Succeeded(store->Commit({.decisions = {Decision(4, Inputs("y", 1))}})));
  EXPECT_TRUE(*store->ReadBasis(Inputs("y", 1)->basis_hash));
}

TEST_F(BasesTest, AnOlderDecisionHasNoInputs) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.decisions = {Decided(1, "web")}})));
  EXPECT_EQ((**store->ReadDecision(1)).inputs, nullptr);
}

}  // namespace
}  // namespace autoscale
