#include "cli/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cctype>

namespace autoscale::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using nlohmann::ordered_json;

// SAMPLE_STATE_FRESH -> "fresh", by the prefix that SAMPLE_STATE_UNSPECIFIED shows; that itself:
// "".
std::string Word(const google::protobuf::EnumDescriptor& type, int number) {
  const auto* value = type.FindValueByNumber(number);
  if (value == nullptr) return std::to_string(number);  // a daemon newer than this program
  const std::string suffix = "UNSPECIFIED";
  const std::string& zero = type.value(0)->name();
  if (value->number() == 0) return "";
  std::string word = value->name().substr(zero.size() - suffix.size());
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return word;
}

ordered_json FromMessage(const Message& message) {
  if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&message)) {
    return google::protobuf::util::TimeUtil::ToString(*time);
  }
  return ToJson(message);
}

// One value: element `i` of a repeated field, or the only one when `i` is negative.
ordered_json Value(const Message& message, const FieldDescriptor* field, int i) {
  const auto* reflection = message.GetReflection();
  const bool many = i >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return many ? reflection->GetRepeatedString(message, field, i)
                  : reflection->GetString(message, field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return FromMessage(many ? reflection->GetRepeatedMessage(message, field, i)
                              : reflection->GetMessage(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->GetInt64(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return Word(*field->enum_type(), reflection->GetEnumValue(message, field));
    default:
      return nullptr;  // control.proto has no field of another type
  }
}

}  // namespace

ordered_json ToJson(const Message& message) {
  ordered_json json = ordered_json::object();
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    ordered_json& to = json[field->name()];
    if (field->is_repeated()) {
      to = ordered_json::array();
      for (int k = 0; k < reflection->FieldSize(message, field); ++k) {
        to.push_back(Value(message, field, k));
      }
    } else if (!field->has_presence() || reflection->HasField(message, field)) {
      to = Value(message, field, -1);
    }
  }
  return json;
}

std::string Dump(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace autoscale::cli
