// Wire messages as JSON in the daemon's own words.
#pragma once

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>

namespace autoscale::cli {

// Unlike protobuf's own JSON: fields by their names in control.proto and always there (null where
// unknown), enums as the words of the configuration ("fresh"), 64-bit integers as numbers, times as
// "2026-01-02T03:12:07.120Z". So `explain -o json` and `policy eval` agree.
nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// Indented, one newline at the end. Never throws: what is not UTF-8 is replaced.
std::string Dump(const nlohmann::ordered_json& json);

}  // namespace autoscale::cli
