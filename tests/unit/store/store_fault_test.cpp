// What the store does when the disk, the file or another program is not as it should be.
#include <sqlite3.h>

#include <fstream>

#include "tests/unit/store/faulty_disk.h"
#include "tests/unit/store/folder_fixture.h"

namespace autoscale {
namespace {

class StoreFaultTest : public FolderFixture {
 protected:
  StoreFaultTest() { FaultyDisk::Install(); }
  ~StoreFaultTest() override {
    FaultyDisk::FailWrites(SQLITE_OK);
    FaultyDisk::FailSyncs(SQLITE_OK);
  }

  // A batch fails with the given words, changes nothing, and succeeds once the fault has gone.
  template <typename Break, typename Mend>
  void ExpectNothingHalfDone(ErrorKind kind, const std::string& words, Break break_it,
                             Mend mend_it) {
    auto store = OpenStore();
    ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 1)}, .now = At(1000)})));
    const StoreBatch batch{.services = {Service("web", 2), Service("api", 1)},
                           .instances = {Instance("web", "i-1")},
                           .decisions = {Decided(1, "web")},
                           .now = At(2000)};
    break_it();
    const Status status = store->Commit(batch);
    mend_it();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, kind);
    EXPECT_NE(status.error().message.find(words), std::string::npos) << status.error().message;
    EXPECT_EQ(status.error().message.find("state: commit: "), 0u) << status.error().message;
    EXPECT_EQ(store->last_now(), At(1000));
    EXPECT_EQ(store->last_decision_id(), 0);
    ASSERT_EQ(store->ReadServices()->size(), 1u);
    EXPECT_EQ(store->ReadServices()->front().desired, 1);

    ASSERT_TRUE(Succeeded(store->Commit(batch)));
    EXPECT_EQ(store->ReadServices()->size(), 2u);
    EXPECT_EQ(store->ReadInstances()->size(), 1u);
    store.reset();
    EXPECT_EQ(OpenStore()->last_now(), At(2000));
  }
};

TEST_F(StoreFaultTest, AFullDiskStoresNothingAndSaysSo) {
  ExpectNothingHalfDone(
      ErrorKind::kExhausted, "is full: free some space there",
      [] { FaultyDisk::FailWrites(SQLITE_FULL); }, [] { FaultyDisk::FailWrites(SQLITE_OK); });
}

TEST_F(StoreFaultTest, AFailingDiskStoresNothingAndSaysSo) {
  ExpectNothingHalfDone(
      ErrorKind::kUnavailable, "look at the disk and the kernel's log",
      [] { FaultyDisk::FailWrites(SQLITE_IOERR_WRITE); },
      [] { FaultyDisk::FailWrites(SQLITE_OK); });
}

// A commit that is not on the disk is no commit: synchronous=FULL must be in force.
TEST_F(StoreFaultTest, AFailingSyncStoresNothing) {
  ExpectNothingHalfDone(
      ErrorKind::kUnavailable, "look at the disk and the kernel's log",
      [] { FaultyDisk::FailSyncs(SQLITE_IOERR_FSYNC); }, [] { FaultyDisk::FailSyncs(SQLITE_OK); });
}

TEST_F(StoreFaultTest, ALockedDatabaseStoresNothingAndSaysSo) {
  sqlite3* shell = nullptr;
  ExpectNothingHalfDone(
      ErrorKind::kUnavailable, "is locked by another program",
      [&] {
        ASSERT_EQ(sqlite3_open(file_.c_str(), &shell), SQLITE_OK);
        ASSERT_EQ(sqlite3_exec(shell, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
      },
      [&] { sqlite3_close(shell); });
}

TEST_F(StoreFaultTest, ADecisionWithoutAnIdIsRefused) {
  auto store = OpenStore();
  const Status status =
      store->Commit({.services = {Service("web")}, .decisions = {Decided(0, "web")}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "state: commit: the decision of web has no id");
  EXPECT_TRUE(store->ReadServices()->empty());
}

TEST_F(StoreFaultTest, ANewerSchemaIsRefusedUntouched) {
  OpenStore().reset();
  RunSql("PRAGMA user_version = 7");
  const Error fault = OpenFault();
  EXPECT_EQ(fault.message, "state: " + file_ +
                               " was written by a newer autoscaled (schema 7, this one reads 6): "
                               "start the newer version, or put a copy from before the upgrade in "
                               "its place");
  RunSql("PRAGMA user_version = 6");
  EXPECT_EQ(OpenStore()->epoch(), 2u);  // the refused start did not write
}

TEST_F(StoreFaultTest, AnotherProgramsDatabaseIsRefusedUntouched) {
  std::filesystem::create_directory(folder_);
  RunSql("CREATE TABLE theirs (x)");
  EXPECT_NE(OpenFault().message.find("is a database of another program"), std::string::npos);
  RunSql("SELECT * FROM theirs");
  EXPECT_FALSE(std::filesystem::exists(file_ + "-wal"));
}

// The capacity is what matters: damage in the history of decisions costs only them.
TEST_F(StoreFaultTest, DamagedDecisionsDoNotKeepTheRestFromBeingStored) {
  {
    auto store = OpenStore();
    StoreBatch batch{.services = {Service("web")}};
    for (int i = 1; i <= 2000; ++i) batch.decisions.push_back(Decided(i, "web"));
    ASSERT_TRUE(Succeeded(store->Commit(batch)));
  }
  const int64_t page = std::stoll(
      ReadSql("SELECT max(pageno) FROM (SELECT rootpage AS pageno FROM sqlite_schema WHERE name = "
              "'decisions')"));
  std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>((page - 1) * 4096));
  file << std::string(4096, '\xee');
  file.close();

  auto store = OpenStore();
  ASSERT_TRUE(store);
  EXPECT_EQ(store->problem(), "");
  const StoreBatch batch{.services = {Service("web", 5)}, .decisions = {Decided(2001, "web")}};
  ASSERT_TRUE(Succeeded(store->Commit(batch)));
  EXPECT_EQ(store->ReadServices()->front().desired, 5);
  EXPECT_EQ(store->last_decision_id(), 2001);
  EXPECT_EQ(store->problem().find("decisions are not stored any more: "), 0u) << store->problem();
  EXPECT_NE(store->problem().find("put the back-up in place"), std::string::npos);
  ASSERT_TRUE(Succeeded(store->Commit(batch)));
}

TEST_F(StoreFaultTest, WhatCannotBeReadOfARowIsToldAndBeginsAfresh) {
  const InstanceRow whole = Instance("web", "i-2");
  ASSERT_TRUE(Succeeded(OpenStore()->Commit({.services = {Service("api"), Service("web", 4)},
                                             .instances = {Instance("web", "i-1"), whole},
                                             .decisions = {Decided(5, "web")},
                                             .now = At(9000)})));
  RunSql("UPDATE instances SET phase = 'flying' WHERE id = 'i-1'");
  RunSql("UPDATE services SET history = 'nonsense' WHERE name = 'web'");
  RunSql("UPDATE decisions SET record = '{}'");
  auto store = OpenStore();
  ASSERT_TRUE(store);
  EXPECT_EQ(
      store->notes(),
      (std::vector<std::string>{
          "service web: the stored history is malformed: its windows and cooldowns begin anew",
          "instance i-1 of web: its stored phase 'flying' makes no sense: if it runs, it is "
          "taken over as found"}));
  EXPECT_EQ(store->ReadInstances().value(), std::vector<InstanceRow>{whole});
  const ServiceRow web = store->ReadServices()->back();
  EXPECT_EQ(web.desired, 4);
  // Full windows at what was decided: nothing shrinks earlier for it.
  EXPECT_EQ(web.history.proposals(), (std::vector<ProposalRun>{{At(9000), At(9000), 4}}));
  EXPECT_EQ(web.history.last_in(), At(9000));
  EXPECT_EQ(store->ReadDecisions("", 10).error().message,
            "state: decisions: decision 5 in " + file_ + ": decision record: id is missing");
}

TEST_F(StoreFaultTest, NothingIsStoredInAFileThatIsNotInItsPlace) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 1)}})));
  for (const std::string lost : {"", "-wal"}) {
    std::filesystem::rename(file_ + lost, root_ + "/away");
    const Status status = store->Commit({.services = {Service("web", 2)}});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().message,
              "state: commit: " + file_ + lost +
                  " was removed, moved or replaced while autoscaled has it open: move it back, or "
                  "restart autoscaled, which begins with what is there or says what to do");
    std::filesystem::rename(root_ + "/away", file_ + lost);
    EXPECT_EQ(store->ReadServices()->front().desired, 1);
  }
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 2)}})));
  std::filesystem::copy_file(file_, root_ + "/other");
  std::filesystem::rename(root_ + "/other", file_);
  EXPECT_FALSE(store->Commit({.services = {Service("web", 3)}}).ok());
}

TEST_F(StoreFaultTest, AFolderThatIsAFileIsRefused) {
  std::ofstream(root_ + "/file") << "x";
  folder_ = root_ + "/file";
  EXPECT_EQ(OpenFault().message, "state: " + folder_ + " is not a folder: name another state_dir");
  folder_ = root_ + "/file/below";
  EXPECT_EQ(OpenFault().message, "state: cannot make the folder " + folder_ + ": Not a directory");
}

}  // namespace
}  // namespace autoscale
