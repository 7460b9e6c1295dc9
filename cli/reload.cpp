#include "cli/client.h"

namespace autoscale::cli {

int RunReload(const Context& context, bool may_remove_all) {
  v1::ReloadRequest request;
  request.set_may_remove_all(may_remove_all);
  return Ask(context, &v1::Control::Stub::Reload, request, [&](const v1::ReloadResponse& answer) {
    Show(context, answer, [&] {
      std::string text;
      for (const std::string& warning : answer.warnings()) {
        text += Printable(warning) + "\n";
      }
      return text + "reloaded: " + Count(answer.services(), "service") + " (" +
             std::to_string(answer.added()) + " added, " + std::to_string(answer.changed()) +
             " changed, " + std::to_string(answer.removed()) + " removed).\n";
    });
  });
}

}  // namespace autoscale::cli
