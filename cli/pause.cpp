#include "cli/client.h"

namespace autoscale::cli {

int RunPause(const Context& context, const std::string& service, const std::string& reason) {
  v1::PauseRequest request;
  request.set_service(service);
  request.set_reason(reason);
  return Ask(context, &v1::Control::Stub::Pause, request, [&](const v1::PauseResponse& answer) {
    Show(context, answer, [&] {
      return service + " is paused: it keeps its capacity until `autoscalectl resume " + service +
             "`.\n";
    });
  });
}

}  // namespace autoscale::cli
