// What a plugin says of a target, believed only when it is clear.
#include "providers/plugin/answer.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace autoscale {
namespace {

Observation Read(const std::string& text) {
  v1::TargetState state;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &state)) << text;
  return ReadTargetState(state);
}

TEST(PluginAnswer, SaysAllOfATarget) {
  const Observation seen = Read(
      "service: 'web' capacity: 3 ends_exactly: true poll { nanos: 250000000 } blocked: 'a rollout'"
      "instances { id: 'a' state: STATE_READY endpoint: '10.0.0.5:8080' rank: 4 }"
      "instances { id: 'b' state: STATE_STARTING detail: 'pulling\\nits image' }"
      "instances { id: 'c' state: STATE_STOPPING endpoint: '[fd00::5]:80' }"
      "instances { id: 'd' state: STATE_UNREADY endpoint: '10.0.0.6:8080' }");
  ASSERT_FALSE(seen.fault) << seen.fault->message;
  EXPECT_EQ(seen.service, "web");
  EXPECT_EQ(seen.capacity, 3);
  EXPECT_EQ(seen.blocked, "a rollout");
  EXPECT_EQ(seen.abilities,
            (TargetAbilities{.names_instances = false, .ends_exactly = true, .poll = Millis(250)}));
  ASSERT_EQ(seen.instances.size(), 4u);
  EXPECT_EQ(seen.instances[0].state, InstanceState::kReady);
  EXPECT_EQ(seen.instances[0].endpoint, "10.0.0.5:8080");
  EXPECT_EQ(seen.instances[0].rank, 4);
  EXPECT_EQ(seen.instances[1].state, InstanceState::kStarting);
  EXPECT_EQ(seen.instances[1].detail, "pulling its image");
  EXPECT_EQ(seen.instances[2].state, InstanceState::kStopping);
  EXPECT_EQ(seen.instances[3].state, InstanceState::kUnready);
}

TEST(PluginAnswer, WithoutAPollItIsAskedEachFiveSeconds) {
  EXPECT_EQ(Read("capacity: 0").abilities.poll, std::chrono::seconds(5));
}

TEST(PluginAnswer, NonsenseIsAFaultAndNeverAGuess) {
  const std::string instance = "capacity: 1 instances { id: 'a' state: STATE_READY ";
  const std::pair<std::string, std::string> kCases[] = {
      {"", "tells no capacity"},
      {"capacity: -1", "tells a capacity of -1: 0 to 100000 is possible"},
      {"capacity: 100001", "tells a capacity of 100001"},
      {"capacity: 1 poll { seconds: -1 }", "wants to be observed each -1s"},
      {"capacity: 1 poll {}", "wants to be observed each 0s"},
      {"capacity: 1 poll { seconds: 3601 }", "from 100ms to 1h is possible"},
      {"capacity: 1 poll { seconds: 9223372036854775807 }", "from 100ms to 1h is possible"},
      {"capacity: 1 instances { state: STATE_READY }", "names an instance ''"},
      {"capacity: 1 instances { id: 'a b' state: STATE_READY }", "names an instance 'a b'"},
      {"capacity: 1 instances { id: '\\303\\244' state: STATE_READY }", "printable ASCII"},
      {"capacity: 1 instances { id: '" + std::string(201, 'x') + "' state: STATE_READY }",
       "1 to 200 bytes"},
      {instance + "} instances { id: 'a' state: STATE_READY }", "lists instance 'a' twice"},
      {"capacity: 1 instances { id: 'a' }", "gives instance 'a' no state that is known"},
      {"capacity: 1 instances { id: 'a' state: 77 }", "no state that is known"},
      {instance + "endpoint: 'web.example:80' }", "must be an IP address and a port"},
      {instance + "endpoint: '10.0.0.5' }", "the endpoint '10.0.0.5'"},
      {instance + "endpoint: '10.0.0.5:0' }", "must be an IP address and a port"},
      {instance + "endpoint: '10.0.0.5:99999' }", "must be an IP address and a port"},
      {instance + "endpoint: 'fd00::5:80' }", "must be an IP address and a port"},
      {instance + "endpoint: '[10.0.0.5]:80' }", "must be an IP address and a port"},
      {instance + "endpoint: '10.0.0.5:80' } instances { id: 'b' state: STATE_READY endpoint: "
                  "'10.0.0.5:80' }",
       "gives instance 'b' the endpoint of another, 10.0.0.5:80"},
      {"capacity: 2 fault { code: 5 message: 'no such group' }", "no such group (NOT_FOUND)"},
      {"capacity: 2 fault {}", "(status 0)"},
  };
  for (const auto& [text, part] : kCases) {
    const Observation seen = Read(text);
    ASSERT_TRUE(seen.fault) << text;
    EXPECT_NE(seen.fault->message.find(part), std::string::npos) << seen.fault->message;
    EXPECT_LT(seen.fault->message.size(), 400u);
  }
}

}  // namespace
}  // namespace autoscale
