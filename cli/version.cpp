#include "cli/client.h"

namespace autoscale::cli {

// The client's version is known in any case, and worth knowing when the daemon does not answer.
int RunVersion(const Context& context) {
  if (!context.json) context.out << "autoscalectl " << AUTOSCALED_VERSION << std::endl;
  return Ask(
      context, &v1::Control::Stub::GetVersion, v1::GetVersionRequest(),
      [&](const v1::GetVersionResponse& answer) {
        if (context.json) {
          context.out << Dump({{"client", AUTOSCALED_VERSION}, {"daemon", answer.version()}});
        } else {
          context.out << "autoscaled " << answer.version() << "\n";
        }
      });
}

}  // namespace autoscale::cli
