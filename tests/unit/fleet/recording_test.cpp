#include "daemon/fleet/recording.h"

#include <gtest/gtest.h>

#include "tests/fakes/parts.h"

namespace autoscale {
namespace {

TEST(RecordingProvider, ObservesWhatIsRealAndChangesNothing) {
  FakeProvider real;
  real.instances["web"]["a"] = {"a", InstanceState::kReady, "127.0.0.1:1", ""};
  RecordingProvider recording(real);
  const TargetRef target{"web", std::make_shared<FakeTarget>()};
  size_t seen = 0;
  recording.Observe({target}, [&](auto answer) { seen = answer->at(0).instances.size(); });
  EXPECT_EQ(seen, 1u);
  int answered = 0;
  const auto count = [&](const std::vector<Status>& answers) {
    for (const Status& answer : answers) answered += answer.ok() ? 1 : 0;
  };
  recording.Launch(target, {"b", "c"}, count);
  recording.Terminate(target, {"a"}, count);
  recording.Forget("web", "a");
  EXPECT_EQ(answered, 3);
  EXPECT_EQ(recording.launches(), 2);
  EXPECT_EQ(recording.terminations(), 1);
  EXPECT_TRUE(real.history.empty());
}

TEST(RecordingGateway, TellsBackTheVersionItTook) {
  RecordingGateway gateway;
  gateway.Publish({.upstream = "web", .version = {3, 14}}, [](const Status&) {});
  gateway.Inspect({"web", "other"}, [](auto answer) {
    EXPECT_EQ(answer->at(0).version, (ListVersion{3, 14}));
    EXPECT_EQ(answer->at(1).version, (ListVersion{}));
  });
}

}  // namespace
}  // namespace autoscale
