// Decisions beyond the limits are dropped, a little at a time.
#include "daemon/store/prune.h"

#include <gtest/gtest.h>

#include "tests/unit/store/folder_fixture.h"

namespace autoscale {
namespace {

constexpr int64_t kDay = 24LL * 3600 * 1000;

class PruneTest : public FolderFixture {
 protected:
  // Decisions with these ids, in this order of services; a day apart.
  void Fill(const std::vector<std::string>& services) {
    auto store = OpenStore();
    StoreBatch batch;
    for (size_t i = 0; i < services.size(); ++i) {
      DecisionRecord record = Decided(static_cast<int64_t>(i) + 1, services[i]);
      record.at = At(record.id * kDay);
      batch.decisions.push_back(std::move(record));
    }
    for (const char* name : {"api", "web"}) batch.services.push_back(Service(name));
    ASSERT_TRUE(Succeeded(store->Commit(batch)));
  }
  // What is left after so many steps, oldest first: "1:web 2:api".
  std::string Left(const PruneLimits& limits, int steps, TimePoint now = At(0)) {
    auto database = Database::Open(file_);
    EXPECT_TRUE(database.ok());
    Pruner pruner(**database, limits);
    for (int i = 0; i < steps; ++i) EXPECT_TRUE(Succeeded(pruner.Step(now)));
    return ReadSql(
        "SELECT group_concat(id || ':' || service, ' ') FROM (SELECT * FROM decisions "
        "ORDER BY id)");
  }
};

TEST_F(PruneTest, TheNewestOfEachServiceStay) {
  Fill({"web", "api", "web", "web", "api", "web"});
  EXPECT_EQ(Left({.kept = 2, .slack = 0}, 1), "2:api 4:web 5:api 6:web");
}

TEST_F(PruneTest, SomeMoreGatherFirst) {
  Fill({"web", "web", "web", "web", "web"});
  EXPECT_EQ(Left({.kept = 2, .slack = 3}, 1), "1:web 2:web 3:web 4:web 5:web");
  EXPECT_EQ(Left({.kept = 2, .slack = 2}, 1), "4:web 5:web");
}

TEST_F(PruneTest, OfAServiceThatHasGoneAllGoAfterAWhile) {
  Fill({"gone", "web", "gone", "web"});
  const PruneLimits limits{.gone_kept = Millis(30 * kDay)};
  EXPECT_EQ(Left(limits, 1, At(33 * kDay - 1)), "1:gone 2:web 3:gone 4:web");
  EXPECT_EQ(Left(limits, 1, At(33 * kDay)), "2:web 4:web");
}

TEST_F(PruneTest, EveryServiceHasItsTurnAndAgain) {
  std::vector<std::string> services;
  for (int i = 0; i < 40; ++i) services.push_back("gone" + std::to_string(i));
  Fill(services);
  const PruneLimits limits{.gone_kept = Millis(0)};
  EXPECT_NE(Left(limits, 1, At(100 * kDay)), "");  // not all at once
  EXPECT_EQ(Left(limits, 20, At(100 * kDay)), "");
}

TEST_F(PruneTest, BeyondTheBytesTheOldestGoWhoeverTheyAreOf) {
  std::vector<std::string> services(5000, "web");
  services[0] = "api";
  Fill(services);
  const std::string left = Left({.kept = 10'000, .bytes = 1}, 1);
  EXPECT_EQ(left.find("2001:web "), 0u) << left.substr(0, 20);
  EXPECT_EQ(Left({.kept = 10'000, .bytes = 1 << 30}, 1).find("2001:web "), 0u);
}

}  // namespace
}  // namespace autoscale
