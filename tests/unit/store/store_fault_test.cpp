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

  // Another program at work on the database.
  void RunSql(const std::string& sql) {
    sqlite3* shell = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &shell), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(shell, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(shell);
    sqlite3_close(shell);
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
                               " was written by a newer autoscaled (schema 7, this one reads 1): "
                               "start the newer version, or put a copy from before the upgrade in "
                               "its place");
  RunSql("PRAGMA user_version = 1");
  EXPECT_EQ(OpenStore()->epoch(), 2u);  // the refused start did not write
}

TEST_F(StoreFaultTest, AnotherProgramsDatabaseIsRefusedUntouched) {
  std::filesystem::create_directory(folder_);
  RunSql("CREATE TABLE theirs (x)");
  EXPECT_NE(OpenFault().message.find("is a database of another program"), std::string::npos);
  RunSql("SELECT * FROM theirs");
  EXPECT_FALSE(std::filesystem::exists(file_ + "-wal"));
}

TEST_F(StoreFaultTest, AFileThatIsNoDatabaseIsCalledDamaged) {
  std::filesystem::create_directory(folder_);
  std::ofstream(file_) << std::string(8192, 'x');
  const std::string message = OpenFault().message;
  EXPECT_NE(message.find("the database " + file_ + " is damaged"), std::string::npos) << message;
  EXPECT_NE(message.find("move the file away together with its -wal and -shm"), std::string::npos);
}

TEST_F(StoreFaultTest, DamagedPagesAreFoundAtTheStart) {
  {
    auto store = OpenStore();
    StoreBatch batch;
    for (int i = 0; i < 2000; ++i) batch.services.push_back(Service("web" + std::to_string(i)));
    ASSERT_TRUE(Succeeded(store->Commit(batch)));
  }
  // The middle of the file, past the schema: pages of services.
  const auto size = std::filesystem::file_size(file_);
  std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(size / 2 / 4096 * 4096));
  file << std::string(4096, '\xee');
  file.close();
  EXPECT_NE(OpenFault().message.find("is damaged"), std::string::npos);
}

TEST_F(StoreFaultTest, RowsThatMakeNoSenseAreNamed) {
  ASSERT_TRUE(Succeeded(OpenStore()->Commit({.services = {Service("web")},
                                             .instances = {Instance("web", "i-1")},
                                             .decisions = {Decided(5, "web")}})));
  RunSql("UPDATE instances SET phase = 'flying'");
  RunSql("UPDATE services SET history = 'nonsense'");
  RunSql("UPDATE decisions SET record = '{}'");
  auto store = OpenStore();
  EXPECT_NE(store->ReadInstances().error().message.find("instance i-1: unknown phase flying"),
            std::string::npos);
  EXPECT_NE(store->ReadServices().error().message.find("service web: "), std::string::npos);
  EXPECT_EQ(store->ReadDecisions("", 10).error().message,
            "state: decisions: decision 5 in " + file_ + ": decision record: id is missing");
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
