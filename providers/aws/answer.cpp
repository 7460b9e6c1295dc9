#include "providers/aws/answer.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <pugixml.hpp>
#include <string_view>
#include <utility>

namespace autoscale::aws {
namespace {

constexpr size_t kShownBytes = 60;
constexpr size_t kShownReason = 300;

// Of launches that fail as there are no instances to give, or none to this account: codes of EC2,
// and how activities put them.
constexpr const char* kExhaustedTexts[] = {"InsufficientInstanceCapacity",
                                           "do not have sufficient",
                                           "Insufficient capacity",
                                           "insufficient capacity",
                                           "UnfulfillableCapacity",
                                           "no Spot capacity available",
                                           "InstanceLimitExceeded",
                                           "VcpuLimitExceeded",
                                           "vCPU",
                                           "MaxSpotInstanceCountExceeded",
                                           "quota"};

Error NotUnderstood(const std::string& what) {
  return {ErrorKind::kUnavailable, "the answer " + what};
}

// What somebody else wrote, as a message may hold it: the first line, printable, not too long.
std::string OneLine(const std::string& text, size_t most) {
  std::string line = text.substr(0, std::min(text.find('\n'), most));
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c >= 0x7f; }, ' ');
  return line;
}

std::string Shown(const std::string& text) { return "'" + OneLine(text, kShownBytes) + "'"; }

// The document's outermost element, which has to be this one.
Result<pugi::xml_node> Load(pugi::xml_document& document, const std::string& body,
                            const std::string& root) {
  if (body.empty()) return NotUnderstood("is empty, not XML");
  if (!document.load_buffer(body.data(), body.size())) {
    return NotUnderstood("is not XML, or not all of it; it begins with " + Shown(body));
  }
  const pugi::xml_node node = document.child(root.c_str());
  if (node) return node;
  return NotUnderstood("is no " + root + " but " + Shown(document.document_element().name()));
}

std::string Text(const pugi::xml_node& node, const char* name) {
  return node.child(name).text().as_string();
}

Result<int> Number(const pugi::xml_node& node, const char* name) {
  const std::string text = Text(node, name);
  int value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size() || value < 0) {
    return NotUnderstood("has " + Shown(text) + " as " + name + ", not a whole number");
  }
  return value;
}

Result<GroupInstance> ReadInstance(const pugi::xml_node& node) {
  const std::string weight = Text(node, "WeightedCapacity");
  const std::string health = Text(node, "HealthStatus");
  GroupInstance instance{.id = Text(node, "InstanceId"),
                         .lifecycle = Text(node, "LifecycleState"),
                         .healthy = strcasecmp(health.c_str(), "Unhealthy") != 0,
                         .is_protected = node.child("ProtectedFromScaleIn").text().as_bool(),
                         .weighted = !weight.empty() && weight != "1"};
  if (instance.id.empty() || instance.lifecycle.empty()) {
    return NotUnderstood("has an instance without InstanceId or LifecycleState");
  }
  return instance;
}

Result<Group> ReadGroup(const pugi::xml_node& node) {
  Group group;
  group.name = Text(node, "AutoScalingGroupName");
  group.status = Text(node, "Status");
  if (group.name.empty()) return NotUnderstood("has a group without AutoScalingGroupName");
  const std::pair<const char*, int*> numbers[] = {
      {"DesiredCapacity", &group.desired}, {"MinSize", &group.min}, {"MaxSize", &group.max}};
  for (const auto& [name, into] : numbers) {
    auto number = Number(node, name);
    if (!number.ok()) return std::move(number).error().Within("group " + Shown(group.name));
    *into = *number;
  }
  const std::string type = Text(node, "DesiredCapacityType");
  group.in_units = type.empty() || type == "units";
  for (const auto& each : node.child("SuspendedProcesses").children("member")) {
    group.suspended.push_back(Text(each, "ProcessName"));
  }
  for (const auto& each : node.child("Instances").children("member")) {
    auto instance = ReadInstance(each);
    if (!instance.ok()) return std::move(instance).error();
    group.instances.push_back(*std::move(instance));
  }
  return group;
}

}  // namespace

bool Group::IsSuspended(const std::string& process) const {
  return std::find(suspended.begin(), suspended.end(), process) != suspended.end();
}

const GroupInstance* Group::Find(const std::string& id) const {
  const auto found = std::find_if(instances.begin(), instances.end(),
                                  [&](const GroupInstance& i) { return i.id == id; });
  return found == instances.end() ? nullptr : &*found;
}

Result<GroupPage> ParseGroups(const std::string& body) {
  pugi::xml_document document;
  auto root = Load(document, body, "DescribeAutoScalingGroupsResponse");
  if (!root.ok()) return std::move(root).error();
  const pugi::xml_node result = root->child("DescribeAutoScalingGroupsResult");
  const pugi::xml_node list = result.child("AutoScalingGroups");
  if (!list) return NotUnderstood("has no AutoScalingGroups");
  GroupPage page;
  page.next = Text(result, "NextToken");
  for (const auto& each : list.children("member")) {
    auto group = ReadGroup(each);
    if (!group.ok()) return std::move(group).error();
    page.groups.push_back(*std::move(group));
  }
  return page;
}

Result<AddressPage> ParseAddresses(const std::string& body) {
  pugi::xml_document document;
  auto root = Load(document, body, "DescribeInstancesResponse");
  if (!root.ok()) return std::move(root).error();
  const pugi::xml_node list = root->child("reservationSet");
  if (!list) return NotUnderstood("has no reservationSet");
  AddressPage page;
  page.next = Text(*root, "nextToken");
  for (const auto& reservation : list.children("item")) {
    for (const auto& instance : reservation.child("instancesSet").children("item")) {
      page.by_id[Text(instance, "instanceId")] = {.private_ip = Text(instance, "privateIpAddress"),
                                                  .public_ip = Text(instance, "ipAddress")};
    }
  }
  return page;
}

Result<std::vector<Activity>> ParseActivities(const std::string& body) {
  pugi::xml_document document;
  auto root = Load(document, body, "DescribeScalingActivitiesResponse");
  if (!root.ok()) return std::move(root).error();
  std::vector<Activity> activities;
  const pugi::xml_node list = root->child("DescribeScalingActivitiesResult").child("Activities");
  for (const auto& each : list.children("member")) {
    activities.push_back({.status = Text(each, "StatusCode"),
                          .description = Text(each, "Description"),
                          .message = Text(each, "StatusMessage")});
  }
  return activities;
}

Result<TemporaryKeys> ParseAssumedRole(const std::string& body) {
  pugi::xml_document document;
  auto root = Load(document, body, "AssumeRoleWithWebIdentityResponse");
  if (!root.ok()) return std::move(root).error();
  const pugi::xml_node node = root->child("AssumeRoleWithWebIdentityResult").child("Credentials");
  TemporaryKeys answer{.keys = {.id = Text(node, "AccessKeyId"),
                                .secret = Text(node, "SecretAccessKey"),
                                .token = Text(node, "SessionToken")},
                       .expires = ParseTimestamp(Text(node, "Expiration"))};
  if (answer.keys.id.empty() || answer.keys.secret.empty()) return NotUnderstood("has no keys");
  return answer;
}

Status ParseDone(const std::string& body, const std::string& action) {
  pugi::xml_document document;
  auto root = Load(document, body, action + "Response");
  if (!root.ok()) return std::move(root).error();
  return Ok{};
}

AwsFault ParseFault(const std::string& body) {
  pugi::xml_document document;
  if (!document.load_buffer(body.data(), body.size())) return {};
  // Auto Scaling and STS: ErrorResponse/Error; EC2: Response/Errors/Error; others mix them.
  const pugi::xml_node root = document.document_element();
  pugi::xml_node error = root.child("Error");
  if (!error) error = root.child("Errors").child("Error");
  return {.code = OneLine(Text(error, "Code"), kShownBytes),
          .message = OneLine(Text(error, "Message"), kShownReason)};
}

std::optional<Error> ShortageIn(const std::vector<Activity>& activities) {
  for (const Activity& activity : activities) {  // the latest first
    if (!activity.description.starts_with("Launching")) continue;
    if (activity.status == "Successful") return std::nullopt;
    if (activity.status != "Failed" && activity.status != "Cancelled") continue;
    const std::string& text = activity.message.empty() ? activity.description : activity.message;
    const bool exhausted =
        std::any_of(std::begin(kExhaustedTexts), std::end(kExhaustedTexts),
                    [&](const char* part) { return text.find(part) != std::string::npos; });
    return Error{exhausted ? ErrorKind::kExhausted : ErrorKind::kUnavailable,
                 (exhausted ? "AWS has no capacity for it: " : "its launch failed: ") +
                     OneLine(text, kShownReason)};
  }
  return std::nullopt;
}

std::optional<int64_t> ParseTimestamp(const std::string& text) {
  std::tm date{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &date);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') rest += 1 + std::string_view(rest + 1).find_first_not_of("0123456789");
  if (std::string_view(rest) != "Z" && std::string_view(rest) != "+00:00") return std::nullopt;
  return timegm(&date);
}

}  // namespace autoscale::aws
