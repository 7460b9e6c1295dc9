#include "cli/json.h"

#include <gtest/gtest.h>

#include "tests/unit/cli/records.h"

namespace autoscale::cli {
namespace {

TEST(ToJson, SpeaksTheDaemonsWords) {
  v1::Record record = HeldRecord(v1::HOLD_CAUSE_METRIC, "why");
  record.set_id(int64_t{1} << 53);
  AddMetric(record, "cpu", v1::UNIT_PER_SECOND, v1::SAMPLE_STATE_NAN, 0)->set_coverage(0.5);
  const auto json = ToJson(record);
  EXPECT_EQ(json["id"], int64_t{1} << 53);  // a number, where protobuf's own JSON has a string
  EXPECT_EQ(json["at"], "2026-01-02T03:12:07Z");
  EXPECT_EQ(json["dry_run"], false);  // there even when it is the default
  EXPECT_EQ(json["metrics"][0]["unit"], "per_second");
  EXPECT_EQ(json["metrics"][0]["state"], "nan");
  EXPECT_EQ(json["metrics"][0]["age"], nullptr);
  EXPECT_EQ(json["metrics"][0]["coverage"], 0.5);
  EXPECT_EQ(json["metrics"][0]["instances"], nlohmann::ordered_json::array());
  EXPECT_EQ(json["proposal"]["kind"], "hold");
  EXPECT_EQ(json["proposal"]["cause"], "metric");
  EXPECT_EQ(json["stages"][1]["name"], "rate");
  EXPECT_EQ(json.begin().key(), "id");  // in the order of control.proto

  record.mutable_proposal()->set_cause(v1::HOLD_CAUSE_UNSPECIFIED);
  EXPECT_EQ(ToJson(record)["proposal"]["cause"], "");
}

TEST(ToJson, ShowsWhatIsNotSetAsNull) {
  const auto json = ToJson(v1::Service());
  EXPECT_EQ(json["last_tick"], nullptr);
  EXPECT_EQ(json["capacity"], nullptr);
}

}  // namespace
}  // namespace autoscale::cli
