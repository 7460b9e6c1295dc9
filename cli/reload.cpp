#include "cli/client.h"

namespace autoscale::cli {

int RunReload(const Context& context) {
  return Ask(context, &v1::Control::Stub::Reload, v1::ReloadRequest(),
             [&](const v1::ReloadResponse& answer) {
               Show(context, answer, [&] {
                 std::string text;
                 for (const std::string& warning : answer.warnings()) {
                   text += Printable(warning) + "\n";
                 }
                 return text + "reloaded: " + Count(answer.services(), "service") + " (" +
                        std::to_string(answer.added()) + " added, " +
                        std::to_string(answer.changed()) + " changed, " +
                        std::to_string(answer.removed()) + " removed).\n";
               });
             });
}

}  // namespace autoscale::cli
