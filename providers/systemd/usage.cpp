#include "providers/systemd/usage.h"

#include <memory>
#include <utility>

namespace autoscale {
namespace {

struct Asked {
  std::vector<InstanceUsage> known;
  size_t missing = 0;
  std::function<void(std::vector<InstanceUsage>)> done;
};

}  // namespace

void AskForUsage(std::vector<UsageQuestion> questions,
                 std::function<void(std::vector<InstanceUsage>)> done) {
  if (questions.empty()) return done({});
  auto asked = std::make_shared<Asked>();
  asked->missing = questions.size();
  asked->done = std::move(done);
  for (UsageQuestion& question : questions) {
    question.bus->ReadUsage(question.unit, [asked, usage = std::move(question.usage)](
                                               const Result<UnitUsage>& answer) mutable {
      if (answer.ok() && (answer->cpu_seconds || answer->memory_bytes)) {
        usage.cpu_seconds = answer->cpu_seconds;
        usage.memory_bytes = answer->memory_bytes;
        asked->known.push_back(std::move(usage));
      }
      if (--asked->missing == 0) asked->done(std::move(asked->known));
    });
  }
}

}  // namespace autoscale
