// A folder that is gone after the test, and rows to put into its store.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "daemon/store/store.h"

namespace autoscale {

inline TimePoint At(int64_t millis) { return TimePoint(Millis(millis)); }

inline ServiceRow Service(const std::string& name, int desired = 2) {
  ServiceRow row;
  row.name = name;
  row.desired = desired;
  row.generation = 1;
  return row;
}

inline InstanceRow Instance(const std::string& service, const std::string& id) {
  return {.service = service, .id = id, .phase = InstancePhase::kRequested, .since = At(1000)};
}

inline DecisionRecord Decided(int64_t id, const std::string& service) {
  DecisionRecord record;
  record.id = id;
  record.service = service;
  record.at = At(id * 1000);
  record.decision = {.before = 1, .desired = 2, .reason = "r" + std::to_string(id)};
  return record;
}

class FolderFixture : public testing::Test {
 protected:
  FolderFixture() {
    std::string pattern = std::filesystem::temp_directory_path() / "store-test-XXXXXX";
    root_ = mkdtemp(pattern.data());
    folder_ = root_ + "/state";
    file_ = folder_ + "/autoscaled.db";
  }
  ~FolderFixture() override { std::filesystem::remove_all(root_); }

  std::unique_ptr<Store> OpenStore() {
    auto store = Store::Open(folder_);
    EXPECT_TRUE(store.ok()) << store.error().message;
    return store.ok() ? std::move(store).value() : nullptr;
  }
  Error OpenFault() {
    auto store = Store::Open(folder_);
    return store.ok() ? Error{ErrorKind::kInternal, "it opened"} : std::move(store).error();
  }

  // Another program at work on the database.
  void RunSql(const std::string& sql) {
    sqlite3* shell = nullptr;
    ASSERT_EQ(sqlite3_open(file_.c_str(), &shell), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(shell, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(shell);
    sqlite3_close(shell);
  }

  // The first column of the first row, as text.
  std::string ReadSql(const std::string& sql) {
    sqlite3* shell = nullptr;
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_open(file_.c_str(), &shell), SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(shell, sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
        << sqlite3_errmsg(shell);
    const bool row = sqlite3_step(statement) == SQLITE_ROW;
    const void* text = row ? sqlite3_column_text(statement, 0) : nullptr;
    std::string found = text == nullptr ? "" : static_cast<const char*>(text);
    sqlite3_finalize(statement);
    sqlite3_close(shell);
    return found;
  }

  std::string root_, folder_, file_;
};

// For ASSERT_TRUE(Succeeded(...)): shows the error.
inline testing::AssertionResult Succeeded(const Status& status) {
  if (status.ok()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << status.error().message;
}

}  // namespace autoscale
