// The commands of autoscalectl. Each prints its answer or its error and answers the exit code.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

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

struct ReplayOptions {
  int64_t id = 0;  // 0: the last decision of `service`
  std::string service;
  std::string policy;               // a file; empty: the recorded policy
  std::vector<std::string> params;  // "name=value", over the recorded ones
};
// Makes a decision again and compares; kExitFailed when anything differs.
int RunReplay(const Context& context, const ReplayOptions& options);

int RunShadow(const Context& context, const std::string& service);

int RunPause(const Context& context, const std::string& service, const std::string& reason);
int RunResume(const Context& context, const std::string& service);
struct ProtectOptions {
  std::string service;
  std::string instance;
  std::string duration;  // "1h"; empty: until it is taken off
  std::string reason;
  bool off = false;
};
int RunProtect(const Context& context, const ProtectOptions& options);
int RunReload(const Context& context, bool may_remove_all);
int RunVersion(const Context& context);

struct PolicyEvalOptions {
  std::string service_file;
  std::string name;         // of the service; empty: the only one of the file
  std::string daemon_file;  // for shared metrics and limits; may be empty
  std::string input_file;   // "-": standard input
};
// Offline: evaluates a service's policy once over the input and prints JSON.
int RunPolicyEval(const Context& context, const PolicyEvalOptions& options);

struct PolicyTestOptions {
  std::vector<std::string> paths;  // files, and folders with all beneath them
  int jobs = 0;                    // threads; 0: as many as there are cores
  bool tap = false;
  std::string filter;  // only cases with this text in their place or name
};
// Offline: runs tests of policies; 1 when one failed, 2 when there is none.
int RunPolicyTest(const Context& context, const PolicyTestOptions& options);

struct PolicyCheckOptions {
  std::vector<std::string> paths;               // files, and folders with all beneath them; or:
  std::string service_file, name, daemon_file;  // as of PolicyEvalOptions; no name: all of the file
};
// Offline: what can be said of policies before they act; 1 when there is an error.
int RunPolicyCheck(const Context& context, const PolicyCheckOptions& options);

struct PolicyDiffOptions {
  std::string old_policy, new_policy;           // files, or names of shipped ones
  std::vector<std::string> inputs;              // *.scenario; JSON of `policy eval`, one or a line
  std::string service_file, name, daemon_file;  // for JSON; as of PolicyEvalOptions
};
// Offline: two policies on the same inputs; 0 when they decide the same, 1 when not, 2 on trouble.
int RunPolicyDiff(const Context& context, const PolicyDiffOptions& options);

// Offline: the policies that come with autoscaled, and the modules of their library.
int RunPolicyList(const Context& context);
int RunPolicyShow(const Context& context, const std::string& name);

}  // namespace autoscale::cli
