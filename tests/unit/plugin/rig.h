// A provider that is the fake plugin, on an event loop of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "providers/plugin/options.h"
#include "providers/plugin/plugin_host.h"

namespace autoscale {

class PluginRig : public testing::Test {
 protected:
  PluginRig() {
    std::string name = (std::filesystem::temp_directory_path() / "plugin-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    folder_ = name;
    // Far beyond what is ever needed: only a failing test waits so long.
    loop_.After(std::chrono::seconds(50), [this] {
      ADD_FAILURE() << "no answer";
      loop_.Stop();
    });
  }
  ~PluginRig() override {
    provider_.reset();
    host_.reset();
    std::filesystem::remove_all(folder_);
  }

  // The provider is this plugin from now on.
  void Use(PluginCommand command) {
    provider_.reset();
    host_ = std::make_unique<PluginHost>(
        loop_,
        [this](PluginLogLevel level, const std::string& plugin, const std::string& text) {
          log_.push_back((level == PluginLogLevel::kWarning ? "W " : "I ") + plugin + " " + text);
        },
        PLUGIN_RUNNER);
    provider_ = host_->Make(
        {.name = "fake", .options = std::make_shared<PluginCommand>(std::move(command))},
        (folder_ / "fake").string());
    provider_->SetTargetListener([this](Observation seen) {
      reported_.push_back(std::move(seen));
      loop_.Stop();
    });
  }
  [[nodiscard]] PluginCommand Fake(const std::string& mode, int starts = 0) const {
    PluginCommand command;
    command.command = {FAKE_PLUGIN, mode, folder_.string()};
    if (starts > 0) command.command.push_back(std::to_string(starts));
    command.start_timeout = std::chrono::seconds(20);
    command.call_timeout = std::chrono::seconds(10);
    return command;
  }
  void UseFake(const std::string& mode, int starts = 0) { Use(Fake(mode, starts)); }

  [[nodiscard]] static TargetRef Target(const std::string& service,
                                        const std::string& yaml = "{}") {
    std::vector<Diagnostic> diagnostics;
    Section section("a.yaml", YAML::Load(yaml), "provider", &diagnostics);
    auto target = ParsePluginTarget(section, service);
    EXPECT_TRUE(diagnostics.empty());
    return {service, target};
  }

  // What is seen of each service.
  std::map<std::string, Observation> Observe(const std::vector<TargetRef>& refs) {
    std::map<std::string, Observation> seen;
    bool answered = false;
    provider_->Observe(refs, [&](Result<std::vector<Observation>> answer) {
      EXPECT_TRUE(answer.ok());
      EXPECT_FALSE(std::exchange(answered, true)) << "called back twice";
      for (Observation& one : *answer) seen[one.service] = std::move(one);
      loop_.Stop();
    });
    if (!answered) RunUntil([&] { return answered; });
    EXPECT_EQ(seen.size(), refs.size());
    return seen;
  }
  // Why it could not be read; empty: it could.
  std::string FaultOf(const TargetRef& ref) {
    const Observation seen = Observe({ref})[ref.service];
    return seen.fault ? seen.fault->message : "";
  }
  Status Set(const TargetRef& ref, const CapacityWish& wish) {
    std::optional<Status> answer;
    provider_->SetCapacity(ref, wish, [&](Status status) {
      EXPECT_FALSE(answer.has_value()) << "called back twice";
      answer.emplace(std::move(status));
      loop_.Stop();
    });
    RunUntil([&] { return answer.has_value(); });
    return answer ? *answer : Status(Error{ErrorKind::kInternal, "no answer"});
  }
  void RunUntil(const std::function<bool()>& holds) {
    while (!holds() && !HasFailure()) {
      loop_.After(Millis(10), [this] { loop_.Stop(); });  // to look again
      loop_.Run();
    }
  }

  [[nodiscard]] std::vector<std::string> Notes() const {
    std::ifstream file(folder_ / "notes");
    std::vector<std::string> notes;
    for (std::string line; std::getline(file, line);) notes.push_back(line);
    return notes;
  }
  [[nodiscard]] int64_t CountNotes(const std::string& note) const {
    const auto notes = Notes();
    return std::count(notes.begin(), notes.end(), note);
  }
  // Lines of the log that hold the text.
  [[nodiscard]] int64_t CountLog(const std::string& text) const {
    return std::count_if(log_.begin(), log_.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    });
  }
  // Processes that name the test's folder: the fake plugin, and who looks after it.
  [[nodiscard]] int CountProcesses() const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline");
      const std::string command((std::istreambuf_iterator<char>(file)), {});
      count += command.find(folder_.string()) == std::string::npos ? 0 : 1;
    }
    return count;
  }

  std::filesystem::path folder_;
  EventLoop loop_;
  std::vector<std::string> log_;
  std::vector<Observation> reported_;
  std::unique_ptr<PluginHost> host_;
  std::unique_ptr<Provider> provider_;
};

inline testing::AssertionResult Holds(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' in: " << text;
}

}  // namespace autoscale
