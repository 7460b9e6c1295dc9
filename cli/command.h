// The commands of autoscalectl. Each prints its answer or its error and answers the exit code.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "cli/text.h"
#include "engine/model/time.h"

namespace autoscale::cli {

// What autoscalectl exits with; documented in docs/autoscalectl.md.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;       // the daemon refused or failed
inline constexpr int kExitUsage = 2;        // bad usage or input
inline constexpr int kExitUnreachable = 3;  // no daemon answered

inline constexpr const char* kDefaultSocket = "/run/autoscaled/control.sock";

struct Context {
  std::string socket = kDefaultSocket;
  bool json = false;
  Millis timeout{std::chrono::seconds(10)};
  Style style;
  std::ostream& out;
  std::ostream& err;
};

// Prints "autoscalectl: MESSAGE" and answers the code.
int Fail(const Context& context, int code, const std::string& message);

int RunStatus(const Context& context, const std::string& service);  // empty: all
int RunExplain(const Context& context, const std::string& service);
int RunExplainDecision(const Context& context, int64_t id);
int RunHistory(const Context& context, const std::string& service, int limit);
int RunPause(const Context& context, const std::string& service, const std::string& reason);
int RunResume(const Context& context, const std::string& service);
int RunReload(const Context& context);
int RunVersion(const Context& context);

struct PolicyEvalOptions {
  std::string service_file;
  std::string name;         // of the service; empty: the only one of the file
  std::string daemon_file;  // for shared metrics and limits; may be empty
  std::string input_file;   // "-": standard input
};
// Offline: evaluates a service's policy once over the input and prints JSON.
int RunPolicyEval(const Context& context, const PolicyEvalOptions& options);

}  // namespace autoscale::cli
