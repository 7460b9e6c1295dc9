// Databases of older versions become ours, with all that is in them, and a copy stays behind.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "tests/unit/store/faulty_disk.h"
#include "tests/unit/store/folder_fixture.h"
#include "tests/unit/store/schema_v1.h"

namespace autoscale {
namespace {

class MigrationTest : public FolderFixture {
 protected:
  MigrationTest() {
    FaultyDisk::Install();
    PutV1();
  }
  ~MigrationTest() override { FaultyDisk::FailWrites(SQLITE_OK); }

  // A database as the first version left it.
  void PutV1() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    RunSql(kSchemaV1);
    RunSql(kRowsV1);
    RunSql("INSERT INTO decisions VALUES (12, 'web', 1000, 4, 7, '" +
           ToJson(Decided(12, "web")).dump() + "')");
  }

  // All that the first version knew.
  static void ExpectAllOfV1(Store& store) {
    const auto services = store.ReadServices();
    ASSERT_TRUE(services.ok()) << services.error().message;
    ASSERT_EQ(services->size(), 2u);
    const ServiceRow& web = (*services)[1];
    EXPECT_EQ(web.name, "web");
    EXPECT_EQ(web.desired, 7);
    EXPECT_EQ(web.generation, 9u);
    EXPECT_TRUE(web.paused);
    EXPECT_EQ(web.pause_reason, "migration");
    EXPECT_EQ(web.policy_state, std::string("a\0b", 3));
    EXPECT_EQ(web.history.Encode(), "P1000 2000 7 C1500 3 O1500 ");
    EXPECT_EQ(web.breaker, "");
    EXPECT_EQ(web.breaker_since, TimePoint{});
    EXPECT_EQ(web.leaving, "");
    EXPECT_EQ(web.target, TargetRow{});
    EXPECT_EQ(web.size, SizeRow{});
    EXPECT_FALSE(web.contested);
    InstanceRow draining = Instance("web", "i-1");
    draining.phase = InstancePhase::kDraining;
    draining.since = At(2000);
    draining.deadline = At(99'000);
    draining.endpoint = "127.0.0.1:20002";
    ASSERT_EQ(store.ReadInstances()->size(), 2u);
    EXPECT_EQ(store.ReadInstances()->back(), draining);
    ASSERT_EQ(store.ReadDecisions("web", 10)->size(), 1u);
    EXPECT_EQ(store.ReadDecisions("web", 10)->front().decision.reason, "r12");
    EXPECT_EQ(store.last_decision_id(), 12);
    EXPECT_EQ(store.last_now(), At(1'700'000'000'000));
  }
};

TEST_F(MigrationTest, AnOlderDatabaseIsBroughtUpToDateWithAllThatIsInIt) {
  auto store = OpenStore();
  ASSERT_TRUE(store);
  ExpectAllOfV1(*store);
  EXPECT_EQ(store->epoch(), 42u);
  ASSERT_EQ(store->notes().size(), 1u);
  EXPECT_NE(store->notes()[0].find("kept as " + file_ + ".v1"), std::string::npos);
  store.reset();
  auto again = OpenStore();
  ExpectAllOfV1(*again);
  EXPECT_EQ(again->epoch(), 43u);
  EXPECT_TRUE(again->notes().empty());
}

TEST_F(MigrationTest, TheTablesAreThoseOfANewDatabase) {
  OpenStore().reset();
  const std::string tables =
      "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema "
      "ORDER BY name)";
  const std::string migrated = ReadSql(tables);
  folder_ = root_ + "/new";
  file_ = folder_ + "/autoscaled.db";
  OpenStore().reset();
  EXPECT_EQ(ReadSql(tables), migrated);
  EXPECT_EQ(ReadSql("PRAGMA user_version"), "6");
}

TEST_F(MigrationTest, TheCopyIsWhatTheOlderVersionWrote) {
  OpenStore().reset();
  EXPECT_EQ(std::filesystem::status(file_ + ".v1").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  file_ += ".v1";
  EXPECT_EQ(ReadSql("PRAGMA user_version"), "1");
  EXPECT_EQ(ReadSql("PRAGMA application_id"), "1095975756");
  EXPECT_EQ(ReadSql("SELECT epoch FROM daemon"), "41");
  EXPECT_EQ(ReadSql("SELECT count(*) FROM instances"), "2");
  EXPECT_EQ(ReadSql("SELECT id FROM decisions"), "12");
}

TEST_F(MigrationTest, WithoutSpaceForTheCopyNothingIsChanged) {
  FaultyDisk::FailWrites(SQLITE_FULL);
  const Error fault = OpenFault();
  FaultyDisk::FailWrites(SQLITE_OK);
  EXPECT_EQ(fault.message, "state: no copy before bringing it up to date: the disk of " + file_ +
                               " is full: free some space there");
  EXPECT_EQ(ReadSql("PRAGMA user_version"), "1");
  ExpectAllOfV1(*OpenStore());
}

// Killed at the n-th write of the whole: what follows always finds the one or the other.
TEST_F(MigrationTest, KilledInTheMiddleItIsDoneAgain) {
  int writes = 0;
  for (bool ended = false; !ended; ++writes) {
    ASSERT_LT(writes, 1000);
    PutV1();
    const pid_t child = fork();
    if (child == 0) {
      FaultyDisk::KillAtWrite(writes);
      _exit(Store::Open(folder_).ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ended = WIFEXITED(status);
    if (ended) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    } else {
      EXPECT_EQ(WTERMSIG(status), SIGKILL);
    }
    auto store = OpenStore();
    ASSERT_TRUE(store) << "killed at write " << writes;
    ExpectAllOfV1(*store);
    EXPECT_GE(store->epoch(), 42u);
  }
  EXPECT_GT(writes, 10);
}

}  // namespace
}  // namespace autoscale
