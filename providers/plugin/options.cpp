#include "providers/plugin/options.h"

#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "config/scalar.h"
#include "providers/plugin/plugin_host.h"

namespace autoscale {
namespace {

using Json = nlohmann::json;
using google::protobuf::Value;

constexpr int kDeepest = 16;
constexpr int kMostValues = 10'000;      // of one target
constexpr size_t kMostText = 64u << 10;  // bytes of one target
constexpr size_t kSha256Digits = 64;
constexpr DurationRange kStartTimeout{.min = Millis(100), .max = std::chrono::minutes(5)};
constexpr DurationRange kCallTimeout{.min = Millis(10), .max = std::chrono::minutes(5)};

bool IsVariable(std::string_view name) {
  return !name.empty() && name.find('=') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

// The handshake's variables are the daemon's to set.
bool IsReserved(std::string_view name) {
  return name.starts_with("PLUGIN_") || name.starts_with("AUTOSCALED_");
}

void ParseCommand(Section& section, PluginCommand& plugin) {
  plugin.command = section.Strings("command");
  if (section.Has("command") && !section.node()["command"].IsSequence()) return;  // was told
  if (plugin.command.empty() || !plugin.command.front().starts_with('/')) {
    section.Fault(section.Has("command") ? "command" : "",
                  "'command' must be a list of a program, by its absolute path, and its arguments, "
                  "such as [/usr/lib/autoscaled/plugins/mycloud, --region, eu]");
    return;
  }
  if (access(plugin.command.front().c_str(), X_OK) != 0) {
    section.Warn("command", "there is no program " + plugin.command.front() +
                                " that may be executed: its services would hold");
  }
}

void ParseSha256(Section& section, PluginCommand& plugin) {
  std::string text = section.String("sha256");
  if (!section.Has("sha256")) return;
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
  const bool digits = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (text.size() != kSha256Digits || !digits) {
    section.Fault("sha256", "'sha256' must be the 64 hexadecimal digits that sha256sum prints of " +
                                (plugin.command.empty() ? "the program" : plugin.command.front()));
  }
  plugin.sha256 = std::move(text);
}

void ParseEnvironment(Section& section, PluginCommand& plugin) {
  plugin.environment = section.StringMap("environment");
  plugin.inherit = section.Strings("inherit");
  const auto check = [&section](const char* key, const std::string& name) {
    if (!IsVariable(name)) {
      section.Fault(key, "'" + name + "' cannot be a variable's name");
    } else if (IsReserved(name)) {
      section.Fault(key, "'" + name + "' is set by autoscaled itself");
    }
  };
  for (const auto& [name, value] : plugin.environment) check("environment", name);
  for (const std::string& name : plugin.inherit) check("inherit", name);
}

// One target's options as JSON; bounded, as an anchor may hold itself.
class Reader {
 public:
  // What is wrong; empty: nothing.
  [[nodiscard]] const std::string& fault() const { return fault_; }

  Json Read(const YAML::Node& node, int depth = 0) {
    if (depth > kDeepest) return Refuse("is nested deeper than " + std::to_string(kDeepest));
    if (++values_ > kMostValues) {
      return Refuse("holds more than " + std::to_string(kMostValues) + " values");
    }
    if (node.IsScalar()) return Scalar(node);
    Json json = node.IsSequence() ? Json::array() : node.IsMap() ? Json::object() : Json();
    for (const auto& item : node) {
      if (!fault_.empty()) return {};
      if (node.IsSequence()) {
        json.push_back(Read(item, depth + 1));
      } else if (item.first.IsScalar()) {
        json[Key(item.first.Scalar())] = Read(item.second, depth + 1);
      }  // any other key was reported when the file was parsed
    }
    return json;
  }

  std::string Key(const std::string& text) { return Text(text).get<std::string>(); }

 private:
  // As YAML 1.2 has it: without quotes true, false, null and numbers are what they look like.
  Json Scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() != "?") return Text(text);
    if (text == "null" || text == "~") return {};
    if (const auto boolean = ParseBool(text)) return *boolean;
    if (const auto whole = ParseInt(text)) return *whole;
    const size_t digits = text.starts_with('-') ? 1 : 0;
    const bool padded = text.size() > digits + 1 && text[digits] == '0' &&
                        text[digits + 1] >= '0' && text[digits + 1] <= '9';
    if (const auto number = ParseDouble(text); number && !padded) return *number;
    return Text(text);
  }

  Json Text(const std::string& text) {
    bytes_ += text.size();
    if (bytes_ > kMostText) {
      return Refuse("holds more than " + std::to_string(kMostText >> 10) + " KiB of text");
    }
    try {
      (void)Json(text).dump();
    } catch (const Json::exception&) {  // the wire takes nothing else
      return Refuse("holds text that is not UTF-8");
    }
    return text;
  }

  Json Refuse(std::string why) {
    if (fault_.empty()) fault_ = std::move(why);
    return "";
  }

  int values_ = 0;
  size_t bytes_ = 0;
  std::string fault_;
};

void Convert(const Json& json, Value& value) {
  if (json.is_object()) {
    auto& fields = *value.mutable_struct_value()->mutable_fields();
    for (const auto& [key, item] : json.items()) Convert(item, fields[key]);
  } else if (json.is_array()) {
    auto& list = *value.mutable_list_value();
    for (const Json& item : json) Convert(item, *list.add_values());
  } else if (json.is_string()) {
    value.set_string_value(json.get<std::string>());
  } else if (json.is_boolean()) {
    value.set_bool_value(json.get<bool>());
  } else if (json.is_number()) {
    value.set_number_value(json.get<double>());
  } else {
    value.set_null_value(google::protobuf::NULL_VALUE);
  }
}

}  // namespace

std::shared_ptr<const PluginOptions> ParsePlugin(Section& section, const std::string&) {
  auto plugin = std::make_shared<PluginCommand>();
  ParseCommand(section, *plugin);
  ParseSha256(section, *plugin);
  ParseEnvironment(section, *plugin);
  plugin->start_timeout = section.Duration("start_timeout", plugin->start_timeout, kStartTimeout);
  plugin->call_timeout = section.Duration("call_timeout", plugin->call_timeout, kCallTimeout);
  return plugin;
}

std::shared_ptr<const ProviderTarget> ParsePluginTarget(Section& section, const std::string&) {
  auto target = std::make_shared<PluginTarget>();
  Json all = Json::object();
  Reader reader;
  for (const std::string& key : section.Keys()) {
    if (key == "type" || key == "readiness") continue;  // ours
    all[reader.Key(key)] = reader.Read(section.Raw(key));
    if (reader.fault().empty()) continue;
    section.Fault(key, "'provider' " + reader.fault());
    return nullptr;
  }
  Value value;
  Convert(all, value);
  target->options = value.struct_value();
  target->text = all.dump();
  return target;
}

}  // namespace autoscale
