#include "daemon/store/store.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "daemon/store/folder.h"
#include "daemon/store/schema.h"
#include "daemon/store/sqlite.h"

namespace autoscale {
namespace {

constexpr const char* kFileName = "autoscaled.db";

constexpr std::array<std::string_view, 5> kPhases = {"requested", "starting", "serving", "draining",
                                                     "stopping"};

std::optional<InstancePhase> ParsePhase(std::string_view text) {
  const auto* found = std::find(kPhases.begin(), kPhases.end(), text);
  if (found == kPhases.end()) return std::nullopt;
  return static_cast<InstancePhase>(found - kPhases.begin());
}

int64_t ToMillis(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint FromMillis(int64_t millis) { return TimePoint(Millis(millis)); }

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
      "INSERT INTO services VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET "
      "desired = ?2, generation = ?3, paused = ?4, pause_reason = ?5, policy_state = ?6, "
      "history = ?7"};
  Statement put_instance{
      db,
      "INSERT INTO instances VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET "
      "phase = ?3, since = ?4, deadline = ?5, endpoint = ?6"};
  Statement put_decision{
      db,
      "INSERT INTO decisions VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET "
      "service = ?2, at = ?3, desired_before = ?4, desired_after = ?5, record = ?6"};
  Statement remove_service{db, "DELETE FROM services WHERE name = ?"};
  Statement remove_instances{db, "DELETE FROM instances WHERE service = ?"};
  Statement remove_instance{db, "DELETE FROM instances WHERE service = ? AND id = ?"};
  Statement put_now{db, "UPDATE daemon SET last_now = ?"};
  Statement read_services{db, "SELECT * FROM services ORDER BY name"};
  Statement read_instances{db, "SELECT * FROM instances ORDER BY service, id"};
  Statement read_decision{db, "SELECT id, record FROM decisions WHERE id = ?"};
  Statement read_of_all{db, "SELECT id, record FROM decisions ORDER BY id DESC LIMIT ?"};
  Statement read_of_service{
      db, "SELECT id, record FROM decisions WHERE service = ? ORDER BY id DESC LIMIT ?"};
  Statement prune{db,
                  "DELETE FROM decisions WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER "
                  "(PARTITION BY service ORDER BY id DESC) AS age FROM decisions) WHERE age > ?)"};

  uint64_t epoch = 0;
  TimePoint last_now{};
  int64_t last_decision_id = 0;

  Status RaiseEpoch();
  Status Put(const ServiceRow& row);
  Status Put(const InstanceRow& row);
  Status Put(const DecisionRecord& record);
  Status Write(const StoreBatch& batch, TimePoint now);
  Result<std::vector<DecisionRecord>> ReadRecords(Statement& statement);
};

Status Store::State::RaiseEpoch() {
  if (auto raised = db.Execute("UPDATE daemon SET epoch = epoch + 1"); !raised) return raised;
  auto stored_epoch = db.ReadInteger("SELECT epoch FROM daemon");
  if (!stored_epoch) return std::move(stored_epoch).error();
  auto stored_now = db.ReadInteger("SELECT last_now FROM daemon");
  if (!stored_now) return std::move(stored_now).error();
  auto stored_id = db.ReadInteger("SELECT max(id) FROM decisions");
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
      .Run();
}

Status Store::State::Put(const DecisionRecord& record) {
  if (record.id <= 0) {
    return Error{ErrorKind::kInvalid, "the decision of " + record.service + " has no id"};
  }
  return put_decision.Reset()
      .Bind(record.id)
      .Bind(record.service)
      .Bind(ToMillis(record.at))
      .Bind(int64_t{record.decision.before})
      .Bind(int64_t{record.decision.desired})
      .Bind(ToJson(record).dump())
      .Run();
}

// Batches that could not be stored are sent again with what came after: the order is that in which
// things happen. A removed service may be back, a removed instance never is.
Status Store::State::Write(const StoreBatch& batch, TimePoint now) {
  for (const std::string& name : batch.removed_services) {
    if (auto done = remove_service.Reset().Bind(name).Run(); !done) return done;
    if (auto done = remove_instances.Reset().Bind(name).Run(); !done) return done;
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
    if (auto done = Put(record); !done) return done;
  }
  return put_now.Reset().Bind(ToMillis(now)).Run();
}

Result<std::vector<DecisionRecord>> Store::State::ReadRecords(Statement& statement) {
  std::vector<DecisionRecord> records;
  while (true) {
    auto row = statement.Step();
    if (!row) return std::move(row).error();
    if (!*row) return records;
    const int64_t id = statement.Integer();
    auto record = RecordFromJson(statement.Text());
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
  auto claimed = StateFolder::Claim(folder);
  if (!claimed) return std::move(claimed).error().Within("state");
  auto path = (*claimed)->PrivateFile(kFileName);
  if (!path) return std::move(path).error().Within("state");
  auto database = Database::Open(*path);
  if (!database) return std::move(database).error().Within("state");
  if (auto prepared = PrepareDatabase(**database); !prepared) {
    return std::move(prepared).error().Within("state");
  }
  auto state = std::make_unique<State>(std::move(claimed).value(), std::move(database).value());
  if (auto raised = state->RaiseEpoch(); !raised) return std::move(raised).error().Within("state");
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

uint64_t Store::epoch() const { return state_->epoch; }
TimePoint Store::last_now() const { return state_->last_now; }
int64_t Store::last_decision_id() const { return state_->last_decision_id; }

Result<std::vector<ServiceRow>> Store::ReadServices() {
  std::vector<ServiceRow> rows;
  Statement& statement = state_->read_services.Reset();
  while (true) {
    auto step = statement.Step();
    if (!step) return std::move(step).error().Within("state: services");
    if (!*step) return rows;
    ServiceRow row;
    row.name = statement.Text();
    row.desired = static_cast<int>(statement.Integer());
    row.generation = static_cast<uint64_t>(statement.Integer());
    row.paused = statement.Integer() != 0;
    row.pause_reason = statement.Text();
    row.policy_state = statement.Text();
    auto history = History::Decode(statement.Text());
    if (!history) {
      statement.Reset();
      return state_->db.Damaged("service " + row.name + ": " + history.error().message)
          .Within("state");
    }
    row.history = std::move(history).value();
    rows.push_back(std::move(row));
  }
}

Result<std::vector<InstanceRow>> Store::ReadInstances() {
  std::vector<InstanceRow> rows;
  Statement& statement = state_->read_instances.Reset();
  while (true) {
    auto step = statement.Step();
    if (!step) return std::move(step).error().Within("state: instances");
    if (!*step) return rows;
    InstanceRow row;
    row.service = statement.Text();
    row.id = statement.Text();
    const std::string phase = statement.Text();
    row.since = FromMillis(statement.Integer());
    if (const auto deadline = statement.OptionalInteger()) row.deadline = FromMillis(*deadline);
    row.endpoint = statement.Text();
    const auto parsed = ParsePhase(phase);
    if (!parsed) {
      statement.Reset();
      return state_->db.Damaged("instance " + row.id + ": unknown phase " + phase).Within("state");
    }
    row.phase = *parsed;
    rows.push_back(std::move(row));
  }
}

Status Store::Commit(const StoreBatch& batch) {
  if (batch.empty()) return Ok{};
  const TimePoint now = std::max(state_->last_now, batch.now.value_or(state_->last_now));
  Transaction transaction(state_->db);
  Status done = transaction.Begin();
  if (done) done = state_->Write(batch, now);
  if (done) done = transaction.Commit();
  if (!done) return std::move(done).error().Within("state: commit");
  state_->last_now = now;
  for (const DecisionRecord& record : batch.decisions) {
    state_->last_decision_id = std::max(state_->last_decision_id, record.id);
  }
  return Ok{};
}

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

Status Store::PruneDecisions(int keep) {
  // The newest of all must stay, else its id would be given again.
  Status done = state_->prune.Reset().Bind(int64_t{std::max(keep, 1)}).Run();
  if (!done) return std::move(done).error().Within("state: prune decisions");
  return Ok{};
}

}  // namespace autoscale
