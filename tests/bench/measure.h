// What the benchmarks measure with: processor time, memory, and a process for each run.
#pragma once

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <type_traits>

namespace autoscale {

// Processor time, which a machine that is busy with other work distorts less than time.
double CpuMicros(clockid_t clock);
double CpuMicrosOf(int pid);

// Memory that is a process's own: pages shared with others count by their share.
double ProportionalKib(int pid);

template <typename Function>
int Fork(Function function) {
  std::fflush(stdout);
  const int pid = fork();
  if (pid != 0) return pid;
  function();
  std::fflush(stdout);
  _exit(0);
}

// What `function` answers in a process of its own, so that nothing of an earlier run is in its
// memory; nothing when it ended without an answer.
template <typename Function>
auto RunApart(Function function) -> std::optional<std::invoke_result_t<Function>> {
  using Answer = std::invoke_result_t<Function>;
  static_assert(std::is_trivially_copyable_v<Answer>);
  int result[2];
  if (pipe(result) != 0) return std::nullopt;
  const int child = Fork([&] {
    const Answer answer = function();
    if (write(result[1], &answer, sizeof answer) != sizeof answer) _exit(1);
  });
  close(result[1]);
  Answer answer{};
  const bool complete = child > 0 && read(result[0], &answer, sizeof answer) == sizeof answer;
  close(result[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return complete ? std::optional(answer) : std::nullopt;
}

}  // namespace autoscale
