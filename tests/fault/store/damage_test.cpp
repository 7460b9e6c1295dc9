// A damaged database is refused, the instances run on, and what the refusal says mends it.
#include <csignal>
#include <fstream>

#include "tests/fault/store/state_fixture.h"
#include "tests/unit/store/schema_v1.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

struct Damage {
  std::string name;
  std::function<void(const fs::path& database)> done;
  std::string told;
  int end = SIGTERM;  // how the daemon ended before
};

void Overwrite(const fs::path& path, std::streamoff at, size_t size) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file << std::string(size, '\xee');
}

const std::vector<Damage>& Damages() {
  static const std::vector<Damage> damages = {
      {"header", [](const fs::path& db) { Overwrite(db, 0, 100); }, "file is not a database"},
      // All pages but the first: the tables that the control loop stands on are among them.
      {"tables",
       [](const fs::path& db) {
         Overwrite(db, 4096, static_cast<size_t>(fs::file_size(db)) - 4096);
       },
       "is damaged"},
      {"half", [](const fs::path& db) { fs::resize_file(db, fs::file_size(db) / 2); },
       "is damaged"},
      {"empty", [](const fs::path& db) { fs::resize_file(db, 0); }, "is empty"},
      {"missing", [](const fs::path& db) { fs::remove(db); }, "is missing"},
      {"log", [](const fs::path& db) { Overwrite(db.string() + "-wal", 0, 4096); },
       "its write-ahead log has no header", SIGKILL},
  };
  return damages;
}

class DamageTest : public StateFixture {};

TEST_F(DamageTest, IsRefusedWithTheCommandsThatMendItAndNothingIsLost) {
  StartWith(3);
  const std::map<pid_t, int> before = rig_->Backends();
  int64_t epoch = Epoch();
  for (const Damage& damage : Damages()) {
    SCOPED_TRACE(damage.name);
    rig_->End(damage.end);
    damage.done(Database());
    const std::string refusal = Refusal();
    ASSERT_TRUE(Says(refusal, {damage.told, "instances run on as they are", "A back-up of 20",
                               " UTC is kept beside it"}));
    EXPECT_EQ(Refusal(), refusal);  // nothing was changed by trying
    EXPECT_EQ(rig_->Backends(), before);

    Obey(refusal);
    rig_->Start();
    AwaitSettled(3);
    AwaitMoreTicks(2);
    EXPECT_EQ(rig_->Backends(), before);
    EXPECT_EQ(rig_->Metric("autoscaled_instances_started_total"), 0);
    EXPECT_GT(Epoch(), epoch);
    EXPECT_EQ(Told("state"), 1);
    epoch = Epoch();
  }
}

// The back-up may be older than the last change: what runs is not taken away for it.
TEST_F(DamageTest, ABackupThatKnowsFewerInstancesDoesNotShrinkTheFleet) {
  StartWith(1);
  rig_->End(SIGTERM);
  rig_->Start();  // the back-up knows one
  Load(4);
  AwaitSettled(4);
  const std::map<pid_t, int> before = rig_->Backends();
  rig_->End(SIGTERM);
  Overwrite(Database(), 0, 100);
  Obey(Refusal());
  rig_->prometheus().Stop();  // nor is it known what is needed
  rig_->Start();
  AwaitSettled(4);
  AwaitMoreTicks(4);
  EXPECT_EQ(rig_->Backends(), before);
  rig_->prometheus().Start();
  Load(1);
  AwaitSettled(1);
}

TEST_F(DamageTest, OfOneServicesRowCostsOnlyWhatWasInIt) {
  StartWith(2);
  const std::map<pid_t, int> before = rig_->Backends();
  rig_->End(SIGTERM);
  Shell(Database())
      .Run(
          "UPDATE services SET history = 'nonsense'; "
          "UPDATE instances SET phase = 'flying'");
  rig_->Start();
  AwaitSettled(2);
  AwaitMoreTicks(2);
  EXPECT_EQ(rig_->Backends(), before);
  EXPECT_EQ(Told("state"), 3);
  EXPECT_TRUE(Says(rig_->daemon().Errors(), {"the stored history is malformed", "'flying'"}));
  Load(1);
  AwaitSettled(1);
}

// A policy's own memory that makes no sense is the policy's fault: capacity holds, and that is
// told.
TEST_F(DamageTest, OfAPolicysStateHoldsItsServiceAndIsTold) {
  rig_->WriteService("web",
                     "state.calls = (state.calls or 0) + 1\n"
                     "return scale_to(metric(\"load\").value, \"so many are asked for\")\n");
  StartWith(2);
  rig_->End(SIGTERM);
  Shell(Database()).Run("UPDATE services SET policy_state = x'eeee'");
  Load(1);
  rig_->Start();
  ASSERT_TRUE(Eventually([&] {
    return rig_->Explain("web").find("the stored state of this policy cannot be read") !=
           std::string::npos;
  })) << rig_->Explain("web");
  AwaitMoreTicks(3);
  EXPECT_TRUE(rig_->Settled("web", 2));
}

TEST_F(DamageTest, ANewerSchemaIsRefusedAndAnOlderOneBroughtUpToDate) {
  StartWith(2);
  const std::map<pid_t, int> before = rig_->Backends();
  rig_->End(SIGTERM);
  Shell(Database()).Run("PRAGMA user_version = 99");
  EXPECT_TRUE(Says(Refusal(), {"was written by a newer autoscaled (schema 99, "}));
  EXPECT_EQ(rig_->Backends(), before);
  // As version 1 left it, with what is there now.
  fs::rename(Database(), State() / "newer.db");
  Shell old(Database());
  old.Run(kSchemaV1);
  old.Run("ATTACH '" + (State() / "newer.db").string() + "' AS newer");
  old.Run(
      "INSERT INTO services SELECT name, desired, generation, paused, pause_reason, "
      "policy_state, history FROM newer.services; "
      "INSERT INTO instances SELECT service, id, phase, since, deadline, endpoint "
      "FROM newer.instances");
  old.Close();
  rig_->Start();
  AwaitSettled(2);
  EXPECT_EQ(rig_->Backends(), before);
  EXPECT_TRUE(Says(rig_->daemon().Errors(), {"it is kept as " + Database().string() + ".v1"}));
  EXPECT_TRUE(fs::exists(Database().string() + ".v1"));
}

}  // namespace
}  // namespace autoscale
