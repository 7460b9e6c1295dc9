#include "providers/http/answer.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

namespace autoscale {
namespace {

using Json = nlohmann::json;

constexpr size_t kShownBytes = 120;  // of what came, in a message
constexpr size_t kMaxIdBytes = 200;

Error Bad(std::string message) { return {ErrorKind::kUnavailable, std::move(message)}; }

std::string Where(const JsonPointer& pointer) {
  const std::string text = pointer.to_string();
  return text.empty() ? "the answer" : "the answer's " + text;
}

// "the text 'x'", "a list", "12.5".
std::string Describe(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "the text '" + FirstLine(value.get_ref<const std::string&>()) + "'";
  return value.dump();
}

// Null when there is nothing.
const Json* Find(const Json& root, const JsonPointer& pointer) {
  try {
    return root.contains(pointer) ? &root.at(pointer) : nullptr;
  } catch (const Json::exception&) {
    return nullptr;  // a list, and the pointer names no place in it
  }
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

std::optional<int> WholeNumber(const Json& value, int most) {
  if (!value.is_number()) return std::nullopt;
  const auto number = value.get<double>();
  if (!(number >= 0 && number <= most) || number != std::floor(number)) return std::nullopt;
  return static_cast<int>(number);
}

std::optional<int> ParsePort(std::string_view text) {
  int port = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port >= 1 && port <= 65535 ? std::optional(port) : std::nullopt;
}

bool IsIp(const std::string& host, int family) {
  in6_addr room{};
  return inet_pton(family, host.c_str(), &room) == 1;
}

// "HOST:PORT" of an address with a port or, where there is one beside it, without.
std::optional<std::string> Endpoint(const std::string& address, std::optional<int> port) {
  std::string host = address;
  const bool bare_v6 = IsIp(address, AF_INET6);
  const size_t colon = address.rfind(':');
  if (!bare_v6 && colon != std::string::npos && !address.ends_with(']')) {
    port = ParsePort(std::string_view(address).substr(colon + 1));
    host = address.substr(0, colon);
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const bool v6 = IsIp(host, AF_INET6);
  if (!port || (!v6 && (brackets || !IsIp(host, AF_INET)))) return std::nullopt;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(*port);
}

// One item of the list.
class Item {
 public:
  Item(const Json& json, const HttpInstances& options) : json_(json), options_(options) {}

  Result<ListedInstance> Read() {
    ListedInstance instance;
    if (Status read = ReadId(instance); !read.ok()) return std::move(read).error();
    if (Status read = ReadEndpoint(instance); !read.ok()) return std::move(read).error();
    if (Status read = ReadHealth(instance); !read.ok()) return std::move(read).error();
    return instance;
  }

 private:
  Status ReadId(ListedInstance& instance) const {
    const Json* id = Find(json_, options_.id);
    if (id == nullptr) return Bad("has no " + Name(options_.id));
    if (id->is_string()) instance.id = id->get<std::string>();
    if (id->is_number_integer()) instance.id = id->dump();
    if (instance.id.empty() || instance.id.size() > kMaxIdBytes || !IsPrintable(instance.id)) {
      return Bad("has " + Describe(*id) + " as its id: it must be a text without blanks, of " +
                 std::to_string(kMaxIdBytes) + " bytes at most");
    }
    return Ok{};
  }

  Status ReadEndpoint(ListedInstance& instance) const {
    if (!options_.address) return Ok{};
    const Json* address = Find(json_, *options_.address);
    if (address == nullptr || address->is_null() || *address == "") return Ok{};  // not yet
    auto port = options_.fixed_port == 0 ? std::nullopt : std::optional(options_.fixed_port);
    if (options_.port) {
      const Json* given = Find(json_, *options_.port);
      if (given == nullptr || given->is_null()) return Ok{};  // not yet
      port = given->is_string() ? ParsePort(given->get_ref<const std::string&>())
                                : WholeNumber(*given, 65535);
      if (!port || *port == 0) return Bad("has " + Describe(*given) + " as its port");
    }
    const auto endpoint = address->is_string()
                              ? Endpoint(address->get_ref<const std::string&>(), port)
                              : std::nullopt;
    if (!endpoint) {
      return Bad("has " + Describe(*address) + " as its address: it must be an IP address with " +
                 (port ? "or without a port" : "a port, or 'port' must say it"));
    }
    instance.endpoint = *endpoint;
    return Ok{};
  }

  Status ReadHealth(ListedInstance& instance) const {
    using Health = ListedInstance::Health;
    if (options_.ready) {
      const Json* said = Find(json_, *options_.ready);
      const bool silent = said == nullptr || said->is_null();
      if (!silent && !said->is_boolean() && !said->is_string()) {
        return Bad("has " + Describe(*said) + " as 'ready': it must be true, false or a text");
      }
      instance.health = silent ? Health::kNotReady : HealthOf(*said);
      if (instance.health != Health::kReady) {
        instance.detail = silent ? Name(*options_.ready) + " is not there"
                                 : Name(*options_.ready) + " is " + Describe(*said);
      }
    }
    if (options_.address && instance.endpoint.empty() && instance.health == Health::kReady) {
      instance.health = Health::kNotReady;
      instance.detail = "it has no address yet";
    }
    return Ok{};
  }

  [[nodiscard]] ListedInstance::Health HealthOf(const Json& said) const {
    using Health = ListedInstance::Health;
    if (said.is_boolean()) return said.get<bool>() ? Health::kReady : Health::kNotReady;
    const auto among = [&](const std::vector<std::string>& values) {
      return std::find(values.begin(), values.end(), said.get_ref<const std::string&>()) !=
             values.end();
    };
    if (among(options_.stopping_values)) return Health::kStopping;
    return among(options_.ready_values) ? Health::kReady : Health::kNotReady;
  }

  [[nodiscard]] static std::string Name(const JsonPointer& pointer) {
    return pointer.to_string().empty() ? "its value" : pointer.to_string();
  }

  const Json& json_;
  const HttpInstances& options_;
};

}  // namespace

std::string FirstLine(std::string_view body) {
  const size_t start = body.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) return {};
  body = body.substr(start, body.find_first_of("\r\n", start) - start);
  std::string line(body.substr(0, kShownBytes));
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c >= 0x7f; }, '?');
  return body.size() > kShownBytes ? line + "..." : line;
}

Result<nlohmann::json> ParseJson(const std::string& body) {
  Json json = Json::parse(body, nullptr, false);
  if (!json.is_discarded()) return json;
  const std::string line = FirstLine(body);
  return Bad(line.empty()
                 ? "the answer is empty, not JSON"
                 : "the answer is not JSON, or not all of it; it begins with '" + line + "'");
}

Result<int> ReadCount(const nlohmann::json& answer, const JsonPointer& pointer) {
  const Json* value = Find(answer, pointer);
  if (value == nullptr) return Bad("the answer has no " + pointer.to_string());
  const auto count = WholeNumber(*value, kMaxInstances);
  if (count) return *count;
  return Bad(Where(pointer) + " is " + Describe(*value) + ", not a whole number from 0 to " +
             std::to_string(kMaxInstances));
}

Result<std::vector<ListedInstance>> ReadList(const nlohmann::json& answer,
                                             const HttpInstances& options) {
  const JsonPointer& pointer = options.read.pointer;
  const Json* list = Find(answer, pointer);
  if (list == nullptr) return Bad("the answer has no " + pointer.to_string());
  if (!list->is_array()) {
    return Bad(Where(pointer) + " is " + Describe(*list) + ", not a list of instances");
  }
  if (list->size() > kMaxInstances) {
    return Bad(Where(pointer) + " lists " + std::to_string(list->size()) +
               " instances: more than " + std::to_string(kMaxInstances));
  }
  std::vector<ListedInstance> instances;
  instances.reserve(list->size());
  std::set<std::string> ids, endpoints;
  for (const Json& item : *list) {
    const std::string name = "instance " + std::to_string(instances.size()) + " of " +
                             (pointer.to_string().empty() ? "the list" : pointer.to_string());
    auto read = Item(item, options).Read();
    if (!read.ok()) return Bad(name + " " + read.error().message);
    if (!ids.insert(read->id).second) return Bad(name + " has the id of another: " + read->id);
    if (!read->endpoint.empty() && !endpoints.insert(read->endpoint).second) {
      return Bad(name + " has the address of another: " + read->endpoint);
    }
    instances.push_back(*std::move(read));
  }
  return instances;
}

}  // namespace autoscale
