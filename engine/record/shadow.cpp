#include "engine/record/shadow.h"

#include "engine/record/fields.h"

namespace autoscale {
namespace {

using nlohmann::json;

int64_t ToMillis(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint ReadTime(Fields& fields, const char* key) {
  return TimePoint(Millis(fields.Integer<int64_t>(key)));
}

ShadowAccount ReadAccount(Fields fields) {
  ShadowAccount account{.since = ReadTime(fields, "since"),
                        .last = ReadTime(fields, "last"),
                        .evaluations = fields.Integer<int64_t>("evaluations"),
                        .agreed = fields.Integer<int64_t>("agreed"),
                        .more = fields.Integer<int64_t>("more"),
                        .fewer = fields.Integer<int64_t>("fewer"),
                        .stays = fields.Integer<int64_t>("stays"),
                        .moves = fields.Integer<int64_t>("moves"),
                        .faults = fields.Integer<int64_t>("faults"),
                        .fault = fields.Text("fault"),
                        .hours = fields.Number("hours"),
                        .live_instance_hours = fields.Number("live_instance_hours"),
                        .instance_hours = fields.Number("instance_hours")};
  if (fields.Has("desired")) account.desired = fields.Integer<int>("desired");
  fields.Each("examples", [&](Fields example) {
    account.examples.push_back({.at = ReadTime(example, "at"),
                                .before = example.Integer<int>("before"),
                                .live = example.Integer<int>("live"),
                                .shadow = example.Integer<int>("shadow"),
                                .live_reason = example.Text("live_reason"),
                                .shadow_reason = example.Text("shadow_reason")});
  });
  return account;
}

}  // namespace

std::string Encode(const ShadowAccount& account) {
  json examples = json::array();
  for (const ShadowExample& example : account.examples) {
    examples.push_back({{"at", ToMillis(example.at)},
                        {"before", example.before},
                        {"live", example.live},
                        {"shadow", example.shadow},
                        {"live_reason", TextToJson(example.live_reason)},
                        {"shadow_reason", TextToJson(example.shadow_reason)}});
  }
  json node = {{"since", ToMillis(account.since)},
               {"last", ToMillis(account.last)},
               {"evaluations", account.evaluations},
               {"agreed", account.agreed},
               {"more", account.more},
               {"fewer", account.fewer},
               {"stays", account.stays},
               {"moves", account.moves},
               {"faults", account.faults},
               {"fault", TextToJson(account.fault)},
               {"hours", account.hours},
               {"live_instance_hours", account.live_instance_hours},
               {"instance_hours", account.instance_hours},
               {"examples", std::move(examples)}};
  if (account.desired) node["desired"] = *account.desired;
  return node.dump();
}

Result<ShadowAccount> DecodeAccount(std::string_view text) {
  return ReadAll(text, "a shadow's account", ReadAccount);
}

}  // namespace autoscale
