// Instances that their target calls ready are asked themselves.
#include "providers/readiness/readiness.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <utility>

#include "tests/fakes/http_server.h"

namespace autoscale {
namespace {

struct PlainTarget final : ProviderTarget {
  [[nodiscard]] bool has_capacity() const override { return true; }
  [[nodiscard]] std::string identity() const override { return "group"; }
};

std::shared_ptr<const ProviderTarget> ParsePlain(Section& section, const std::string& /*service*/) {
  section.String("group");
  return std::make_shared<PlainTarget>();
}

// Answers what the test says; records what it is given.
class FakeTargets final : public Provider {
 public:
  void Observe(std::vector<TargetRef> targets,
               std::function<void(Result<std::vector<Observation>>)> done) override {
    for (const TargetRef& ref : targets) {
      EXPECT_NE(dynamic_cast<const PlainTarget*>(ref.target.get()), nullptr);
    }
    done(std::vector<Observation>{observation});
  }
  void SetCapacity(TargetRef target, CapacityWish wish, std::function<void(Status)> done) override {
    EXPECT_NE(dynamic_cast<const PlainTarget*>(target.target.get()), nullptr);
    wishes.push_back(wish.capacity);
    done(Ok{});
  }
  void SetTargetListener(TargetListener to) override { listener = std::move(to); }

  Observation observation{.service = "web", .abilities = {.names_instances = false}, .capacity = 1};
  std::vector<int> wishes;
  TargetListener listener;
};

class ReadinessTest : public testing::Test {
 protected:
  ReadinessTest() {
    auto fake = std::make_unique<FakeTargets>();
    targets_ = fake.get();
    provider_ = WithReadiness(ProviderContext{.loop = loop_, .http = http_, .state_dir = ""},
                              std::move(fake));
    provider_->SetListener([this](const std::string& service, const ObservedInstance& observed) {
      EXPECT_EQ(service, "web");
      told_.push_back(observed);
      if (observed.state == awaited_) loop_.Stop();
    });
    loop_.After(std::chrono::seconds(20), [this] {
      ADD_FAILURE() << "it does not become so";
      loop_.Stop();
    });
  }

  std::shared_ptr<const ProviderTarget> Parse(const std::string& yaml) {
    std::vector<Diagnostic> diagnostics;
    Section section("/etc/web.yaml", YAML::Load(yaml), "provider", &diagnostics);
    auto target = WithReadiness(ParsePlain)(section, "web");
    section.Finish();
    messages_.clear();
    for (const Diagnostic& diagnostic : diagnostics) messages_ += ToString(diagnostic) + "\n";
    return target;
  }
  void Has(const std::vector<std::string>& ids) {
    targets_->observation.instances.clear();
    for (const std::string& id : ids) {
      targets_->observation.instances.push_back(
          {.id = id, .state = InstanceState::kReady, .endpoint = server_.address()});
    }
  }
  std::vector<ObservedInstance> Observe(const std::shared_ptr<const ProviderTarget>& target) {
    std::vector<ObservedInstance> seen;
    provider_->Observe({{"web", target}}, [&](Result<std::vector<Observation>> answer) {
      ASSERT_TRUE(answer.ok());
      seen = answer->front().instances;
    });
    return seen;
  }
  ObservedInstance Await(InstanceState state) {
    awaited_ = state;
    loop_.Run();
    return told_.empty() ? ObservedInstance{} : told_.back();
  }

  FakeHttpServer server_;
  EventLoop loop_;
  HttpClient http_{loop_, 4};
  FakeTargets* targets_ = nullptr;
  std::unique_ptr<Provider> provider_;
  std::vector<ObservedInstance> told_;
  InstanceState awaited_ = InstanceState::kReady;
  std::string messages_;
};

constexpr const char* kToken =
    "readiness: {http: /v1/completions, body: '{\"max_tokens\": 1}', contains: '\"text\"', "
    "interval: 50ms, unhealthy_after: 2}";

TEST_F(ReadinessTest, OneIsReadyWhenItAnswersAsWished) {
  const auto target = Parse(kToken);
  ASSERT_EQ(messages_, "");
  EXPECT_TRUE(target->has_capacity());
  EXPECT_EQ(target->identity(), "group");
  Has({});
  Observe(target);  // from here on what comes is new
  Has({"i-1"});
  server_.Answer("/v1/completions", "loading", 503);
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kStarting);
  EXPECT_EQ(Await(InstanceState::kStarting).detail, "readiness: POST /v1/completions answered 503");
  // An answer that is none does not count either.
  server_.Answer("/v1/completions", "{\"error\": \"no model\"}");
  while (told_.back().detail.find("without") == std::string::npos) Await(InstanceState::kStarting);
  EXPECT_EQ(told_.back().detail, "readiness: POST /v1/completions answered without '\"text\"'");
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kStarting);
  server_.Answer("/v1/completions", R"({"text": "a"})");
  EXPECT_EQ(Await(InstanceState::kReady).endpoint, server_.address());
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kReady);
  EXPECT_EQ(server_.requests().back().body, "{\"max_tokens\": 1}");
}

TEST_F(ReadinessTest, OneThatFailsLaterIsUnready) {
  const auto target = Parse(kToken);
  Has({"i-1"});
  server_.Answer("/v1/completions", "crashed", 500);
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kReady);  // it may have served before us
  EXPECT_EQ(Await(InstanceState::kUnready).detail, "readiness: POST /v1/completions answered 500");
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kUnready);
}

TEST_F(ReadinessTest, WhatTheTargetCallsNotReadyIsNotAsked) {
  const auto target = Parse(kToken);
  Has({"i-1", "i-2", "i-3"});
  targets_->observation.instances[0].state = InstanceState::kStopping;
  targets_->observation.instances[1].state = InstanceState::kStarting;
  targets_->observation.instances[2].endpoint.clear();
  const auto seen = Observe(target);
  EXPECT_EQ(seen.at(0).state, InstanceState::kStopping);
  EXPECT_EQ(seen.at(1).state, InstanceState::kStarting);
  EXPECT_EQ(seen.at(2).state, InstanceState::kStarting);
  EXPECT_EQ(seen.at(2).detail, "readiness: it has no address that could be asked");
}

TEST_F(ReadinessTest, AFlapOfTheTargetsOwnCheckForgetsNoVerdict) {
  const auto target = Parse(kToken);
  Has({"i-1"});
  server_.Answer("/v1/completions", R"({"text": "a"})");
  Observe(target);
  server_.Answer("/v1/completions", "hangs", 500);
  Await(InstanceState::kUnready);
  targets_->observation.instances[0].state = InstanceState::kUnready;
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kUnready);
  targets_->observation.instances[0].state = InstanceState::kReady;
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kUnready);  // not "starting"
}

TEST_F(ReadinessTest, AConnectionIsMadeToTheInstanceAndNobodyElse) {
  const auto target = Parse("readiness: {tcp: true, interval: 50ms, unhealthy_after: 1}");
  Has({"i-1"});
  // Nobody listens there; on all of this machine's IPv4 addresses somebody does.
  targets_->observation.instances[0].endpoint = "[::1]:" + std::to_string(server_.port());
  Observe(target);
  EXPECT_TRUE(Await(InstanceState::kUnready).detail.starts_with("readiness: connecting: "));
  EXPECT_EQ(server_.connections(), 0);
}

TEST_F(ReadinessTest, ChangesThatTheTargetReportsAreJudgedToo) {
  const auto target = Parse(kToken);
  Has({});
  Observe(target);
  std::vector<Observation> reported;
  provider_->SetTargetListener([&](Observation seen) { reported.push_back(std::move(seen)); });
  Has({"i-1"});
  targets_->listener(targets_->observation);
  ASSERT_EQ(reported.size(), 1u);
  EXPECT_EQ(reported[0].instances.at(0).state, InstanceState::kStarting);
  server_.Answer("/v1/completions", R"({"text": "a"})");
  Await(InstanceState::kReady);
}

TEST_F(ReadinessTest, WithoutTheKeyNothingIsAsked) {
  const auto target = Parse("group: g");
  Has({"i-1"});
  EXPECT_EQ(Observe(target).at(0).state, InstanceState::kReady);
  provider_->SetCapacity({"web", target}, {.capacity = 4},
                         [](const Status& status) { EXPECT_TRUE(status.ok()); });
  provider_->SetCapacity({"web", Parse(kToken)}, {.capacity = 5},
                         [](const Status& status) { EXPECT_TRUE(status.ok()); });
  EXPECT_EQ(targets_->wishes, (std::vector<int>{4, 5}));
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(ReadinessTest, MistakesAreTold) {
  Parse("readiness: {tcp: true, contains: x}\n");
  EXPECT_NE(messages_.find("contains goes with http: PATH"), std::string::npos) << messages_;
  Parse("readiness: {http: health}\n");
  EXPECT_NE(messages_.find("http must be a path"), std::string::npos) << messages_;
  Parse("readiness: {http: /x, retries: 3}\n");
  EXPECT_NE(messages_.find("unknown key 'retries'"), std::string::npos) << messages_;
}

}  // namespace
}  // namespace autoscale
