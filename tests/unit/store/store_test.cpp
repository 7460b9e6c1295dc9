#include "daemon/store/store.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/unit/store/folder_fixture.h"

namespace autoscale {
namespace {

class StoreTest : public FolderFixture {};

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST_F(StoreTest, ANewFolderAndItsFilesArePrivate) {
  folder_ = root_ + "/a/b/state";
  auto store = OpenStore();
  ASSERT_TRUE(store);
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web")}})));
  EXPECT_EQ(ModeOf(folder_), 0700u);
  for (const char* file : {"/autoscaled.db", "/autoscaled.db-wal", "/autoscaled.db-shm", "/lock"}) {
    EXPECT_EQ(ModeOf(folder_ + file), 0600u) << file;
  }
}

TEST_F(StoreTest, ANewStoreIsEmpty) {
  auto store = OpenStore();
  EXPECT_EQ(store->epoch(), 1u);
  EXPECT_EQ(store->last_now(), TimePoint{});
  EXPECT_EQ(store->last_decision_id(), 0);
  EXPECT_TRUE(store->ReadServices()->empty());
  EXPECT_TRUE(store->ReadInstances()->empty());
  EXPECT_TRUE(store->ReadDecisions("", 10)->empty());
  EXPECT_FALSE(store->ReadDecision(1)->has_value());
}

TEST_F(StoreTest, EveryOpenRaisesTheEpoch) {
  for (uint64_t start = 1; start <= 3; ++start) EXPECT_EQ(OpenStore()->epoch(), start);
}

TEST_F(StoreTest, RowsSurviveAReopenWithEveryField) {
  ServiceRow web = Service("web", 7);
  web.generation = 9;
  web.paused = true;
  web.pause_reason = "it's a \"migration\"";
  web.policy_state = std::string("a\0b\xff", 4);
  web.history.AddProposal(At(1000), 5);
  web.history.AddChange(At(2000), -3);
  web.breaker = "five starts failed";
  web.breaker_since = At(3000);
  web.leaving = R"({"gateways":[]})";
  web.target = {.provider = "http", .place = "http://m/web", .identity = ~uint64_t{0}};
  web.size = {.capacity = 7, .asked = 6};
  web.contested = true;
  InstanceRow draining = Instance("web", "i-2");
  draining.protected_until = At(5000);
  draining.protect_reason = "a debugger is on it";
  draining.phase = InstancePhase::kDraining;
  draining.deadline = At(99'000);
  draining.endpoint = "127.0.0.1:20002";
  const InstanceRow requested = Instance("web", "i-1");
  ASSERT_TRUE(Succeeded(OpenStore()->Commit(
      {.services = {web}, .instances = {draining, requested}, .now = At(123'456)})));

  auto store = OpenStore();
  const auto services = store->ReadServices();
  ASSERT_TRUE(services.ok()) << services.error().message;
  ASSERT_EQ(services->size(), 1u);
  const ServiceRow& read = services->front();
  EXPECT_EQ(read.name, "web");
  EXPECT_EQ(read.desired, 7);
  EXPECT_EQ(read.generation, 9u);
  EXPECT_TRUE(read.paused);
  EXPECT_EQ(read.pause_reason, web.pause_reason);
  EXPECT_EQ(read.policy_state, web.policy_state);
  EXPECT_EQ(read.history, web.history);
  EXPECT_EQ(read.target, web.target);
  EXPECT_EQ(read.size, web.size);
  EXPECT_TRUE(read.contested);
  EXPECT_EQ(read.breaker, web.breaker);
  EXPECT_EQ(read.breaker_since, web.breaker_since);
  EXPECT_EQ(read.leaving, web.leaving);
  EXPECT_EQ(store->ReadInstances().value(), (std::vector<InstanceRow>{requested, draining}));
  EXPECT_EQ(store->last_now(), At(123'456));
}

TEST_F(StoreTest, EveryPhaseSurvives) {
  auto store = OpenStore();
  StoreBatch batch{.services = {Service("web")}};
  for (int phase = 0; phase <= static_cast<int>(InstancePhase::kStopping); ++phase) {
    batch.instances.push_back(Instance("web", "i-" + std::to_string(phase)));
    batch.instances.back().phase = static_cast<InstancePhase>(phase);
  }
  ASSERT_TRUE(Succeeded(store->Commit(batch)));
  EXPECT_EQ(store->ReadInstances().value(), batch.instances);
}

TEST_F(StoreTest, ReplacingAServiceKeepsItsInstances) {
  auto store = OpenStore();
  const InstanceRow instance = Instance("web", "i-1");
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 1)}, .instances = {instance}})));
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 2)}})));
  EXPECT_EQ(store->ReadServices()->front().desired, 2);
  EXPECT_EQ(store->ReadInstances().value(), std::vector<InstanceRow>{instance});
}

TEST_F(StoreTest, RemovedServicesTakeTheirInstancesAndLeaveTheirDecisions) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit(
      {.services = {Service("api"), Service("web")},
       .instances = {Instance("api", "i-1"), Instance("web", "i-1"), Instance("web", "i-2")},
       .decisions = {Decided(1, "web")}})));
  ASSERT_TRUE(Succeeded(store->Commit({.removed_services = {"web"}})));
  EXPECT_EQ(store->ReadServices()->size(), 1u);
  EXPECT_EQ(store->ReadInstances().value(), std::vector<InstanceRow>{Instance("api", "i-1")});
  EXPECT_EQ(store->ReadDecisions("web", 10)->size(), 1u);
}

TEST_F(StoreTest, ABatchMayReplaceWhatItRemoves) {
  auto store = OpenStore();
  ASSERT_TRUE(
      Succeeded(store->Commit({.services = {Service("web")},
                               .instances = {Instance("web", "i-1"), Instance("web", "x")}})));
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 5)},
                                       .instances = {Instance("web", "i-2")},
                                       .removed_instances = {{"web", "x"}},
                                       .removed_services = {"web"}})));
  EXPECT_EQ(store->ReadServices()->front().desired, 5);
  EXPECT_EQ(store->ReadInstances().value(), std::vector<InstanceRow>{Instance("web", "i-2")});
}

// A batch that failed is sent again together with what came after.
TEST_F(StoreTest, AnInstanceStoredAndRemovedInOneBatchIsGone) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web")},
                                       .instances = {Instance("web", "i-1")},
                                       .removed_instances = {{"web", "i-1"}}})));
  EXPECT_TRUE(store->ReadInstances()->empty());
}

TEST_F(StoreTest, AnInstanceMayBeKnownBeforeItsService) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.instances = {Instance("web", "i-1")}})));
  EXPECT_EQ(store->ReadInstances()->size(), 1u);
}

TEST_F(StoreTest, NowNeverFalls) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web")}, .now = At(5000)})));
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web")}, .now = At(4000)})));
  EXPECT_EQ(store->last_now(), At(5000));
  store.reset();
  EXPECT_EQ(OpenStore()->last_now(), At(5000));
}

TEST_F(StoreTest, AnEmptyBatchWritesNothing) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web")}})));
  const auto size = std::filesystem::file_size(file_ + "-wal");
  ASSERT_TRUE(Succeeded(store->Commit({.now = At(9000)})));
  EXPECT_EQ(std::filesystem::file_size(file_ + "-wal"), size);
  EXPECT_EQ(store->last_now(), TimePoint{});
}

TEST_F(StoreTest, DecisionsAreReadNewestFirst) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.decisions = {Decided(1, "web"), Decided(2, "api"),
                                                     Decided(3, "web"), Decided(4, "web")}})));
  EXPECT_EQ(store->last_decision_id(), 4);
  const auto ids = [&](const std::string& service, int limit) {
    std::vector<int64_t> found;
    const auto records = store->ReadDecisions(service, limit);
    EXPECT_TRUE(records.ok());
    for (const DecisionRecord& record : *records) found.push_back(record.id);
    return found;
  };
  EXPECT_EQ(ids("web", 2), (std::vector<int64_t>{4, 3}));
  EXPECT_EQ(ids("", 3), (std::vector<int64_t>{4, 3, 2}));
  EXPECT_EQ(ids("nobody", 3), std::vector<int64_t>{});
  EXPECT_EQ(ids("", -1), std::vector<int64_t>{});
  EXPECT_EQ(store->ReadDecision(2)->value().service, "api");
  store.reset();
  EXPECT_EQ(OpenStore()->last_decision_id(), 4);
}

TEST_F(StoreTest, ADecisionIsReplacedById) {
  auto store = OpenStore();
  DecisionRecord record = Decided(1, "web");
  ASSERT_TRUE(Succeeded(store->Commit({.decisions = {record}})));
  record.actions.push_back({At(2000), "started i-7"});
  ASSERT_TRUE(Succeeded(store->Commit({.decisions = {record}})));
  const auto records = store->ReadDecisions("web", 10);
  ASSERT_EQ(records->size(), 1u);
  ASSERT_EQ(records->front().actions.size(), 1u);
  EXPECT_EQ(records->front().actions[0].text, "started i-7");
}

TEST_F(StoreTest, AnIdIsNeverGivenAgainThoughItsDecisionIsGone) {
  ASSERT_TRUE(Succeeded(OpenStore()->Commit({.decisions = {Decided(8, "web")}})));
  RunSql("DELETE FROM decisions");
  EXPECT_EQ(OpenStore()->last_decision_id(), 8);
}

TEST_F(StoreTest, ASecondOwnerIsRefusedUntilTheFirstIsGone) {
  auto first = OpenStore();
  const Error fault = OpenFault();
  EXPECT_EQ(fault.kind, ErrorKind::kConflict);
  EXPECT_EQ(fault.message, "state: another autoscaled (process " + std::to_string(getpid()) +
                               ") uses the state folder " + folder_ +
                               ": stop it, or give this one a state_dir of its own");
  first.reset();
  EXPECT_EQ(OpenStore()->epoch(), 2u);
}

TEST_F(StoreTest, WhatIsCommittedSurvivesKill9) {
  const pid_t child = fork();
  if (child == 0) {
    auto store = Store::Open(folder_);
    if (store.ok() && (*store)->Commit({.services = {Service("web", 3)}}).ok()) {
      (void)raise(SIGKILL);
    }
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  auto store = OpenStore();
  EXPECT_EQ(store->epoch(), 2u);
  ASSERT_EQ(store->ReadServices()->size(), 1u);
  EXPECT_EQ(store->ReadServices()->front().desired, 3);
}

}  // namespace
}  // namespace autoscale
