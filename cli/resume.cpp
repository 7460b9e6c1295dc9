#include "cli/client.h"

namespace autoscale::cli {

int RunResume(const Context& context, const std::string& service) {
  v1::ResumeRequest request;
  request.set_service(service);
  return Ask(context, &v1::Control::Stub::Resume, request, [&](const v1::ResumeResponse& answer) {
    Show(context, answer, [&] { return service + " scales again.\n"; });
  });
}

}  // namespace autoscale::cli
