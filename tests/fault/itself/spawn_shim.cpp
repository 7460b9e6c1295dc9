// Preloaded into the daemon by a test: while a file of the name in SPAWN_FAILS exists, no process
// can be started, as when their number is limited (which binds no root, and so no test in a
// container).
#include <dlfcn.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

extern "C" int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* files,
                           const posix_spawnattr_t* attributes, char* const arguments[],
                           char* const environment[]) {
  const char* fails = std::getenv("SPAWN_FAILS");
  if (fails != nullptr && access(fails, F_OK) == 0) return EAGAIN;
  static const auto next =
      reinterpret_cast<decltype(&posix_spawn)>(dlsym(RTLD_NEXT, "posix_spawn"));
  return next(pid, path, files, attributes, arguments, environment);
}
