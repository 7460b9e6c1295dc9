#include "tests/real/moto.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "net/event_loop.h"
#include "net/http_text.h"
#include "providers/aws/signature.h"
#include "tests/real/http_probe.h"

namespace autoscale {
namespace {

const std::string kRegion = "us-east-1";
const std::map<std::string, std::string> kVersions = {
    {"autoscaling", "2011-01-01"}, {"ec2", "2016-11-15"}, {"iam", "2010-05-08"}};

std::string ActionIn(const std::string& body) {
  const size_t from = body.find("Action=");
  if (from == std::string::npos) return {};
  return body.substr(from + 7, body.find('&', from) - from - 7);
}

}  // namespace

std::optional<std::string> FindMoto() {
  const char* named = std::getenv("AUTOSCALE_PARTS");
  const std::filesystem::path parts =
      named != nullptr && *named != '\0'
          ? std::filesystem::path(named)
          : std::filesystem::path(AUTOSCALE_SOURCE_DIR) / "build/parts";
  const std::string program = (parts / "moto/bin/moto_server").string();
  if (access(program.c_str(), X_OK) != 0) return std::nullopt;
  return program;
}

Result<HttpResponse> AskAndWait(HttpRequest request) {
  EventLoop loop;
  HttpClient http(loop, 1);
  std::optional<Result<HttpResponse>> answer;
  request.keep_alive = false;
  http.Send(std::move(request), [&](Result<HttpResponse> told) {
    answer = std::move(told);
    loop.Stop();
  });
  loop.Run();
  return *std::move(answer);
}

Moto::Moto(const std::string& program)
    : port_(FreePort()),
      output_((std::filesystem::temp_directory_path() / ("autoscale-moto-" + std::to_string(port_)))
                  .string()),
      child_(std::make_unique<Child>(
          std::vector<std::string>{program, "-H", "127.0.0.1", "-p", std::to_string(port_)},
          output_)) {
  const bool up = Eventually([this] { return AskAndWait({.url = Url() + "/moto-api/"}).ok(); });
  EXPECT_TRUE(up) << child_->Errors();
}

Moto::~Moto() {
  child_.reset();
  for (const char* end : {".out", ".err"}) unlink((output_ + end).c_str());
}

void Moto::Reset() {
  const auto answer = AskAndWait({.method = "POST", .url = Url() + "/moto-api/reset"});
  EXPECT_TRUE(answer.ok() && answer->status == 200);
  Call("autoscaling", "CreateLaunchConfiguration",
       {{"LaunchConfigurationName", "lc"},
        {"ImageId", "ami-12c6146b"},
        {"InstanceType", "t3.micro"}});
}

void Moto::MakeGroup(const std::string& name, int desired, int min, int max) {
  Call("autoscaling", "CreateAutoScalingGroup",
       {{"AutoScalingGroupName", name},
        {"LaunchConfigurationName", "lc"},
        {"MinSize", std::to_string(min)},
        {"MaxSize", std::to_string(max)},
        {"DesiredCapacity", std::to_string(desired)},
        {"AvailabilityZones.member.1", kRegion + "a"}});
}

std::string Moto::Call(const std::string& service, const std::string& action,
                       const Parameters& parameters) {
  HttpRequest request{.method = "POST",
                      .url = Url() + "/",
                      .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                      .timeout = std::chrono::seconds(20)};
  request.body = "Action=" + action + "&Version=" + kVersions.at(service);
  for (const auto& [name, value] : parameters) {
    request.body += "&" + name + "=" + FormEscape(value);
  }
  aws::RequestToSign to_sign{.headers = request.headers, .body = request.body};
  to_sign.headers.emplace_back("Host", aws::HostOf(request.url));
  for (auto& header : aws::Sign(to_sign, {.id = "somebody", .secret = "else", .token = ""},
                                {.region = kRegion, .service = service, .time = 1'800'000'000})) {
    request.headers.push_back(std::move(header));
  }
  auto answer = AskAndWait(std::move(request));
  EXPECT_TRUE(answer.ok() && answer->status == 200)
      << action << (answer.ok() ? answer->body : answer.error().message);
  return answer.ok() ? answer->body : "";
}

aws::Group Moto::Group(const std::string& name) {
  const auto page = aws::ParseGroups(
      Call("autoscaling", "DescribeAutoScalingGroups", {{"AutoScalingGroupNames.member.1", name}}));
  if (page.ok() && page->groups.size() == 1) return page->groups[0];
  ADD_FAILURE() << "no group " << name;
  return {};
}

std::set<std::string> Moto::Ids(const std::string& name) {
  std::set<std::string> ids;
  for (const auto& instance : Group(name).instances) {
    if (instance.lifecycle == "InService") ids.insert(instance.id);
  }
  return ids;
}

std::set<std::string> Moto::Addresses(const std::string& name) {
  const std::set<std::string> ids = Ids(name);
  std::set<std::string> addresses;
  if (ids.empty()) return addresses;
  Parameters parameters;
  for (const std::string& id : ids) {
    parameters.emplace_back("InstanceId." + std::to_string(parameters.size() + 1), id);
  }
  const auto page = aws::ParseAddresses(Call("ec2", "DescribeInstances", parameters));
  EXPECT_TRUE(page.ok());
  if (!page.ok()) return addresses;
  for (const auto& [id, each] : page->by_id) addresses.insert(each.private_ip);
  return addresses;
}

// --- The proxy ---

MotoProxy::MotoProxy(const Moto& moto) : upstream_(moto.Url()) {
  server_.Handle([this](const FakeRequest& request) { return Answer(request); });
}

void MotoProxy::Fail(const std::string& action, FakeAnswer answer, int times, bool done) {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < times; ++i) planned_[action].push_back({answer, done});
}

int MotoProxy::Done(const std::string& action) const {
  const std::lock_guard lock(mutex_);
  const auto at = done_.find(action);
  return at == done_.end() ? 0 : at->second;
}

int MotoProxy::Asked(const std::string& action) const {
  const std::lock_guard lock(mutex_);
  const auto at = asked_.find(action);
  return at == asked_.end() ? 0 : at->second;
}

FakeAnswer MotoProxy::Answer(const FakeRequest& request) {
  const std::string action = ActionIn(request.body);
  std::optional<Planned> planned;
  {
    const std::lock_guard lock(mutex_);
    ++asked_[action];
    auto& next = planned_[action];
    if (!next.empty()) {
      planned = next.front();
      next.pop_front();
    }
    if (planned && !planned->done) return planned->answer;
    ++done_[action];
  }
  HttpRequest handed{.method = request.method,
                     .url = upstream_ + request.target,
                     .body = request.body,
                     .timeout = std::chrono::seconds(20)};
  for (const char* name : {"authorization", "content-type", "x-amz-date"}) {
    handed.headers.emplace_back(name, request.Header(name));
  }
  const auto answer = AskAndWait(std::move(handed));
  if (planned) return planned->answer;
  if (!answer.ok()) return {.status = 502, .body = answer.error().message};
  return {.status = answer->status, .body = answer->body};
}

}  // namespace autoscale
