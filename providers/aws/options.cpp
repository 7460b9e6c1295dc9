#include "providers/aws/options.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "config/endpoint.h"
#include "providers/aws/profile.h"

namespace autoscale {
namespace {

constexpr size_t kMaxName = 255;

// "eu-central-1", "us-gov-west-1": it becomes a part of a host's name.
bool IsRegion(std::string_view text) {
  return text.size() >= 5 && text.size() <= 32 && text.find('-') != std::string_view::npos &&
         std::islower(static_cast<unsigned char>(text.front())) != 0 &&
         std::isdigit(static_cast<unsigned char>(text.back())) != 0 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-';
         });
}

std::string ParseRegion(Section& section) {
  std::string region = section.String("region");
  const bool said = section.Has("region");
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (!said && region.empty()) region = aws::ProcessEnvironment(name).value_or("");
  }
  if (region.empty()) {
    section.Fault(said ? "region" : "",
                  "region is missing: say where the group is, such as region: eu-central-1 "
                  "(AWS_REGION is not set)");
  } else if (!IsRegion(region)) {
    section.Fault(
        said ? "region" : "",
        "region must be the code of a region, such as eu-central-1, not '" + region + "'");
  }
  return region;
}

std::string ParseGroup(Section& section) {
  std::string group = section.RequiredString("group");
  const bool plain = std::all_of(group.begin(), group.end(),
                                 [](unsigned char c) { return c >= ' ' && c != 0x7f; });
  if (group.starts_with("arn:")) {
    section.Fault("group", "group must be the Auto Scaling group's name, not its ARN");
  } else if (group.size() > kMaxName || !plain) {
    section.Fault("group",
                  "group must be the name of an Auto Scaling group: at most 255 printable "
                  "characters");
  }
  return group;
}

std::string EndpointIn(Section& section, const std::string& key, const std::string& fallback) {
  std::string url = section.String(key, fallback);
  if (!section.Has(key)) return url;
  if (const std::string fault = UrlFault(url); !fault.empty()) {
    section.Fault(key, key + " " + fault);
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// `endpoint` stands for all three, as a test server or a proxy does.
void ParseEndpoints(Section& section, AwsAccess& access) {
  const std::string domain =
      access.region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
  const std::string all = EndpointIn(section, "endpoint", "");
  const auto usual = [&](const std::string& service) {
    return all.empty() ? "https://" + service + "." + access.region + domain : all;
  };
  access.autoscaling = usual("autoscaling");
  access.ec2 = EndpointIn(section, "ec2_endpoint", usual("ec2"));
  access.sts = EndpointIn(section, "sts_endpoint", usual("sts"));
}

void ParseAccess(Section& section, AwsAccess& access) {
  access.region = ParseRegion(section);
  ParseEndpoints(section, access);
  access.profile = section.String("profile");
  if (!access.profile.empty()) {
    const auto profile = aws::ReadProfile(aws::ProcessEnvironment, access.profile);
    if (!profile.ok()) section.Fault("profile", profile.error().message);
  }
  access.ca_file = section.Path("ca_file");
  std::error_code ignored;
  if (!access.ca_file.empty() && !std::filesystem::is_regular_file(access.ca_file, ignored)) {
    section.Warn("ca_file", "there is no file " + access.ca_file);
  }
}

std::string ParseHook(Section& section) {
  std::string hook = section.String("lifecycle_hook");
  const bool plain = std::all_of(hook.begin(), hook.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '/';
  });
  if (section.Has("lifecycle_hook") && (hook.empty() || hook.size() > kMaxName || !plain)) {
    section.Fault("lifecycle_hook",
                  "lifecycle_hook must be the name of a lifecycle hook: letters, digits, - _ /");
  }
  return hook;
}

}  // namespace

std::string AwsAccess::Key() const {
  std::string key;
  for (const auto* part : {&region, &profile, &autoscaling, &ec2, &sts, &ca_file}) {
    key += *part + '\n';
  }
  return key;
}

std::string AwsTarget::identity() const {
  return "aws " + access.autoscaling + " " + access.profile + " " + group;
}

std::string AwsTarget::Shown() const {
  return "Auto Scaling group " + group + " (" + access.region + ")";
}

std::shared_ptr<const ProviderTarget> ParseAwsTarget(Section& section,
                                                     const std::string& /*service*/) {
  auto target = std::make_shared<AwsTarget>();
  section.String("type");  // read by whoever chose this parser
  target->group = ParseGroup(section);
  ParseAccess(section, target->access);
  target->port = static_cast<int>(section.Int("port", 0, {.min = 1, .max = 65535}));
  target->is_public = section.Choice("address", 0, {"private", "public"}) == 1;
  if (section.Has("address") && target->port == 0) {
    section.Fault("address", "address needs 'port': where the instances serve");
  }
  target->hook = ParseHook(section);
  target->poll =
      section.Duration("poll", target->poll, {.min = Millis(100), .max = std::chrono::hours(1)});
  target->timeout = section.Duration("timeout", target->timeout,
                                     {.min = Millis(10), .max = std::chrono::minutes(1)});
  target->retries =
      static_cast<int>(section.Int("retries", target->retries, {.min = 0, .max = 10}));
  section.Finish();
  return target;
}

}  // namespace autoscale
