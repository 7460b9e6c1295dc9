#include "daemon/telemetry/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
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

// Standard error as a pipe whose other end is read only on demand.
class StandardErrorPipe {
 public:
  StandardErrorPipe() {
    EXPECT_EQ(pipe(ends_), 0);
    EXPECT_EQ(fcntl(ends_[1], F_SETPIPE_SZ, kSize), kSize);
    EXPECT_EQ(fcntl(ends_[0], F_SETFL, O_NONBLOCK), 0);
    dup2(ends_[1], STDERR_FILENO);
  }
  ~StandardErrorPipe() {
    dup2(former_, STDERR_FILENO);
    for (const int fd : {former_, ends_[0], ends_[1]}) close(fd);
  }
  std::vector<std::string> Read() const {
    std::string text;
    std::vector<char> piece(kSize);
    for (ssize_t count; (count = read(ends_[0], piece.data(), piece.size())) > 0;) {
      text.append(piece.data(), static_cast<size_t>(count));
    }
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  static constexpr int kSize = 4 * 4096;

 private:
  const int former_ = dup(STDERR_FILENO);
  int ends_[2] = {-1, -1};
};

TEST_F(LogTest, AStandardErrorThatNobodyReadsHoldsNothingUp) {
  ASSERT_TRUE(StartLogging(LogSpec{}).ok());
  const StandardErrorPipe pipe;
  constexpr uint64_t kLines = 1000;  // more than it holds
  const uint64_t before = LogLinesLost();
  for (uint64_t i = 0; i < kLines; ++i) LogInfo("unread", {{"i", static_cast<int64_t>(i)}});
  const uint64_t lost = LogLinesLost() - before;
  ASSERT_GT(lost, 0u);
  ASSERT_LT(lost, kLines);

  const std::vector<std::string> first = pipe.Read();
  EXPECT_EQ(first.size(), kLines - lost);
  for (const std::string& line : first) EXPECT_TRUE(json::accept(line)) << line;

  LogInfo("read again");
  LogInfo("and on");
  const std::vector<std::string> then = pipe.Read();
  ASSERT_EQ(then.size(), 3u);
  const json missing = json::parse(then[0]);
  EXPECT_EQ(missing["message"], "nobody read this log: lines are missing");
  EXPECT_EQ(missing["lines"], lost);
  EXPECT_EQ(json::parse(then[1])["message"], "read again");
  EXPECT_EQ(json::parse(then[2])["message"], "and on");
}

TEST_F(LogTest, ALineThatIsCutOffDoesNotSpoilTheNext) {
  ASSERT_TRUE(StartLogging(LogSpec{}).ok());
  const StandardErrorPipe pipe;
  const std::string long_text(2 * StandardErrorPipe::kSize, 'x');
  LogInfo(long_text);
  EXPECT_EQ(pipe.Read().size(), 1u);  // its beginning
  LogInfo("next");
  const std::vector<std::string> then = pipe.Read();
  ASSERT_EQ(then.size(), 3u);
  EXPECT_EQ(then[0], "");  // the end of the one that was cut off
  EXPECT_EQ(json::parse(then[1])["lines"], 1);
  EXPECT_EQ(json::parse(then[2])["message"], "next");
}

TEST_F(LogTest, AStandardErrorWhoseReaderHasGoneIsNoHarm) {
  ASSERT_TRUE(StartLogging(LogSpec{}).ok());
  const int former = dup(STDERR_FILENO);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  dup2(ends[1], STDERR_FILENO);
  close(ends[0]);
  close(ends[1]);
  const auto handler = std::signal(SIGPIPE, SIG_IGN);  // as the daemon does
  const uint64_t before = LogLinesLost();
  LogInfo("to nobody");
  dup2(former, STDERR_FILENO);
  close(former);
  (void)std::signal(SIGPIPE, handler);
  EXPECT_EQ(LogLinesLost() - before, 1u);
}

TEST_F(LogTest, AFileWithoutRoomLosesLinesAndNothingElse) {
  const uint64_t before = LogLinesLost();
  ASSERT_TRUE(StartLogging({.level = "info", .file = "/dev/full"}).ok());
  LogInfo("one");
  LogInfo("two");
  EXPECT_EQ(LogLinesLost() - before, 2u);
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
