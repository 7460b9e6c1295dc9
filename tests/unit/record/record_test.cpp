#include "engine/record/record.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/record/shadow.h"

namespace autoscale {
namespace {

using nlohmann::json;

DecisionRecord FullRecord() {
  DecisionRecord record;
  record.id = (int64_t{1} << 53) + 1;  // a double would lose the last bit
  record.service = "checkout";
  record.at = TimePoint(Millis(1'767'322'800'678));
  record.dry_run = true;
  record.paused = true;
  record.capacity = {.desired = 4, .ready = 3};
  record.bounds = {.min = 2, .max = 40};
  Sample cpu{.value = 0.1 + 0.2, .state = SampleState::kFresh, .substituted = true};
  cpu.age_s = 1.1F;
  cpu.coverage = 0.9F;
  cpu.instances = {{"i-1", 0.9, true}, {"i-2", 1e-300, false}};
  Sample latency{.value = std::nan(""), .state = SampleState::kError};
  latency.error = std::make_shared<const std::string>("prometheus: timed out after 5s");
  record.samples = {{"cpu", Unit::kRatio, cpu}, {"latency_p95", Unit::kSeconds, latency}};
  record.policy = "policies/checkout.lua";
  record.proposal = {.kind = ProposalKind::kTrack,
                     .cause = HoldCause::kNone,
                     .capacity = 7,
                     .reason = "cpu 91 % → \"60 %\"\n",
                     .at = "checkout.lua:9"};
  record.decision = {.before = 4, .desired = 6, .reason = "rate: at most +2 a minute"};
  record.decision.stages = {{kStabilization, 7, 7, ""}, {kRate, 7, 6, "+2 per 1m"}};
  record.actions = {{TimePoint(Millis(1'767'322'800'679)), "started i-7 at 127.0.0.1:20003"}};
  return record;
}

void ExpectSame(const Sample& a, const Sample& b) {
  EXPECT_EQ(std::isnan(a.value), std::isnan(b.value));
  if (!std::isnan(a.value)) {
    EXPECT_EQ(a.value, b.value);
  }
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.substituted, b.substituted);
  EXPECT_EQ(a.age_s, b.age_s);
  EXPECT_EQ(a.coverage, b.coverage);
  ASSERT_EQ(a.error == nullptr, b.error == nullptr);
  if (a.error) {
    EXPECT_EQ(*a.error, *b.error);
  }
  ASSERT_EQ(a.instances.size(), b.instances.size());
  for (size_t i = 0; i < a.instances.size(); ++i) {
    EXPECT_EQ(a.instances[i].instance, b.instances[i].instance);
    EXPECT_EQ(a.instances[i].value, b.instances[i].value);
    EXPECT_EQ(a.instances[i].ready, b.instances[i].ready);
  }
}

TEST(RecordTest, EveryFieldSurvivesTheRoundTrip) {
  const DecisionRecord before = FullRecord();
  const std::string text = ToJson(before).dump();
  const auto read = RecordFromJson(text);
  ASSERT_TRUE(read.ok()) << read.error().message;
  const DecisionRecord& after = *read;

  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.service, before.service);
  EXPECT_EQ(after.at, before.at);
  EXPECT_TRUE(after.dry_run);
  EXPECT_TRUE(after.paused);
  EXPECT_EQ(after.capacity.desired, 4);
  EXPECT_EQ(after.capacity.ready, 3);
  EXPECT_EQ(after.bounds.min, 2);
  EXPECT_EQ(after.bounds.max, 40);
  ASSERT_EQ(after.samples.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after.samples[i].name, before.samples[i].name);
    EXPECT_EQ(after.samples[i].unit, before.samples[i].unit);
    ExpectSame(after.samples[i].sample, before.samples[i].sample);
  }
  EXPECT_EQ(after.policy, before.policy);
  EXPECT_EQ(after.proposal.kind, ProposalKind::kTrack);
  EXPECT_EQ(after.proposal.capacity, 7);
  EXPECT_EQ(after.proposal.reason, before.proposal.reason);
  EXPECT_EQ(after.proposal.at, before.proposal.at);
  EXPECT_EQ(after.decision.before, 4);
  EXPECT_EQ(after.decision.desired, 6);
  EXPECT_EQ(after.decision.reason, before.decision.reason);
  ASSERT_EQ(after.decision.stages.size(), 2u);
  EXPECT_EQ(after.decision.stages[1].name, "rate");
  EXPECT_EQ(after.decision.stages[1].before, 7);
  EXPECT_EQ(after.decision.stages[1].after, 6);
  EXPECT_EQ(after.decision.stages[1].reason, "+2 per 1m");
  ASSERT_EQ(after.actions.size(), 1u);
  EXPECT_EQ(after.actions[0].at, before.actions[0].at);
  EXPECT_EQ(after.actions[0].text, before.actions[0].text);

  EXPECT_EQ(ToJson(after).dump(), text);
}

TEST(RecordTest, EveryWordOfEveryEnumSurvives) {
  for (int state = 0; state <= static_cast<int>(SampleState::kImplausible); ++state) {
    for (int unit = 0; unit <= static_cast<int>(Unit::kCount); ++unit) {
      DecisionRecord record = FullRecord();
      record.samples[0].sample.state = static_cast<SampleState>(state);
      record.samples[0].unit = static_cast<Unit>(unit);
      const auto read = RecordFromJson(ToJson(record).dump());
      ASSERT_TRUE(read.ok()) << read.error().message;
      EXPECT_EQ(read->samples[0].sample.state, static_cast<SampleState>(state));
      EXPECT_EQ(read->samples[0].unit, static_cast<Unit>(unit));
    }
  }
  for (int cause = 0; cause <= static_cast<int>(HoldCause::kFault); ++cause) {
    for (int kind = 0; kind <= static_cast<int>(ProposalKind::kTrack); ++kind) {
      DecisionRecord record = FullRecord();
      record.proposal.cause = static_cast<HoldCause>(cause);
      record.proposal.kind = static_cast<ProposalKind>(kind);
      const auto read = RecordFromJson(ToJson(record).dump());
      ASSERT_TRUE(read.ok()) << read.error().message;
      EXPECT_EQ(read->proposal.cause, static_cast<HoldCause>(cause));
      EXPECT_EQ(read->proposal.kind, static_cast<ProposalKind>(kind));
    }
  }
}

TEST(RecordTest, ValuesThatAreNoNumbersSurvive) {
  DecisionRecord record = FullRecord();
  record.samples[0].sample.value = std::numeric_limits<double>::infinity();
  record.samples[0].sample.age_s = std::numeric_limits<float>::infinity();
  record.samples[0].sample.instances[0].value = -std::numeric_limits<double>::infinity();
  const json node = ToJson(record);
  EXPECT_TRUE(node["samples"][1]["value"].is_null());
  EXPECT_TRUE(node["samples"][1]["age"].is_null());
  const auto read = RecordFromJson(node.dump());
  ASSERT_TRUE(read.ok()) << read.error().message;
  ExpectSame(read->samples[0].sample, record.samples[0].sample);
  EXPECT_TRUE(std::isnan(read->samples[1].sample.value));
}

TEST(RecordTest, EveryBitOfANumberSurvives) {
  for (const double value : {-0.0, 5e-324, -2.2250738585072009e-308, 0.1 + 0.2, 1e308,
                             std::nextafter(75.0, 80.0), 9007199254740993.0}) {
    DecisionRecord record = FullRecord();
    record.samples[0].sample.value = value;
    record.samples[0].sample.coverage = std::nextafter(0.9F, 1.0F);
    const auto read = RecordFromJson(ToJson(record).dump());
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(std::bit_cast<uint64_t>(read->samples[0].sample.value),
              std::bit_cast<uint64_t>(value));
    EXPECT_EQ(read->samples[0].sample.coverage, std::nextafter(0.9F, 1.0F));
  }
}

TEST(RecordTest, BytesThatAPolicySeesSurvive) {
  DecisionRecord record = FullRecord();
  record.samples[0].sample.instances[0].instance = "i-\xff\xc3";
  record.samples[0].spread = true;
  record.samples[1].sample.error = std::make_shared<const std::string>("bad \x80");
  const auto read = RecordFromJson(ToJson(record).dump());
  ASSERT_TRUE(read.ok()) << read.error().message;
  ExpectSame(read->samples[0].sample, record.samples[0].sample);
  ExpectSame(read->samples[1].sample, record.samples[1].sample);
  EXPECT_TRUE(read->samples[0].spread);
  EXPECT_FALSE(read->samples[1].spread);
}

TEST(RecordTest, BytesThatAreNoTextDoNotThrow) {
  DecisionRecord record = FullRecord();
  record.proposal.reason = "broken \xff\xc3 bytes";
  record.samples[0].name = "\x80";
  const std::string text = ToJson(record).dump();  // nlohmann's dump throws at invalid UTF-8
  const auto read = RecordFromJson(text);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->proposal.reason, "broken \xEF\xBF\xBD\xEF\xBF\xBD bytes");
}

TEST(RecordTest, ProposalAndDecisionLookAsDocumented) {
  const DecisionRecord record = FullRecord();
  EXPECT_EQ(ToJson(record.proposal).dump(),
            R"({"at":"checkout.lua:9","capacity":7,"cause":"","kind":"track",)"
            R"("reason":"cpu 91 % → \"60 %\"\n"})");
  EXPECT_EQ(ToJson(record.decision).dump(),
            R"({"before":4,"desired":6,"reason":"rate: at most +2 a minute"})");
  EXPECT_EQ(StagesToJson(record.decision).dump(),
            R"([{"after":7,"before":7,"name":"stabilization","reason":""},)"
            R"({"after":6,"before":7,"name":"rate","reason":"+2 per 1m"}])");
  EXPECT_EQ(StagesToJson(Decision{}).dump(), "[]");
}

std::string FaultOf(const json& node) {
  const auto read = RecordFromJson(node.dump());
  return read.ok() ? "accepted" : read.error().message;
}

TEST(RecordTest, FaultsSayWhere) {
  const json good = ToJson(FullRecord());
  ASSERT_EQ(FaultOf(good), "accepted");

  json bad = good;
  bad["samples"][1]["value"] = "high";
  EXPECT_EQ(FaultOf(bad), "decision record: samples[1].value must be a number or null");
  bad = good;
  bad["samples"][0]["instances"][1].erase("ready");
  EXPECT_EQ(FaultOf(bad), "decision record: samples[0].instances[1].ready is missing");
  bad = good;
  bad["samples"][0]["state"] = "rotten";
  EXPECT_EQ(FaultOf(bad),
            "decision record: samples[0].state must be a word that autoscaled knows, but it is "
            "\"rotten\"");
  bad = good;
  bad["capacity"]["ready"] = 3'000'000'000;
  EXPECT_EQ(FaultOf(bad), "decision record: capacity.ready must be a whole number in range");
  bad = good;
  bad["id"] = 18'446'744'073'709'551'615u;
  EXPECT_EQ(FaultOf(bad), "decision record: id must be a whole number in range");
  bad = good;
  bad["bounds"]["min"] = 1.5;
  EXPECT_EQ(FaultOf(bad), "decision record: bounds.min must be a whole number in range");
  bad = good;
  bad["at"] = 1e300;
  EXPECT_EQ(FaultOf(bad), "decision record: at must be a time in unix seconds");
  bad = good;
  bad["at"] = nullptr;
  EXPECT_EQ(FaultOf(bad), "decision record: at must be a time in unix seconds");
  bad = good;
  bad["samples"][0]["age"] = 1e300;
  EXPECT_EQ(FaultOf(bad), "decision record: samples[0].age must be a number of a sensible size");
  bad = good;
  bad["stages"] = 1;
  EXPECT_EQ(FaultOf(bad), "decision record: stages must be a list");
  bad = good;
  bad["proposal"] = json::array();
  EXPECT_EQ(FaultOf(bad), "decision record: proposal must be an object");
  EXPECT_EQ(FaultOf(json::array()), "decision record: the record must be an object");
}

TEST(RecordTest, AnyTruncationIsRefused) {
  const std::string text = ToJson(FullRecord()).dump();
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(RecordFromJson(std::string_view(text).substr(0, length)).ok()) << length;
  }
}

TEST(RecordTest, AnyMissingMemberIsRefused) {
  const json good = ToJson(FullRecord());
  for (const auto& [key, unused] : good.items()) {
    json bad = good;
    bad.erase(key);
    EXPECT_EQ(FaultOf(bad), "decision record: " + key + " is missing");
  }
}

TEST(RecordTest, NestingWithoutEndIsRefused) {
  EXPECT_FALSE(RecordFromJson(std::string(200'000, '[')).ok());
}

TEST(RecordTest, AFloodOfStageNamesIsRefused) {
  json bad = ToJson(FullRecord());
  for (int i = 0; i < 1000; ++i) {
    bad["stages"].push_back(
        {{"name", "x" + std::to_string(i)}, {"before", 1}, {"after", 1}, {"reason", ""}});
  }
  EXPECT_NE(FaultOf(bad).find("must be the name of a stage"), std::string::npos);
  // What is already known stays readable.
  EXPECT_EQ(FaultOf(ToJson(FullRecord())), "accepted");
}

TEST(RecordTest, FaultsQuoteLittleOfTheText) {
  json node = ToJson(FullRecord());
  node["samples"][0]["state"] = "fr\nesh" + std::string(1 << 20, 'x');
  const auto wrong_word = RecordFromJson(node.dump());
  ASSERT_FALSE(wrong_word.ok());
  EXPECT_EQ(wrong_word.error().message.size(), 400u);
  EXPECT_NE(wrong_word.error().message.find("samples[0].state must be a word that autoscaled "
                                            "knows, but it is \"fr esh"),
            std::string::npos);
  EXPECT_LE(RecordFromJson("\"" + std::string(1 << 20, 'x')).error().message.size(), 400u);
}

TEST(ShadowAccountTest, SurvivesTheRoundTrip) {
  ShadowAccount account{.since = TimePoint(Millis(1'767'322'800'678)),
                        .last = TimePoint(Millis(1'767'322'900'001)),
                        .evaluations = 10,
                        .agreed = 5,
                        .more = 3,
                        .fewer = 2,
                        .stays = 1,
                        .moves = 4,
                        .faults = 6,
                        .fault = "broken",
                        .hours = 0.1 + 0.2,
                        .live_instance_hours = 1e-9,
                        .instance_hours = 12.5};
  account.examples.push_back({.at = account.last,
                              .before = 1,
                              .live = 2,
                              .shadow = 3,
                              .live_reason = "a\xff",
                              .shadow_reason = "b"});
  const std::string text = Encode(account);
  const auto read = DecodeAccount(text);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(Encode(*read), text);
  EXPECT_EQ(read->since, account.since);
  EXPECT_EQ(read->hours, account.hours);
  EXPECT_EQ(read->examples[0].live_reason, "a\xEF\xBF\xBD");
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(DecodeAccount(text.substr(0, length)).ok()) << length;
  }
}

}  // namespace
}  // namespace autoscale
