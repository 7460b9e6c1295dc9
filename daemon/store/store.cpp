#include "daemon/store/store.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "daemon/store/bases.h"
#include "daemon/store/copy.h"
#include "daemon/store/folder.h"
#include "daemon/store/prune.h"
#include "daemon/store/schema.h"
#include "daemon/store/sqlite.h"
#include "daemon/store/whole.h"
#include "net/fault_point.h"

namespace autoscale {
namespace {

constexpr const char* kFileName = "autoscaled.db";
constexpr Millis kPruneEvery = std::chrono::seconds(2);
constexpr Millis kBackupEvery = std::chrono::hours(1);
constexpr Millis kMaintainAfterFailure = std::chrono::minutes(10);
// A back-up put in place is older than what was lost: epochs and ids go on above all that can have
// been given since.
constexpr int64_t kEpochsLost = 1000, kDecisionsLost = 1'000'000;

constexpr std::array<std::string_view, 5> kPhases = {"requested", "starting", "serving", "draining",
                                                     "stopping"};

std::optional<InstancePhase> ParsePhase(std::string_view text) {
  const auto* found = std::find(kPhases.begin(), kPhases.end(), text);
  if (found == kPhases.end()) return std::nullopt;
  return static_cast<InstancePhase>(found - kPhases.begin());
}

int64_t ToMillis(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint FromMillis(int64_t millis) { return TimePoint(Millis(millis)); }
TimePoint WallClock() { return std::chrono::floor<Millis>(std::chrono::system_clock::now()); }

// In place of a history that cannot be read: its windows and cooldowns begin at `now`, as if the
// capacity had just been decided. To begin without any would let the fleet shrink too early.
History BeginAfresh(int desired, TimePoint now) {
  History history;
  history.AddProposal(now, desired);
  history.AddChange(now, 0);
  return history;
}

}  // namespace

std::string_view ToString(InstancePhase phase) { return kPhases[static_cast<size_t>(phase)]; }

struct Store::State {
  State(std::unique_ptr<StateFolder> claimed, std::unique_ptr<Database> opened)
      : folder(std::move(claimed)), database(std::move(opened)) {}

  // Declared in this order: statements go before the database, the database before the lock.
  std::unique_ptr<StateFolder> folder;
  std::unique_ptr<Database> database;
  Database& db = *database;

  Statement put_service{
      db,
      "INSERT INTO services VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
      "?15, ?16) "
      "ON CONFLICT DO UPDATE SET desired = ?2, generation = ?3, paused = ?4, pause_reason = ?5, "
      "policy_state = ?6, history = ?7, breaker = ?8, breaker_since = ?9, leaving = ?10, "
      "provider = ?11, place = ?12, target = ?13, capacity = ?14, asked = ?15, contested = ?16"};
  Statement put_instance{
      db,
      "INSERT INTO instances VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET "
      "phase = ?3, since = ?4, deadline = ?5, endpoint = ?6, protected_until = ?7, "
      "protect_reason = ?8"};
  Statement put_decision{
      db,
      "INSERT INTO decisions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET "
      "service = ?2, at = ?3, desired_before = ?4, desired_after = ?5, record = ?6, inputs = ?7, "
      "basis = ?8"};
  Bases bases{db};
  Statement put_shadow{db,
                       "INSERT INTO shadows VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET "
                       "identity = ?2, policy_state = ?3, history = ?4, account = ?5"};
  Statement remove_shadow{db, "DELETE FROM shadows WHERE service = ?"};
  Statement read_shadows{db, "SELECT * FROM shadows"};
  Statement remove_service{db, "DELETE FROM services WHERE name = ?"};
  Statement remove_instances{db, "DELETE FROM instances WHERE service = ?"};
  Statement remove_instance{db, "DELETE FROM instances WHERE service = ? AND id = ?"};
  Statement put_now{db, "UPDATE daemon SET last_now = ?, last_decision_id = ?"};
  Statement read_services{db, "SELECT * FROM services ORDER BY name"};
  Statement read_instances{db, "SELECT * FROM instances ORDER BY service, id"};
  Statement read_decision{db, "SELECT id, record, inputs FROM decisions WHERE id = ?"};
  Statement read_of_all{db, "SELECT id, record, inputs FROM decisions ORDER BY id DESC LIMIT ?"};
  Statement read_of_service{
      db, "SELECT id, record, inputs FROM decisions WHERE service = ? ORDER BY id DESC LIMIT ?"};
  Pruner pruner{db, {}};

  uint64_t epoch = 0;
  TimePoint last_now{};
  int64_t last_decision_id = 0;
  TimePoint next_prune{}, next_backup{};
  std::vector<std::string> notes;
  bool lost = false;    // its file is not in its place; told once
  std::string problem;  // why decisions are not stored

  Status RaiseEpoch();
  Status CheckRows();
  Status CheckPlace();
  Result<std::vector<ServiceRow>> ReadServices(std::vector<std::string>& damages);
  Result<std::vector<InstanceRow>> ReadInstances(std::vector<std::string>& damages);
  Status Write(const StoreBatch& batch, bool decisions);
  Status Put(const ServiceRow& row);
  Status Put(const InstanceRow& row);
  Status Put(const DecisionRecord& record);
  Status Put(const ShadowRow& row);
  Status Put(const StoreBatch& batch, bool decisions, TimePoint now, int64_t last_id);
  static Result<DecisionRecord> ReadRecord(Statement& statement);
  Result<std::vector<DecisionRecord>> ReadRecords(Statement& statement);
};

Status Store::State::RaiseEpoch() {
  auto copied = db.ReadInteger("SELECT copied_at FROM daemon");
  if (!copied) return std::move(copied).error();
  const bool restored = *copied != 0;
  const std::string raise = "UPDATE daemon SET epoch = epoch + " +
                            std::to_string(restored ? kEpochsLost : 1) +
                            ", last_decision_id = last_decision_id + " +
                            std::to_string(restored ? kDecisionsLost : 0) + ", copied_at = 0";
  if (restored) {
    notes.push_back(
        "this is the back-up that was put in place: pauses and cooldowns are those of "
        "then, past decisions are lost, and instances found running are kept");
  }
  if (auto raised = db.Execute(raise.c_str()); !raised) return raised;
  auto stored_epoch = db.ReadInteger("SELECT epoch FROM daemon");
  if (!stored_epoch) return std::move(stored_epoch).error();
  auto stored_now = db.ReadInteger("SELECT last_now FROM daemon");
  if (!stored_now) return std::move(stored_now).error();
  auto stored_id = db.ReadInteger("SELECT last_decision_id FROM daemon");
  if (!stored_id) return std::move(stored_id).error();
  epoch = static_cast<uint64_t>(*stored_epoch);
  last_now = FromMillis(*stored_now);
  last_decision_id = *stored_id;
  return Ok{};
}

Status Store::State::Put(const ServiceRow& row) {
  return put_service.Reset()
      .Bind(row.name)
      .Bind(int64_t{row.desired})
      .Bind(static_cast<int64_t>(row.generation))
      .Bind(int64_t{row.paused})
      .Bind(row.pause_reason)
      .BindBlob(row.policy_state)
      .Bind(row.history.Encode())
      .Bind(row.breaker)
      .Bind(ToMillis(row.breaker_since))
      .Bind(row.leaving)
      .Bind(row.target.provider)
      .Bind(row.target.place)
      .Bind(static_cast<int64_t>(row.target.identity))
      .Bind(int64_t{row.size.capacity})
      .Bind(int64_t{row.size.asked})
      .Bind(int64_t{row.contested})
      .Run();
}

Status Store::State::Put(const InstanceRow& row) {
  const auto deadline =
      row.deadline ? std::optional<int64_t>(ToMillis(*row.deadline)) : std::nullopt;
  return put_instance.Reset()
      .Bind(row.service)
      .Bind(row.id)
      .Bind(ToString(row.phase))
      .Bind(ToMillis(row.since))
      .Bind(deadline)
      .Bind(row.endpoint)
      .Bind(ToMillis(row.protected_until))
      .Bind(row.protect_reason)
      .Run();
}

Status Store::State::Put(const DecisionRecord& record) {
  if (record.id <= 0) {
    return Error{ErrorKind::kInvalid, "the decision of " + record.service + " has no id"};
  }
  std::string inputs;
  if (record.inputs) {
    if (auto put = bases.Put(*record.inputs); !put) return put;
    inputs = Encode(*record.inputs);
  }
  return put_decision.Reset()
      .Bind(record.id)
      .Bind(record.service)
      .Bind(ToMillis(record.at))
      .Bind(int64_t{record.decision.before})
      .Bind(int64_t{record.decision.desired})
      .Bind(ToJson(record).dump())
      .Bind(inputs)
      .Bind(record.inputs ? static_cast<int64_t>(record.inputs->basis_hash) : 0)
      .Run();
}

Status Store::State::Put(const ShadowRow& row) {
  return put_shadow.Reset()
      .Bind(row.service)
      .Bind(static_cast<int64_t>(row.identity))
      .BindBlob(row.state)
      .Bind(row.history.Encode())
      .Bind(Encode(row.account))
      .Run();
}

// Batches that could not be stored are sent again with what came after: the order is that in which
// things happen. A removed service may be back, a removed instance never is.
Status Store::State::Put(const StoreBatch& batch, bool decisions, TimePoint now, int64_t last_id) {
  for (const std::string& name : batch.removed_services) {
    if (auto done = remove_service.Reset().Bind(name).Run(); !done) return done;
    if (auto done = remove_instances.Reset().Bind(name).Run(); !done) return done;
    if (auto done = remove_shadow.Reset().Bind(name).Run(); !done) return done;
  }
  for (const ServiceRow& row : batch.services) {
    if (auto done = Put(row); !done) return done;
  }
  for (const InstanceRow& row : batch.instances) {
    if (auto done = Put(row); !done) return done;
  }
  for (const auto& [service, id] : batch.removed_instances) {
    if (auto done = remove_instance.Reset().Bind(service).Bind(id).Run(); !done) return done;
  }
  for (const DecisionRecord& record : batch.decisions) {
    if (!decisions) break;
    if (auto done = Put(record); !done) return done;
  }
  for (const std::string& name : batch.removed_shadows) {
    if (auto done = remove_shadow.Reset().Bind(name).Run(); !done) return done;
  }
  for (const ShadowRow& row : batch.shadows) {
    if (auto done = Put(row); !done) return done;
  }
  return put_now.Reset().Bind(ToMillis(now)).Bind(last_id).Run();
}

Status Store::State::Write(const StoreBatch& batch, bool decisions) {
  const TimePoint now = std::max(last_now, batch.now.value_or(last_now));
  int64_t last_id = last_decision_id;
  for (const DecisionRecord& record : batch.decisions) last_id = std::max(last_id, record.id);
  Transaction transaction(db);
  if (auto begun = transaction.Begin(); !begun) return begun;
  bases.Begin();
  if (auto put = Put(batch, decisions, now, last_id); !put) return put;
  ReachFaultPoint(FaultPoint::kBatchWritten);
  if (auto done = transaction.Commit(); !done) return done;
  bases.Committed();
  last_now = now;
  last_decision_id = last_id;
  return Ok{};
}

// A file that is gone takes with it whatever is committed to it. What it holds is saved once, as
// long as it is open.
Status Store::State::CheckPlace() {
  Status in_place = db.CheckPlace();
  if (!in_place && !lost) {
    (void)db.Execute("PRAGMA wal_checkpoint(PASSIVE)");
    (void)KeepBackup(db, WallClock());
  }
  lost = !in_place;
  return in_place;
}

Result<DecisionRecord> Store::State::ReadRecord(Statement& statement) {
  auto record = RecordFromJson(statement.Text());
  if (!record) return record;
  const std::string text = statement.Text();
  if (text.empty()) return record;
  auto inputs = DecodeInputs(text);
  if (!inputs) return std::move(inputs).error();
  record->inputs = std::make_shared<const DecisionInputs>(std::move(inputs).value());
  return record;
}

Result<std::vector<DecisionRecord>> Store::State::ReadRecords(Statement& statement) {
  std::vector<DecisionRecord> records;
  while (true) {
    auto row = statement.Step();
    if (!row) return std::move(row).error();
    if (!*row) return records;
    const int64_t id = statement.Integer();
    auto record = ReadRecord(statement);
    if (!record) {
      statement.Reset();
      return std::move(record).error().Within("decision " + std::to_string(id) + " in " +
                                              db.path());
    }
    records.push_back(std::move(record).value());
  }
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::Open(const std::string& folder) {
  auto opened = OpenState(folder);
  if (!opened) return std::move(opened).error().Within("state");
  return std::unique_ptr<Store>(new Store(std::move(opened).value()));
}

Result<std::unique_ptr<Store::State>> Store::OpenState(const std::string& folder) {
  auto claimed = StateFolder::Claim(folder);
  if (!claimed) return std::move(claimed).error();
  if (auto there = CheckFiles(folder + "/" + kFileName); !there) return std::move(there).error();
  auto path = (*claimed)->PrivateFile(kFileName);
  if (!path) return std::move(path).error();
  auto database = Database::Open(*path);
  if (!database) return std::move(database).error();
  std::vector<std::string> notes;
  const auto keep_copy = [&](int64_t version) {
    const std::string copy = *path + ".v" + std::to_string(version);
    notes.push_back(
        "the database is brought up to date; as it was before, for a way back to the older "
        "autoscaled, it is kept as " +
        copy);
    return CopyWhole(**database, copy);
  };
  if (auto prepared = PrepareDatabase(**database, keep_copy); !prepared) {
    return std::move(prepared).error();
  }
  auto state = std::make_unique<State>(std::move(claimed).value(), std::move(database).value());
  state->notes = std::move(notes);
  ReachFaultPoint(FaultPoint::kStateOpened);
  if (auto raised = state->RaiseEpoch(); !raised) return std::move(raised).error();
  ReachFaultPoint(FaultPoint::kEpochRaised);
  if (auto read = state->CheckRows(); !read) return std::move(read).error();
  return state;
}

// Reads all that the control loop stands on once, and keeps a back-up of it if all made sense.
Status Store::State::CheckRows() {
  const size_t known = notes.size();
  if (auto services = ReadServices(notes); !services) return std::move(services).error();
  if (auto instances = ReadInstances(notes); !instances) return std::move(instances).error();
  if (notes.size() > known) return Ok{};
  // A log that is lost takes with it only what comes from now on.
  if (auto moved = db.Execute("PRAGMA wal_checkpoint(TRUNCATE)"); !moved) return moved;
  if (const Status kept = KeepBackup(db, WallClock()); !kept) {
    notes.push_back("no back-up could be kept beside the database: " + kept.error().message);
  }
  return Ok{};
}

uint64_t Store::epoch() const { return state_->epoch; }
TimePoint Store::last_now() const { return state_->last_now; }
int64_t Store::last_decision_id() const { return state_->last_decision_id; }
const std::vector<std::string>& Store::notes() const { return state_->notes; }

Result<std::vector<ServiceRow>> Store::State::ReadServices(std::vector<std::string>& damages) {
  std::vector<ServiceRow> rows;
  Statement& statement = read_services.Reset();
  while (true) {
    auto step = statement.Step();
    if (!step) return std::move(step).error().Within("services");
    if (!*step) return rows;
    ServiceRow row;
    row.name = statement.Text();
    row.desired = static_cast<int>(statement.Integer());
    row.generation = static_cast<uint64_t>(statement.Integer());
    row.paused = statement.Integer() != 0;
    row.pause_reason = statement.Text();
    row.policy_state = statement.Text();
    if (auto history = History::Decode(statement.Text()); history.ok()) {
      row.history = std::move(history).value();
    } else {
      row.history = BeginAfresh(row.desired, last_now);
      damages.push_back("service " + row.name + ": " + history.error().message +
                        ": its windows and cooldowns begin anew");
    }
    row.breaker = statement.Text();
    row.breaker_since = FromMillis(statement.Integer());
    row.leaving = statement.Text();
    row.target.provider = statement.Text();
    row.target.place = statement.Text();
    row.target.identity = static_cast<uint64_t>(statement.Integer());
    row.size.capacity = static_cast<int>(statement.Integer());
    row.size.asked = static_cast<int>(statement.Integer());
    row.contested = statement.Integer() != 0;
    rows.push_back(std::move(row));
  }
}

Result<std::vector<InstanceRow>> Store::State::ReadInstances(std::vector<std::string>& damages) {
  std::vector<InstanceRow> rows;
  Statement& statement = read_instances.Reset();
  while (true) {
    auto step = statement.Step();
    if (!step) return std::move(step).error().Within("instances");
    if (!*step) return rows;
    InstanceRow row;
    row.service = statement.Text();
    row.id = statement.Text();
    const std::string phase = statement.Text();
    row.since = FromMillis(statement.Integer());
    if (const auto deadline = statement.OptionalInteger()) row.deadline = FromMillis(*deadline);
    row.endpoint = statement.Text();
    row.protected_until = FromMillis(statement.Integer());
    row.protect_reason = statement.Text();
    const auto parsed = ParsePhase(phase);
    if (!parsed) {
      damages.push_back("instance " + row.id + " of " + row.service + ": its stored phase '" +
                        phase + "' makes no sense: if it runs, it is taken over as found");
      continue;
    }
    row.phase = *parsed;
    rows.push_back(std::move(row));
  }
}

Result<std::vector<ServiceRow>> Store::ReadServices() {
  std::vector<std::string> told;  // at the opening
  auto rows = state_->ReadServices(told);
  if (!rows) return std::move(rows).error().Within("state");
  return rows;
}

Result<std::vector<InstanceRow>> Store::ReadInstances() {
  std::vector<std::string> told;
  auto rows = state_->ReadInstances(told);
  if (!rows) return std::move(rows).error().Within("state");
  return rows;
}

Result<std::vector<ShadowRow>> Store::ReadShadows() {
  std::vector<ShadowRow> rows;
  Statement& statement = state_->read_shadows.Reset();
  while (true) {
    auto step = statement.Step();
    if (!step) return std::move(step).error().Within("state: shadows");
    if (!*step) return rows;
    ShadowRow row;
    row.service = statement.Text();
    row.identity = static_cast<uint64_t>(statement.Integer());
    row.state = statement.Text();
    auto history = History::Decode(statement.Text());
    auto account = DecodeAccount(statement.Text());
    if (!history || !account) continue;
    row.history = std::move(history).value();
    row.account = std::move(account).value();
    rows.push_back(std::move(row));
  }
}

Status Store::Commit(const StoreBatch& batch) {
  if (batch.empty()) return Ok{};
  Status done = state_->CheckPlace();
  if (done) done = state_->Write(batch, state_->problem.empty());
  if (!done && state_->db.is_damaged() && state_->problem.empty() && !batch.decisions.empty()) {
    // What happened must not keep from happening what is needed.
    Error damage = std::move(done).error();
    done = state_->Write(batch, false);
    if (done) state_->problem = "decisions are not stored any more: " + damage.message;
  }
  if (!done) return std::move(done).error().Within("state: commit");
  return Ok{};
}

std::string Store::problem() const { return state_->problem; }

Result<std::vector<DecisionRecord>> Store::ReadDecisions(const std::string& service, int limit) {
  const int64_t rows = std::max(limit, 0);  // SQLite takes a negative limit for none
  auto records =
      service.empty()
          ? state_->ReadRecords(state_->read_of_all.Reset().Bind(rows))
          : state_->ReadRecords(state_->read_of_service.Reset().Bind(service).Bind(rows));
  if (!records) return std::move(records).error().Within("state: decisions");
  return records;
}

Result<std::optional<DecisionRecord>> Store::ReadDecision(int64_t id) {
  auto records = state_->ReadRecords(state_->read_decision.Reset().Bind(id));
  if (!records) return std::move(records).error().Within("state: decisions");
  if (records->empty()) return std::optional<DecisionRecord>();
  return std::optional<DecisionRecord>(std::move((*records).front()));
}

Result<std::optional<Basis>> Store::ReadBasis(uint64_t hash) {
  auto basis = state_->bases.Read(hash);
  if (!basis) return std::move(basis).error().Within("state: what decisions depend on");
  return basis;
}

Status Store::Maintain(TimePoint now) {
  if (now >= state_->next_prune && state_->problem.empty()) {
    state_->next_prune = now + kPruneEvery;
    Status pruned = state_->pruner.Step(now);
    if (pruned) pruned = state_->bases.Prune();
    if (!pruned) {
      state_->next_prune = now + kMaintainAfterFailure;
      return std::move(pruned).error().Within("state: drop old decisions");
    }
  }
  if (state_->next_backup == TimePoint{}) state_->next_backup = now + kBackupEvery;
  if (now < state_->next_backup) return Ok{};
  state_->next_backup = now + kBackupEvery;
  Status kept = state_->db.Execute("PRAGMA wal_checkpoint(PASSIVE)");
  if (kept) kept = KeepBackup(state_->db, WallClock());
  if (kept) return Ok{};
  state_->next_backup = now + kMaintainAfterFailure;
  return std::move(kept).error().Within("state: keep a back-up");
}

}  // namespace autoscale
