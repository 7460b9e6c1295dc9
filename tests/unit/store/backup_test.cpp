// The back-up beside the database: what is in it, when it is made, and that what the refusal of a
// damaged database says puts it in place.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/unit/store/faulty_disk.h"
#include "tests/unit/store/folder_fixture.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

class BackupTest : public FolderFixture {
 protected:
  BackupTest() { FaultyDisk::Install(); }
  ~BackupTest() override { FaultyDisk::FailWrites(SQLITE_OK); }

  // A store with something in it, whose back-up knows it too.
  void Fill(int services = 2000) {
    StoreBatch batch{
        .instances = {Instance("web0", "i-1")}, .decisions = {Decided(7, "web0")}, .now = At(5000)};
    for (int i = 0; i < services; ++i) batch.services.push_back(Service("web" + std::to_string(i)));
    ASSERT_TRUE(Succeeded(OpenStore()->Commit(batch)));
    OpenStore().reset();
  }
  void Overwrite(const std::string& path, std::streamoff at, size_t size) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file << std::string(size, '\xee');
  }
  // Does what the sentence says.
  static void Obey(const std::string& sentence) {
    const std::string mark = "run: ";
    const size_t at = sentence.rfind(mark);
    ASSERT_NE(at, std::string::npos) << sentence;
    ASSERT_EQ(std::system(sentence.substr(at + mark.size()).c_str()), 0) << sentence;
  }
  void ExpectRestored() {
    auto store = OpenStore();
    ASSERT_TRUE(store);
    EXPECT_EQ(store->ReadServices()->size(), 2000u);
    EXPECT_EQ(store->ReadInstances().value(), std::vector<InstanceRow>{Instance("web0", "i-1")});
    EXPECT_EQ(store->last_now(), At(5000));
    EXPECT_GT(store->epoch(), 1000u);
    EXPECT_GT(store->last_decision_id(), 1'000'000);
    EXPECT_TRUE(store->ReadDecisions("", 10)->empty());
    ASSERT_EQ(store->notes().size(), 1u);
    EXPECT_EQ(store->notes()[0].find("this is the back-up that was put in place"), 0u);
    const uint64_t epoch = store->epoch();
    store.reset();
    EXPECT_EQ(OpenStore()->epoch(), epoch + 1);  // it counts as one start
    EXPECT_TRUE(OpenStore()->notes().empty());
  }
  std::string Backup() const { return file_ + ".backup"; }
};

TEST_F(BackupTest, EachStartKeepsOneWithoutDecisions) {
  Fill(3);
  EXPECT_EQ(fs::status(Backup()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(fs::exists(Backup() + ".new"));
  file_ = Backup();
  EXPECT_EQ(ReadSql("SELECT count(*) FROM services"), "3");
  EXPECT_EQ(ReadSql("SELECT count(*) FROM instances"), "1");
  EXPECT_EQ(ReadSql("SELECT count(*) FROM decisions"), "0");
  EXPECT_EQ(ReadSql("SELECT epoch FROM daemon"), "2");
  EXPECT_EQ(ReadSql("SELECT last_decision_id FROM daemon"), "7");
  EXPECT_EQ(ReadSql("SELECT copied_at > 1.7e12 FROM daemon"), "1");
}

TEST_F(BackupTest, OneIsKeptEveryHour) {
  auto store = OpenStore();
  const auto desired = [this] {
    const std::string file = std::exchange(file_, Backup());
    std::string found = ReadSql("SELECT desired FROM services");
    file_ = file;
    return found;
  };
  ASSERT_TRUE(Succeeded(store->Maintain(At(1000))));
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 6)}})));
  ASSERT_TRUE(Succeeded(store->Maintain(At(1000 + 3'599'999))));
  EXPECT_EQ(desired(), "");
  ASSERT_TRUE(Succeeded(store->Maintain(At(1000 + 3'600'000))));
  EXPECT_EQ(desired(), "6");
}

TEST_F(BackupTest, OneThatCannotBeMadeLeavesTheOneBefore) {
  Fill(3);
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Maintain(At(1000))));
  FaultyDisk::FailWrites(SQLITE_FULL);
  const Status kept = store->Maintain(At(3'601'000));
  FaultyDisk::FailWrites(SQLITE_OK);
  EXPECT_EQ(kept.error().message, "state: keep a back-up: the disk of " + Backup() +
                                      ".new is full: free some space there");
  EXPECT_FALSE(fs::exists(Backup() + ".new"));
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 6)}})));
  ASSERT_TRUE(Succeeded(store->Maintain(At(3'602'000))));  // not again at once
  store.reset();
  Overwrite(file_, 0, 100);
  Obey(OpenFault().message);
  EXPECT_EQ(OpenStore()->ReadServices()->size(), 3u);
}

TEST_F(BackupTest, ADestroyedHeaderIsMended) {
  Fill();
  Overwrite(file_, 0, 100);
  const std::string message = OpenFault().message;
  EXPECT_EQ(message.find("state: the database " + file_ +
                         " is damaged (file is not a database); "
                         "instances run on as they are. A back-up of 20"),
            0u)
      << message;
  Obey(message);
  ExpectRestored();
  EXPECT_TRUE(fs::exists(folder_ + "/damaged/autoscaled.db"));
}

TEST_F(BackupTest, DamagedPagesAreMended) {
  Fill();
  Overwrite(file_, static_cast<std::streamoff>(fs::file_size(file_) / 2 / 4096 * 4096), 4096);
  const std::string message = OpenFault().message;
  EXPECT_NE(message.find("is damaged"), std::string::npos);
  Obey(message);
  ExpectRestored();
}

TEST_F(BackupTest, ATruncatedDatabaseIsMended) {
  Fill();
  fs::resize_file(file_, fs::file_size(file_) / 2);
  Obey(OpenFault().message);
  ExpectRestored();
}

TEST_F(BackupTest, AnEmptyOrMissingDatabaseIsNotTakenForANewOne) {
  Fill();
  fs::resize_file(file_, 0);
  std::string message = OpenFault().message;
  EXPECT_NE(message.find("the database " + file_ + " is empty"), std::string::npos) << message;
  Obey(message);
  ExpectRestored();
  fs::remove(file_);
  message = OpenFault().message;
  EXPECT_NE(message.find("the database " + file_ + " is missing"), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(file_));
  Obey(message);
  EXPECT_EQ(OpenStore()->ReadServices()->size(), 2000u);
}

// SQLite would take such a log for an empty one, and what was committed to it for never said.
TEST_F(BackupTest, ADestroyedLogIsMended) {
  Fill();
  {
    auto store = OpenStore();
    ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web0", 9)}})));
    fs::copy_file(file_, root_ + "/db");
    fs::copy_file(file_ + "-wal", root_ + "/wal");
  }
  fs::rename(root_ + "/db", file_);
  fs::rename(root_ + "/wal", file_ + "-wal");
  Overwrite(file_ + "-wal", 8, 16);
  const std::string message = OpenFault().message;
  EXPECT_NE(message.find("its write-ahead log has no header"), std::string::npos) << message;
  Obey(message);
  ExpectRestored();
}

TEST_F(BackupTest, ALogThatWasLeftIsRead) {
  {
    auto store = OpenStore();
    ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 9)}})));
    fs::copy_file(file_, root_ + "/db");
    fs::copy_file(file_ + "-wal", root_ + "/wal");
  }
  fs::rename(root_ + "/db", file_);
  fs::rename(root_ + "/wal", file_ + "-wal");
  EXPECT_EQ(OpenStore()->ReadServices()->front().desired, 9);
}

TEST_F(BackupTest, WithoutAUsableOneItSaysHowToBeginAnew) {
  Fill();
  Overwrite(file_, 0, 100);
  Overwrite(Backup(), 0, 100);
  std::string message = OpenFault().message;
  EXPECT_NE(message.find("The back-up beside it is damaged too"), std::string::npos) << message;
  Obey(message);
  auto store = OpenStore();
  EXPECT_TRUE(store->ReadServices()->empty());
  EXPECT_EQ(store->epoch(), 1u);
  store.reset();

  fs::remove(Backup());
  Overwrite(file_, 0, 100);
  message = OpenFault().message;
  EXPECT_NE(message.find("No back-up is kept beside it"), std::string::npos) << message;
  Obey(message);
  EXPECT_EQ(OpenStore()->epoch(), 1u);
}

TEST_F(BackupTest, RowsThatMakeNoSenseAreNotBackedUpAtTheStart) {
  Fill(1);
  RunSql("UPDATE services SET history = 'nonsense'");
  OpenStore().reset();
  file_ = Backup();
  EXPECT_EQ(ReadSql("SELECT history FROM services"), "");
}

// What a file that was deleted holds is saved while it is still open.
TEST_F(BackupTest, ADatabaseDeletedWhileOpenIsSaved) {
  auto store = OpenStore();
  ASSERT_TRUE(Succeeded(store->Commit({.services = {Service("web", 9)}})));
  fs::remove(file_);
  EXPECT_FALSE(store->Commit({.services = {Service("web", 10)}}).ok());
  store.reset();
  fs::remove(file_);  // SQLite makes none, whatever it did at the end
  Obey(OpenFault().message);
  EXPECT_EQ(OpenStore()->ReadServices()->front().desired, 9);
}

TEST_F(BackupTest, AFolderWithAnOddNameIsMendedToo) {
  folder_ = root_ + "/it's a state";
  file_ = folder_ + "/autoscaled.db";
  Fill();
  Overwrite(file_, 0, 100);
  Obey(OpenFault().message);
  ExpectRestored();
}

}  // namespace
}  // namespace autoscale
