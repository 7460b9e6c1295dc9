// Structured logs: one JSON object a line, through spdlog. From any thread.
//
// A line is written before the call returns, so that the last one before a crash is there, but
// never waited for: while nobody reads standard error (a reader that is stopped, a full pipe) its
// lines are dropped and counted, and the first that goes out again says how many are missing.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "config/spec.h"
#include "engine/model/result.h"

namespace autoscale {

using LogValue = std::variant<std::string_view, int64_t, double, bool>;
using LogFields = std::initializer_list<std::pair<std::string_view, LogValue>>;

// Before it is called, everything goes to standard error at level info. Reopens nothing: rotate the
// file with copytruncate, or log to standard error and let the journal keep it.
Status StartLogging(const LogSpec& spec);

// {"time":"2026-01-02T03:04:05.678Z","level":"info","message":"...", fields...}. The usual fields:
// "service", "decision" (id), "instance", "gateway".
void LogDebug(std::string_view message, LogFields fields = {});
void LogInfo(std::string_view message, LogFields fields = {});
void LogWarning(std::string_view message, LogFields fields = {});
void LogError(std::string_view message, LogFields fields = {});

// Lines that were not written since the start: nobody read them, or their file took none.
uint64_t LogLinesLost();

}  // namespace autoscale
