#include "daemon/telemetry/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace autoscale {
namespace {

using nlohmann::json;

class LogTest : public testing::Test {
 protected:
  LogTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "log-test-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    file_ = folder_ + "/autoscaled.log";
  }
  ~LogTest() override {
    EXPECT_TRUE(StartLogging(LogSpec{}).ok());  // back to standard error
    std::filesystem::remove_all(folder_);
  }

  void Start(const std::string& level) {
    const Status started = StartLogging({.level = level, .file = file_});
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    std::ifstream in(file_);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  std::string folder_, file_;
};

TEST_F(LogTest, ALineIsAnObjectWithItsFields) {
  Start("info");
  LogInfo("scaled out", {{"service", "checkout"},
                         {"decision", int64_t{9007199254740993}},
                         {"ratio", 0.5},
                         {"dry_run", true}});
  ASSERT_EQ(Lines().size(), 1u);
  std::string line = Lines()[0];
  const size_t end_of_time = line.find(R"(","level")");
  ASSERT_NE(end_of_time, std::string::npos) << line;
  std::replace_if(
      line.begin(), line.begin() + static_cast<ptrdiff_t>(end_of_time),
      [](char c) { return c >= '0' && c <= '9'; }, '9');
  EXPECT_EQ(line,
            R"({"time":"9999-99-99T99:99:99.999Z","level":"info","message":"scaled out",)"
            R"("service":"checkout","decision":9007199254740993,"ratio":0.5,"dry_run":true})");
}

TEST_F(LogTest, AnyTextStaysOneLineOfJson) {
  Start("info");
  using namespace std::string_literals;
  const std::string nasty = "\"quoted\" \\ \n\r\t\0 \x1f %v {} \xff → "s;
  LogWarning(nasty, {{"re\"ason", nasty}, {"value", std::nan("")}});
  ASSERT_EQ(Lines().size(), 1u);
  const json line = json::parse(Lines()[0]);
  std::string readable = nasty;
  readable.replace(readable.find('\xff'), 1, "\xEF\xBF\xBD");
  EXPECT_EQ(line["message"], readable);
  EXPECT_EQ(line["re\"ason"], readable);
  EXPECT_EQ(line["level"], "warn");
  EXPECT_TRUE(line["value"].is_null());
}

TEST_F(LogTest, TheLevelHoldsBackWhatIsBelow) {
  const std::vector<std::string> levels = {"debug", "info", "warn", "error"};
  for (size_t at = 0; at < levels.size(); ++at) {
    std::filesystem::remove(file_);
    Start(levels[at]);
    LogDebug("debug");
    LogInfo("info");
    LogWarning("warn");
    LogError("error");
    ASSERT_EQ(Lines().size(), levels.size() - at);
    for (size_t i = at; i < levels.size(); ++i) {
      EXPECT_EQ(json::parse(Lines()[i - at])["level"], levels[i]);
    }
  }
}

TEST_F(LogTest, LinesAreAppendedAndNeverLost) {
  std::ofstream(file_) << "{}\n";
  Start("info");
  LogInfo("one");  // flushed at once: a crash must not swallow it
  EXPECT_EQ(Lines().size(), 2u);
}

TEST_F(LogTest, LinesOfManyThreadsDoNotMix) {
  Start("info");
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int64_t i = 0; i < 100; ++i) LogInfo("line", {{"thread", t}, {"i", i}});
    });
  }
  Start("info");  // may be called while others log
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Lines().size(), 400u);
  for (const std::string& line : Lines()) EXPECT_TRUE(json::accept(line)) << line;
}

TEST_F(LogTest, AWrongLevelIsRefused) {
  const Status started = StartLogging({.level = "loud", .file = ""});
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().message,
            "log: level must be debug, info, warn or error, but it is \"loud\"");
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsRefused) {
  const Status started = StartLogging({.level = "info", .file = folder_});
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message.find(folder_), std::string::npos) << started.error().message;
}

}  // namespace
}  // namespace autoscale
