// PolicyHost: runs users' Lua policies, sandboxed and deterministic.
//
// snapshot -> proposal. No I/O, no threads, no clock but the wall-clock limit. One host serves many
// policies one after the other; it is not thread-safe. The daemon keeps hosts in worker processes,
// because C code such as pattern matching cannot be stopped from inside; the CLI and the tests call
// it in their own process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/model/decision.h"
#include "engine/model/result.h"
#include "engine/model/snapshot.h"

namespace autoscale {

// A file that a policy requires, itself or by another module.
struct PolicyModule {
  std::string name;  // as required: "lib.smooth"
  std::string path;  // where it was read
  std::string text;  // Lua source, never bytecode
};
using PolicyModules = std::vector<std::shared_ptr<const PolicyModule>>;

// A policy file as read, with all that it requires. Shared by all services that use it.
struct PolicySource {
  std::string path;       // as messages show it
  std::string text;       // Lua source, never bytecode
  uint64_t hash = 0;      // of the text and the modules; with the same hash it is the same policy
  PolicyModules modules;  // by name
};

struct PolicyLimits {
  int instructions = 200'000;             // VM instructions an evaluation; repeatable
  size_t memory_bytes = 16u << 20;        // soft cap of what an evaluation adds to its Lua state
  Millis wall{100};                       // for what instructions do not catch; processor time
  size_t state_bytes = 16u << 10;         // the encoded `state` table
  size_t source_bytes = 256u << 10;       // a policy file with the modules beside it
  size_t worker_bytes = size_t{2} << 30;  // address space of the process that runs policies
};

// Where a limit was set, as messages name it: "policy_limits.wall", or, where it is a service's
// own, "limits.wall of service web".
struct LimitName {
  LimitName(const char* key, bool own, std::string_view service);
  char text[128];
};

// What came of one evaluation. A faulty policy is a hold with cause kFault, never an error: it
// costs its own service a hold and nobody else anything.
struct Evaluation {
  Proposal proposal;
  std::optional<std::string> state;  // the new encoded `state`; absent when it did not change
  // A fault that does not follow from the snapshot: it was killed, quarantined, never run, or out
  // of time.
  bool outside = false;
  bool quarantined = false;  // not run, because of what it has cost before
  bool unserved = false;     // not run, because there was no time left
  bool at_limit = false;     // a fault because a limit was met
  bool misfit =
      false;           // it named a metric or parameter that is not there, or a level that no value
                       // of the metric's unit can reach: the policy and the service do not fit
  bool named = false;  // it asked for the service's name: another service may get another answer
};

// The proposal; nothing where no evaluation led to it.
inline std::optional<Proposal> AnswerOf(const Evaluation& evaluation) {
  if (evaluation.outside) return std::nullopt;
  return evaluation.proposal;
}

// For whoever has to know more of a check than its answer.
struct CheckWatch {
  std::function<void()> begins;  // called before each evaluation; may be empty
  bool* named = nullptr;         // set where the policy asks for the service's name
};

class PolicyHost {
 public:
  explicit PolicyHost(PolicyLimits limits);
  ~PolicyHost();
  PolicyHost(const PolicyHost&) = delete;
  PolicyHost& operator=(const PolicyHost&) = delete;

  // Compiles the source, or says why not as "file:line: message". Compiling what is already
  // compiled (same hash) is free.
  Status Load(const PolicySource& source);

  // Runs the policy for the service of the snapshot, whose time, capacity, samples and state are
  // made up, and finds before it acts what can be found. An error where policy and service do not
  // fit: syntax, an unknown metric or parameter, a level that cannot fit its metric's unit. Else a
  // doubt, empty when there is none: the first fault (a loop, an error, nonsense returned) on a
  // path that the made-up samples reach, which would cost this service a hold, or a global that is
  // given a value, which does not outlive the evaluation. It is told and not refused.
  Result<std::string> Check(const PolicySource& source, const Snapshot& service,
                            const CheckWatch& watch = {});

  // Evaluates once. Loads the source when it is not yet loaded.
  Evaluation Evaluate(const PolicySource& source, const Snapshot& snapshot);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace autoscale
