#include "tests/unit/aws/fake_aws.h"

#include <algorithm>
#include <functional>

namespace autoscale {
namespace {

std::string Decode(const std::string& text) {
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%' && at + 2 < text.size()) {
      plain += static_cast<char>(std::stoi(text.substr(at + 1, 2), nullptr, 16));
      at += 2;
    } else {
      plain += text[at] == '+' ? ' ' : text[at];
    }
  }
  return plain;
}

std::map<std::string, std::string> FormOf(const std::string& body) {
  std::map<std::string, std::string> form;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('&', at), body.size());
    const std::string pair = body.substr(at, end - at);
    const size_t equals = std::min(pair.find('='), pair.size());
    form[Decode(pair.substr(0, equals))] =
        equals < pair.size() ? Decode(pair.substr(equals + 1)) : "";
    at = end + 1;
  }
  return form;
}

std::string Tag(const std::string& name, const std::string& text) {
  return "<" + name + ">" + text + "</" + name + ">";
}

std::string Xml(const std::string& name, const FakeGroup& group) {
  std::string instances, suspended;
  for (const FakeInstance& i : group.instances) {
    instances += Tag("member", Tag("InstanceId", i.id) + Tag("LifecycleState", i.lifecycle) +
                                   Tag("HealthStatus", i.health) +
                                   Tag("ProtectedFromScaleIn", i.is_protected ? "true" : "false") +
                                   (i.weight.empty() ? "" : Tag("WeightedCapacity", i.weight)));
  }
  for (const std::string& process : group.suspended) {
    suspended += Tag("member", Tag("ProcessName", process));
  }
  return Tag("member", Tag("AutoScalingGroupName", name) +
                           Tag("DesiredCapacity", std::to_string(group.desired)) +
                           Tag("MinSize", std::to_string(group.min)) +
                           Tag("MaxSize", std::to_string(group.max)) + Tag("Instances", instances) +
                           Tag("SuspendedProcesses", suspended) +
                           (group.status.empty() ? "" : Tag("Status", group.status)));
}

FakeAnswer Done(const std::string& action, const std::string& result = "") {
  return {.body = "<" + action +
                  "Response xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">" +
                  Tag(action + "Result", result) + "</" + action + "Response>",
          .headers = {{"Content-Type", "text/xml"}}};
}

// "10.0.0.7" of "i-web-7": what EC2 would have given it.
std::string PrivateIp(const std::string& id) { return "10.0.0." + id.substr(id.rfind('-') + 1); }

}  // namespace

FakeAws::FakeAws() {
  server_.Handle([this](const FakeRequest& request) { return Answer(request); });
}

void FakeAws::Make(const std::string& name, int count, int min, int max) {
  const std::lock_guard lock(mutex_);
  FakeGroup group{.desired = count, .min = min, .max = max};
  for (int i = 1; i <= count; ++i) {
    group.instances.push_back({.id = "i-" + name + "-" + std::to_string(i)});
  }
  groups_[name] = std::move(group);
}

FakeGroup FakeAws::Get(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return groups_.at(name);
}

void FakeAws::Edit(const std::string& name, const std::function<void(FakeGroup&)>& how) {
  const std::lock_guard lock(mutex_);
  how(groups_.at(name));
}

void FakeAws::Fail(const std::string& action, FakeAnswer answer, int times, bool done) {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < times; ++i) planned_[action].push_back({answer, done});
}

void FakeAws::PageBy(size_t groups) {
  const std::lock_guard lock(mutex_);
  page_ = groups;
}

std::vector<AwsCall> FakeAws::Calls(const std::string& action) const {
  const std::lock_guard lock(mutex_);
  std::vector<AwsCall> found;
  for (const AwsCall& call : calls_) {
    if (action.empty() || call.action == action) found.push_back(call);
  }
  return found;
}

void FakeAws::ForgetCalls() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
}

FakeAnswer FakeAws::Error(int status, const std::string& code, const std::string& message) {
  return {.status = status,
          .body = "<ErrorResponse><Error><Type>Sender</Type>" + Tag("Code", code) +
                  Tag("Message", message) + "</Error></ErrorResponse>"};
}

FakeAnswer FakeAws::Answer(const FakeRequest& request) {
  const std::lock_guard lock(mutex_);
  AwsCall call{.form = FormOf(request.body),
               .authorization = request.Header("authorization"),
               .security_token = request.Header("x-amz-security-token")};
  call.action = call.At("Action");
  calls_.push_back(call);
  auto& planned = planned_[call.action];
  if (planned.empty()) return Do(call);
  const Planned next = planned.front();
  planned.pop_front();
  if (next.done) Do(call);
  return next.answer;
}

FakeAnswer FakeAws::Do(const AwsCall& call) {
  if (call.action == "DescribeAutoScalingGroups") return DescribeGroups(call);
  if (call.action == "DescribeInstances") return DescribeInstances(call);
  if (call.action == "SetDesiredCapacity") return SetDesired(call);
  if (call.action == "TerminateInstanceInAutoScalingGroup") return Terminate(call);
  if (call.action == "CompleteLifecycleAction") return Complete(call);
  if (call.action == "DescribeScalingActivities") {
    const auto group = groups_.find(call.At("AutoScalingGroupName"));
    return Done(call.action,
                Tag("Activities", group == groups_.end() ? "" : group->second.activities));
  }
  return Error(400, "InvalidAction", "no such action: " + call.action);
}

FakeAnswer FakeAws::DescribeGroups(const AwsCall& call) {
  std::vector<std::string> names;
  for (int n = 1;; ++n) {
    const std::string name = call.At("AutoScalingGroupNames.member." + std::to_string(n));
    if (name.empty()) break;
    if (groups_.contains(name)) names.push_back(name);
  }
  if (call.form.size() > 104) return Error(400, "ValidationError", "more than 100 names");
  const std::string token = call.At("NextToken");
  const size_t from = token.empty() ? 0 : std::stoul(token);
  const size_t end = std::min(names.size(), from + page_);
  std::string members;
  for (size_t i = from; i < end; ++i) members += Xml(names[i], groups_[names[i]]);
  return Done(call.action, Tag("AutoScalingGroups", members) +
                               (end < names.size() ? Tag("NextToken", std::to_string(end)) : ""));
}

FakeAnswer FakeAws::DescribeInstances(const AwsCall& call) {
  std::string items;
  for (int n = 1;; ++n) {
    const std::string id = call.At("Filter.1.Value." + std::to_string(n));
    if (id.empty()) break;
    items +=
        Tag("item", Tag("instancesSet",
                        Tag("item", Tag("instanceId", id) + Tag("privateIpAddress", PrivateIp(id)) +
                                        Tag("ipAddress", "203.0.113.1"))));
  }
  return {.body = "<DescribeInstancesResponse>" + Tag("reservationSet", items) +
                  "</DescribeInstancesResponse>"};
}

FakeAnswer FakeAws::SetDesired(const AwsCall& call) {
  FakeGroup& group = groups_[call.At("AutoScalingGroupName")];
  group.desired = std::stoi(call.At("DesiredCapacity"));
  return Done(call.action);
}

FakeAnswer FakeAws::Terminate(const AwsCall& call) {
  for (auto& [name, group] : groups_) {
    for (FakeInstance& instance : group.instances) {
      if (instance.id != call.At("InstanceId")) continue;
      if (call.At("ShouldDecrementDesiredCapacity") == "true") --group.desired;
      instance.lifecycle = "Terminating";
      return Done(call.action);
    }
  }
  return Error(400, "ValidationError", "Instance Id not found - No managed instance found");
}

FakeAnswer FakeAws::Complete(const AwsCall& call) {
  for (FakeInstance& instance : groups_[call.At("AutoScalingGroupName")].instances) {
    if (instance.id != call.At("InstanceId") || instance.lifecycle != "Terminating:Wait") continue;
    instance.lifecycle = "Terminating:Proceed";
    return Done(call.action);
  }
  return Error(400, "ValidationError", "No active Lifecycle Action found with instance ID");
}

}  // namespace autoscale
