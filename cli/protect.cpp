#include "cli/client.h"
#include "config/section.h"

namespace autoscale::cli {

int RunProtect(const Context& context, const ProtectOptions& options) {
  v1::ProtectRequest request;
  request.set_service(options.service);
  request.set_instance(options.instance);
  request.set_reason(options.reason);
  request.set_off(options.off);
  if (!options.duration.empty()) {
    const auto duration = ParseDuration(options.duration);
    if (!duration || duration->count() <= 0) {
      return Fail(context, kExitUsage,
                  "--for: " + (duration ? "must be more than zero" : duration.error().message));
    }
    request.set_duration(ToSeconds(*duration));
  }
  return Ask(context, &v1::Control::Stub::Protect, request, [&](const v1::ProtectResponse& answer) {
    Show(context, answer, [&] {
      if (options.off) return options.instance + " is not protected any more.\n";
      return options.instance + " is protected" +
             (options.duration.empty() ? "" : " for " + options.duration) +
             ": no scale-in takes it away. `autoscalectl protect " + options.service + " " +
             options.instance + " --off` ends it.\n";
    });
  });
}

}  // namespace autoscale::cli
