#include "daemon/telemetry/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
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

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink, level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("autoscaled", std::move(sink));
  logger->set_level(level);
  logger->flush_on(spdlog::level::trace);  // the last line before a crash matters most
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
      MakeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), spdlog::level::info);
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
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
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

}  // namespace autoscale
