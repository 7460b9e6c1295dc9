// What a service allows its policy in place of what all may use.
#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

using Texts = std::vector<std::string>;

class Limits : public ::testing::Test {
 protected:
  Limits() {
    files_.Write("p.lua", "return hold()");
    Daemon("100ms");
  }
  void Daemon(const std::string& wall) {
    files_.Write("d.yaml",
                 "prometheus: {url: \"http://127.0.0.1:9090/\"}\n"
                 "policy_limits:\n  wall: " +
                     wall + "\n");
  }
  // From line 3 on.
  Texts Load(const std::string& limits, const std::string& interval = "1s") {
    files_.Write("services.d/web.yaml", "service: web\npolicy: ../p.lua\n" + limits +
                                            "\ninterval: " + interval +
                                            "\nmax: 5\nprovider: {type: fake, ports: 1-2}\n");
    loaded_ = LoadConfiguration(files_.Path("d.yaml"), FakeAdapters());
    return files_.Texts(loaded_.diagnostics);
  }
  const ServiceSpec& Service() { return loaded_.configuration.services.at(0); }
  Files files_;
  LoadResult loaded_;
};

TEST_F(Limits, OfAServiceAreItsOwn) {
  EXPECT_EQ(Load("limits: {instructions: 5000, wall: 20ms, state: 64KiB}"), Texts());
  EXPECT_EQ(Service().limits.instructions, 5000);
  EXPECT_EQ(Service().limits.wall, Millis(20));
  EXPECT_EQ(Service().limits.state_bytes, 64U << 10);
  EXPECT_EQ(SnapshotOf(Service()).limits, Service().limits);
  const uint64_t hash = Service().content_hash;
  EXPECT_EQ(Load("limits: {wall: 30ms}"), Texts());
  EXPECT_EQ(Service().limits,
            (OwnLimits{.instructions = {}, .wall = Millis(30), .state_bytes = {}}))
      << "what it does not say is the daemon's";
  EXPECT_NE(Service().content_hash, hash) << "a reload takes it up";
  EXPECT_EQ(Load(""), Texts());
  EXPECT_EQ(Service().limits, OwnLimits{});
}

TEST_F(Limits, OfAServiceHaveBounds) {
  const std::string at = "services.d/web.yaml:3: ";
  EXPECT_EQ(Load("limits: {instructions: 999}"),
            Texts{at + "'limits.instructions' must be at least 1000, not 999"});
  EXPECT_EQ(Load("limits: {wall: 1001ms}"),
            Texts{at + "'limits.wall' must be at most 1s, not 1001ms"});
  EXPECT_EQ(Load("limits: {state: 1}").size(), 1U);
  EXPECT_EQ(Load("limits: {walls: 1s}"), Texts{at + "unknown key 'walls'; did you mean 'wall'?"});
  EXPECT_EQ(Load("limits: {memory: 1MiB}"),
            Texts{at + "'limits.memory' is not for one service: all policies share a process; set "
                       "'policy_limits.memory' in the daemon's file"});
}

TEST_F(Limits, AWallOfItsOwnLeavesTheOthersTheirTurn) {
  files_.Write("services.d/quick.yaml",
               "service: quick\npolicy: ../p.lua\ninterval: 500ms\nmax: 5\n"
               "provider: {type: fake, ports: 3-4}\n");
  EXPECT_EQ(Load("limits: {wall: 200ms}"), Texts());
  const std::string rest =
      " is too long for the interval of 500ms of service 'quick' at services.d/quick.yaml:1: a "
      "policy that hangs would cost every service its turn; write at most 200ms, or lengthen that "
      "interval";
  EXPECT_EQ(Load("limits:\n  state: 1KiB\n  wall: 201ms", "1h"),
            Texts{"services.d/web.yaml:5: 'limits.wall' of 201ms" + rest});
  Daemon("300ms");
  EXPECT_EQ(Load("limits: {wall: 200ms}"), Texts{"d.yaml:3: 'policy_limits.wall' of 300ms" + rest})
      << "the quick one has it";
  files_.Write("services.d/quick.yaml",
               "service: quick\npolicy: ../p.lua\ninterval: 500ms\nmax: 5\n"
               "limits: {wall: 10ms}\nprovider: {type: fake, ports: 3-4}\n");
  EXPECT_EQ(Load("limits: {wall: 200ms}"), Texts()) << "nobody has it";
}

}  // namespace
}  // namespace autoscale
