// Database, Statement, Transaction: the little of SQLite that the store needs, with its errors as
// sentences.
#pragma once

#include <sqlite3.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/model/result.h"

namespace autoscale {

class Database;

// A prepared statement, kept for the connection's lifetime. Bind in order, step, read in order.
// The first failure is kept and answered by Step or Run.
class Statement {
 public:
  Statement() = default;
  Statement(Database& database, const char* sql);

  // Begins anew: forgets rows and bound values.
  Statement& Reset();
  Statement& Bind(int64_t value);
  Statement& Bind(std::string_view text);
  Statement& BindBlob(std::string_view bytes);
  Statement& Bind(std::optional<int64_t> value);

  // Whether there is a row.
  Result<bool> Step();
  // For a statement without rows.
  Status Run();
  // The first row's first column; nothing: there is no row.
  Result<std::optional<int64_t>> First();

  // Columns of the current row from left to right.
  int64_t Integer();
  std::optional<int64_t> OptionalInteger();
  std::string Text();

 private:
  void Note(int code);

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Database* database_ = nullptr;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0, column_ = 0;
  int code_ = SQLITE_OK;
};

class Database {
 public:
  // Opens or creates the file; waits at most half a second for another program's lock.
  static Result<std::unique_ptr<Database>> Open(const std::string& path);

  // One or more statements without rows or parameters.
  Status Execute(const char* sql);
  // The first column of the first row.
  Result<int64_t> ReadInteger(const char* sql);
  Result<std::string> ReadText(const char* sql);

  // Whether the file that is open is still the one at its path, with its write-ahead log: else what
  // is committed is gone with the process.
  [[nodiscard]] Status CheckPlace() const;

  // What went wrong and what to do, by SQLite's result code.
  [[nodiscard]] Error Explain(int code) const;
  // From then on the files are left as they are, also when the connection is closed.
  [[nodiscard]] Error Damaged(const std::string& detail) const;
  [[nodiscard]] bool is_damaged() const { return damaged_; }  // has shown itself to be
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] sqlite3* handle() const { return handle_.get(); }

 private:
  [[nodiscard]] bool IsDiskFull() const;
  explicit Database(std::string path) : path_(std::move(path)) {}

  // v2: statements that outlive the connection's owner keep it open instead of leaking it.
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  mutable bool damaged_ = false;
};

// Rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) {}
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Status Begin();
  Status Commit();

 private:
  Database& database_;
};

}  // namespace autoscale
