#include "daemon/telemetry/log.h"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cmath>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <type_traits>

namespace autoscale {
namespace {

using nlohmann::json;
using spdlog::level::level_enum;

constexpr std::array<std::pair<std::string_view, level_enum>, 4> kLevels = {
    {{"debug", spdlog::level::debug},
     {"info", spdlog::level::info},
     {"warn", spdlog::level::warn},
     {"error", spdlog::level::err}}};

std::atomic<uint64_t> lines_lost{0};

// Standard error, as far as it takes something at once.
class StandardErrorSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (missing_ > 0 && !Write(Format(Missing(message)))) return Lose();
    missing_ = 0;
    if (!Write(Format(message))) Lose();
  }
  void flush_() override {}  // nothing is kept

 private:
  // A pipe, a socket and a terminal that are ready take so much without waiting.
  static constexpr size_t kPiece = PIPE_BUF;

  static bool IsReady() {
    pollfd standard_error{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    return poll(&standard_error, 1, 0) == 1 && (standard_error.revents & POLLOUT) != 0;
  }

  std::string Format(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    return (std::exchange(cut_, false) ? "\n" : "") + std::string(line.data(), line.size());
  }

  [[nodiscard]] spdlog::details::log_msg Missing(const spdlog::details::log_msg& next) {
    text_ = R"("level":"warn","message":"nobody read this log: lines are missing","lines":)" +
            std::to_string(missing_);
    return {next.time, {}, next.logger_name, spdlog::level::warn, text_};
  }

  // False: not the whole of it.
  bool Write(std::string_view line) {
    const size_t whole = line.size();
    while (!line.empty()) {
      if (!IsReady()) break;
      const ssize_t count = write(STDERR_FILENO, line.data(), std::min(line.size(), kPiece));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      line.remove_prefix(static_cast<size_t>(count));
    }
    cut_ = !line.empty() && line.size() < whole;
    return line.empty();
  }

  void Lose() {
    ++missing_;
    ++lines_lost;
  }

  uint64_t missing_ = 0;  // since the last that was written
  bool cut_ = false;      // a line ends in its middle
  std::string text_;
};

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink, level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("autoscaled", std::move(sink));
  logger->set_level(level);
  logger->flush_on(spdlog::level::trace);  // the last line before a crash matters most
  // A disk that is full; saying so elsewhere might be waited for.
  logger->set_error_handler([](const std::string&) { ++lines_lost; });
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ",%v})", spdlog::pattern_time_type::utc));
  return logger;
}

// The logger in use. Never destroyed: destructors of static objects may still log.
class Current {
 public:
  static Current& Get() {
    static auto& current = *new Current;
    return current;
  }
  std::shared_ptr<spdlog::logger> logger() {
    const std::lock_guard lock(mutex_);
    return logger_;
  }
  void Set(std::shared_ptr<spdlog::logger> logger) {
    const std::lock_guard lock(mutex_);
    logger_ = std::move(logger);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<spdlog::logger> logger_ =
      MakeLogger(std::make_shared<StandardErrorSink>(), spdlog::level::info);
};

void AppendText(std::string& line, std::string_view text) {
  line += json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

void AppendValue(std::string& line, const LogValue& value) {
  std::visit(
      [&line](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string_view>) {
          AppendText(line, held);
        } else {
          line += json(held).dump();  // of a double that is no number: null
        }
      },
      value);
}

// Everything but the opening brace, the time and the closing brace, which the formatter adds.
void Log(level_enum level, std::string_view name, std::string_view message, LogFields fields) {
  const auto logger = Current::Get().logger();
  if (!logger->should_log(level)) return;
  std::string line = R"("level":")";
  line += name;
  line += R"(","message":)";
  AppendText(line, message);
  for (const auto& [key, value] : fields) {
    line += ',';
    AppendText(line, key);
    line += ':';
    AppendValue(line, value);
  }
  logger->log(level, spdlog::string_view_t(line));
}

}  // namespace

Status StartLogging(const LogSpec& spec) {
  std::optional<level_enum> level;
  for (const auto& [name, value] : kLevels) {
    if (name == spec.level) level = value;
  }
  if (!level) {
    return Error{ErrorKind::kInvalid,
                 "log: level must be debug, info, warn or error, but it is \"" + spec.level + "\""};
  }
  try {
    spdlog::sink_ptr sink;
    if (spec.file.empty()) {
      sink = std::make_shared<StandardErrorSink>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(spec.file);  // appends
    }
    Current::Get().Set(MakeLogger(std::move(sink), *level));
  } catch (const spdlog::spdlog_ex& failed) {
    return Error{ErrorKind::kUnavailable, std::string("log: ") + failed.what()};
  }
  return Ok{};
}

void LogDebug(std::string_view message, LogFields fields) {
  Log(spdlog::level::debug, "debug", message, fields);
}
void LogInfo(std::string_view message, LogFields fields) {
  Log(spdlog::level::info, "info", message, fields);
}
void LogWarning(std::string_view message, LogFields fields) {
  Log(spdlog::level::warn, "warn", message, fields);
}
void LogError(std::string_view message, LogFields fields) {
  Log(spdlog::level::err, "error", message, fields);
}

uint64_t LogLinesLost() { return lines_lost; }

}  // namespace autoscale
