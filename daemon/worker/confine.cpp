#include "daemon/worker/confine.h"

#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace autoscale {
namespace {

constexpr rlim_t kStack = 8u << 20;  // nested calls from C into Lua overflow smaller ones

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // sanitizers reserve terabytes and make calls of their own
#else
constexpr bool kSanitized = false;
#endif

bool Limit(int resource, rlim_t value) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return false;
  limit.rlim_cur = std::min(value, limit.rlim_max);
  if (resource != RLIMIT_STACK) limit.rlim_max = limit.rlim_cur;
  return setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0;
}

Status LimitResources([[maybe_unused]] rlim_t address_space) {
  const bool done = Limit(RLIMIT_CORE, 0) && Limit(RLIMIT_FSIZE, 0) &&
                    Limit(RLIMIT_STACK, kStack) &&
                    (kSanitized || (Limit(RLIMIT_AS, address_space) && Limit(RLIMIT_NOFILE, 8)));
  if (done) return Ok{};
  return Error{ErrorKind::kInternal, std::string("cannot set its limits: ") + std::strerror(errno)};
}

// Everything else fails with EPERM: a policy has no way to ask, so that only our own mistake or a
// break-out meets it.
Status FilterCalls() {
  constexpr int kAllowed[] = {SCMP_SYS(read),
                              SCMP_SYS(write),
                              SCMP_SYS(writev),
                              SCMP_SYS(close),
                              SCMP_SYS(brk),
                              SCMP_SYS(munmap),
                              SCMP_SYS(mremap),
                              SCMP_SYS(madvise),
                              SCMP_SYS(futex),
                              SCMP_SYS(clock_gettime),
                              SCMP_SYS(getrandom),
                              SCMP_SYS(rt_sigreturn),
                              SCMP_SYS(rt_sigaction),
                              SCMP_SYS(rt_sigprocmask),
                              SCMP_SYS(restart_syscall),
                              SCMP_SYS(getpid),
                              SCMP_SYS(gettid),
                              SCMP_SYS(tgkill),
                              SCMP_SYS(exit),
                              SCMP_SYS(exit_group)};
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) return Error{ErrorKind::kInternal, "cannot make a seccomp filter"};
  int failed = 0;
  for (const int call : kAllowed) {
    if (failed == 0) failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
  }
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {  // but no new code
    if (failed == 0) {
      failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
  }
  if (failed == 0) failed = seccomp_load(filter);
  seccomp_release(filter);
  if (failed == 0) return Ok{};
  return Error{ErrorKind::kInternal,
               std::string("cannot load its seccomp filter: ") + std::strerror(-failed)};
}

}  // namespace

Status Confine(size_t memory_bytes) {
  Status limited = LimitResources(memory_bytes);
  return limited && !kSanitized ? FilterCalls() : limited;
}

}  // namespace autoscale
