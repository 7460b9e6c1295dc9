// What the provider reads and changes while all is well.
#include <atomic>

#include "tests/unit/http_provider/rig.h"

namespace autoscale {
namespace {

const std::string kNumber =
    "current: {url: MANAGER/group, pointer: /capacity}\n"
    "set: {url: MANAGER/group, body: '{\"capacity\": {{capacity}}, \"of\": \"{{service}}\"}'}\n";
const std::string kListed = kNumber +
                            "instances: {pointer: /instances, id: /name, address: /addr, "
                            "ready: /ready}\n";
const std::string kRelative =
    "current: {url: MANAGER/group, pointer: /capacity}\n"
    "scale_up: {url: \"MANAGER/up?by={{delta}}&from={{seen}}\"}\n"
    "scale_down: {url: MANAGER/down, body: '{\"by\": {{delta}}, \"end\": {{victims}}}'}\n"
    "instances: {pointer: /instances, id: \"\"}\n";

TEST_F(HttpProviderTest, ReadsACapacityAndNamesWhatItStandsFor) {
  manager_.Answer("/group", R"({"capacity": 3})");
  const Observation seen = Observe(Target(kNumber + "poll: 7s\n"));
  ASSERT_FALSE(seen.fault) << seen.fault->message;
  EXPECT_EQ(seen.capacity, 3);
  EXPECT_EQ(seen.abilities,
            (TargetAbilities{
                .names_instances = false, .ends_exactly = false, .poll = std::chrono::seconds(7)}));
  ASSERT_EQ(seen.instances.size(), 3u);
  EXPECT_EQ(seen.instances[2].id, "web-3");
  EXPECT_EQ(seen.instances[2].state, InstanceState::kReady);
  EXPECT_EQ(seen.instances[2].endpoint, "");
  EXPECT_GT(seen.instances[2].rank, seen.instances[0].rank);
}

TEST_F(HttpProviderTest, TheManagerMaySayHowManyAreReady) {
  manager_.Answer("/group", R"({"capacity": 3, "ready": 1})");
  const std::string yaml = "current: {url: MANAGER/group, pointer: /capacity, ready: /ready}\n" +
                           kNumber.substr(kNumber.find("set"));
  const Observation seen = Observe(Target(yaml));
  EXPECT_EQ(seen.capacity, 3);
  ASSERT_EQ(seen.instances.size(), 3u);
  EXPECT_EQ(seen.instances[0].state, InstanceState::kReady);
  EXPECT_EQ(seen.instances[1].state, InstanceState::kStarting);
  manager_.Answer("/group", R"({"capacity": 3})");
  EXPECT_TRUE(Has(FaultOf(Target(yaml)), "/group: the answer has no /ready"));
}

TEST_F(HttpProviderTest, ReadsInstancesAndRemembersWhoWasReady) {
  const TargetRef ref = Target(kListed);
  const auto answer = [&](const std::string& instances) {
    manager_.Answer("/group", "{\"capacity\": 2, \"instances\": [" + instances + "]}");
  };
  const std::string sick = R"({"name": "a", "addr": "10.0.0.1:80", "ready": false})";
  const std::string fine = R"({"name": "a", "addr": "10.0.0.1:80", "ready": true})";
  const std::string fresh = R"({"name": "b", "addr": null, "ready": false})";
  // Whoever is there when we come may have been ready before.
  answer(sick);
  EXPECT_EQ(Observe(ref).instances.at(0).state, InstanceState::kUnready);
  answer(fine + "," + fresh);
  Observation seen = Observe(ref);
  ASSERT_EQ(seen.instances.size(), 2u);
  EXPECT_EQ(seen.instances[0].state, InstanceState::kReady);
  EXPECT_EQ(seen.instances[0].endpoint, "10.0.0.1:80");
  EXPECT_EQ(seen.instances[1].state, InstanceState::kStarting);
  EXPECT_EQ(seen.instances[1].detail, "/ready is false");
  answer(sick + "," + fresh);
  seen = Observe(ref);
  EXPECT_EQ(seen.instances[0].state, InstanceState::kUnready);
  EXPECT_EQ(seen.instances[1].state, InstanceState::kStarting);
  EXPECT_EQ(manager_.requests().size(), 3u) << "capacity and list are one answer here";
}

TEST_F(HttpProviderTest, ServicesWithOneUrlShareItsRequest) {
  manager_.Answer("/all", R"({"a": {"n": 1}, "b": {"n": 2}})");
  const std::string yaml =
      "current: {url: MANAGER/all, pointer: \"/{{service}}/n\"}\n"
      "set: {url: \"MANAGER/set?n={{capacity}}\"}\n";
  const auto seen = Observe({Target(yaml, "a"), Target(yaml, "b"), Target(yaml, "c")});
  EXPECT_EQ(seen[0].capacity, 1);
  EXPECT_EQ(seen[1].capacity, 2);
  ASSERT_TRUE(seen[2].fault);
  EXPECT_TRUE(Has(seen[2].fault->message, "the answer has no /c/n"));
  EXPECT_EQ(manager_.requests().size(), 1u);
  // Not with others' credentials.
  Write("token", "t");
  Observe({Target(yaml, "a"), Target(yaml + "auth: {bearer: {file: token}}\n", "b")});
  EXPECT_EQ(manager_.requests().size(), 3u);
}

TEST_F(HttpProviderTest, SetsACapacity) {
  manager_.Answer("/group", "", 204);
  EXPECT_TRUE(Set(Target(kNumber), {.capacity = 5, .seen = 3, .intent = "web/7/12"}).ok());
  const FakeRequest request = manager_.requests().at(0);
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.body, R"({"capacity": 5, "of": "web"})");
  EXPECT_EQ(request.Header("content-type"), "application/json");
  EXPECT_EQ(request.Header("idempotency-key"), "web/7/12");
}

TEST_F(HttpProviderTest, ScalesByWhatIsThereNow) {
  manager_.Answer("/group", R"({"capacity": 3, "instances": []})");
  manager_.Answer("/up", "", 202);
  manager_.Answer("/down", "", 202);
  const TargetRef ref = Target(kRelative);
  EXPECT_TRUE(Set(ref, {.capacity = 5, .seen = 3, .intent = "web/1/1"}).ok());
  EXPECT_EQ(RequestsFor("/up").at(0).target, "/up?by=2&from=3");
  EXPECT_EQ(RequestsFor("/up").at(0).Header("idempotency-key"), "web/1/1");
  EXPECT_TRUE(Set(ref, {.capacity = 1, .seen = 3, .intent = "web/1/2"}).ok());
  EXPECT_EQ(RequestsFor("/down").at(0).body, R"({"by": 2, "end": []})");
  EXPECT_TRUE(Set(ref, {.capacity = 2, .victims = {"b"}, .seen = 3, .intent = "web/1/3"}).ok());
  EXPECT_EQ(RequestsFor("/down").at(1).body, R"({"by": 1, "end": ["b"]})");
  EXPECT_EQ(RequestsFor("/group").size(), 3u);
  // One ends, two are new.
  EXPECT_TRUE(Set(ref, {.capacity = 4, .victims = {"c"}, .seen = 3, .intent = "web/1/4"}).ok());
  EXPECT_EQ(RequestsFor("/down").at(2).body, R"({"by": 1, "end": ["c"]})");
  EXPECT_EQ(RequestsFor("/up").at(1).target, "/up?by=2&from=2");
  EXPECT_EQ(RequestsFor("/up").at(1).Header("idempotency-key"), "web/1/4/up");
}

TEST_F(HttpProviderTest, ARelativeChangeOfWhatSomebodyElseChangedIsAConflict) {
  manager_.Answer("/group", R"({"capacity": 4})");
  const TargetRef ref = Target(kRelative);
  const Status refused = Set(ref, {.capacity = 5, .seen = 3, .intent = "web/1/1"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kConflict);
  EXPECT_TRUE(Has(refused.error().message, "the capacity is 4 now, not 3"));
  // Unless it is what we wish: it was us, and the answer was lost.
  EXPECT_TRUE(Set(ref, {.capacity = 4, .seen = 3, .intent = "web/1/1"}).ok());
  EXPECT_EQ(RequestsFor("/up").size(), 0u);
}

TEST_F(HttpProviderTest, ALostAnswerToARelativeChangeIsNotAddedAgain) {
  std::atomic<int> capacity{3};
  manager_.Handle([&](const FakeRequest& request) {
    if (request.method == "GET") {
      return FakeAnswer{.body = "{\"capacity\": " + std::to_string(capacity) + "}"};
    }
    capacity += 2;
    return FakeAnswer{.ending = FakeAnswer::Ending::kDrop};
  });
  EXPECT_TRUE(Set(Target(kRelative), {.capacity = 5, .seen = 3, .intent = "web/1/1"}).ok());
  EXPECT_EQ(capacity, 5);
}

TEST_F(HttpProviderTest, WhatIsObservedAfterAChangeIsNew) {
  std::atomic<int> capacity{3};
  manager_.Handle([&](const FakeRequest& request) {
    if (request.method == "PUT") capacity = 5;
    return FakeAnswer{.body = "{\"capacity\": " + std::to_string(capacity) + "}"};
  });
  const TargetRef ref = Target(kNumber);
  EXPECT_EQ(Observe(ref).capacity, 3);
  EXPECT_TRUE(Set(ref, {.capacity = 5, .seen = 3, .intent = "web/1/1"}).ok());
  EXPECT_EQ(Observe(ref).capacity, 5);
}

TEST_F(HttpProviderTest, EndsQuietlyInTheMiddle) {
  auto gate = std::make_shared<Gate>();
  manager_.Handle([&](const FakeRequest&) { return FakeAnswer{.body = "{}", .gate = gate}; });
  const TargetRef ref = Target(kNumber);
  provider_->Observe({ref}, [](auto) { ADD_FAILURE() << "called back"; });
  provider_->SetCapacity(ref, {.capacity = 1}, [](Status) { ADD_FAILURE() << "called back"; });
  loop_.Post([this] {
    provider_.reset();
    loop_.Stop();
  });
  loop_.Run();
  gate->Open();
  loop_.After(Millis(20), [this] { loop_.Stop(); });
  loop_.Run();
}

}  // namespace
}  // namespace autoscale
