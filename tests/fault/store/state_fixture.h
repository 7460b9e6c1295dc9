// StateFixture: a real daemon with one service, whose state database is about to suffer.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "tests/fault/fleet/fake_nginx.h"
#include "tests/integration/daemon_rig.h"

namespace autoscale {

class StateFixture : public testing::Test {
 protected:
  // The service runs as many instances as its metric says.
  void Load(double value) { rig_->prometheus().Set("load", "web", value); }
  void StartWith(int instances);
  void AwaitSettled(int instances);
  void AwaitMoreTicks(int count);

  [[nodiscard]] std::filesystem::path State() const { return rig_->folder() / "state"; }
  [[nodiscard]] std::filesystem::path Database() const { return State() / "autoscaled.db"; }
  // What the log's first line of the running daemon says.
  [[nodiscard]] int64_t Epoch() const;
  // How many lines of the running daemon's log have this message.
  [[nodiscard]] int Told(const std::string& message) const;
  // The daemon must refuse to start; what it says on standard error.
  std::string Refusal();
  // Does what the sentence says after "run: ".
  static void Obey(const std::string& sentence);

  void SetUp() override;
  FakeNginx gateway_;
  std::unique_ptr<DaemonRig> rig_;
};

// Another program that has the database open.
class Shell {
 public:
  explicit Shell(const std::filesystem::path& database);
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;
  void Run(const std::string& sql);
  void Close();

 private:
  sqlite3* handle_ = nullptr;
};

}  // namespace autoscale
