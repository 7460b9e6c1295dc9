// A provider `aws` before a fake of AWS.
#pragma once

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "providers/aws/aws_provider.h"
#include "tests/unit/aws/fake_aws.h"

namespace autoscale {

struct ParsedAws {
  std::shared_ptr<const AwsTarget> target;
  std::vector<std::string> messages;
};

inline ParsedAws ParseAws(const std::string& yaml, const std::string& file = "/etc/web.yaml") {
  std::vector<Diagnostic> diagnostics;
  Section section(file, YAML::Load(yaml), "provider", &diagnostics);
  ParsedAws parsed;
  parsed.target = std::dynamic_pointer_cast<const AwsTarget>(ParseAwsTarget(section, "web"));
  for (const auto& diagnostic : diagnostics) parsed.messages.push_back(ToString(diagnostic));
  return parsed;
}

inline bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class AwsRig : public testing::Test {
 protected:
  AwsRig() {
    std::string name = (std::filesystem::temp_directory_path() / "autoscale-aws-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    folder_ = name;
    environment_ = {{"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"}, {"AWS_SECRET_ACCESS_KEY", "secret"}};
    loop_.After(std::chrono::seconds(40), [this] {
      ADD_FAILURE() << "no answer";
      loop_.Stop();
    });
    Renew();
  }
  ~AwsRig() override { std::filesystem::remove_all(folder_); }

  aws::ApiOptions Options() {
    aws::ApiOptions options;
    options.first_pause = Millis(2);
    options.clocks.steady = [this] { return std::chrono::steady_clock::now() + later_; };
    options.clocks.wall = [this] { return kNow + later_.count(); };
    options.places.environment = [this](const std::string& key) -> std::optional<std::string> {
      const auto at = environment_.find(key);
      if (at == environment_.end()) return std::nullopt;
      return at->second;
    };
    options.places.container = aws_.Url();
    options.places.instance = aws_.Url();
    return options;
  }
  // As after a restart.
  void Renew() { provider_ = MakeAwsProvider(loop_, http_, Options()); }

  std::string Write(const std::string& file, const std::string& text) const {
    std::ofstream(folder_ / file) << text;
    return (folder_ / file).string();
  }

  TargetRef Target(const std::string& group = "web",
                   const std::string& more = "port: 8080\n") const {
    const ParsedAws parsed = ParseAws("type: aws\nregion: eu-central-1\ngroup: " + group +
                                      "\nendpoint: " + aws_.Url() + "\n" + more);
    for (const std::string& message : parsed.messages) ADD_FAILURE() << message;
    return {group, parsed.target};
  }

  std::vector<Observation> Observe(const std::vector<TargetRef>& refs) {
    std::vector<Observation> seen;
    provider_->Observe(refs, [&](Result<std::vector<Observation>> answer) {
      EXPECT_TRUE(answer.ok());
      if (answer.ok()) seen = *answer;
      loop_.Stop();
    });
    loop_.Run();
    EXPECT_EQ(seen.size(), refs.size());
    seen.resize(refs.size());
    return seen;
  }
  Observation Observe(const TargetRef& ref) { return Observe(std::vector{ref}).front(); }
  // Of one that can be read.
  Observation See(const TargetRef& ref) {
    Observation seen = Observe(ref);
    EXPECT_FALSE(seen.fault) << seen.fault->message;
    return seen;
  }
  // Why it could not be read; empty: it could.
  std::string FaultOf(const TargetRef& ref) {
    const Observation seen = Observe(ref);
    return seen.fault ? seen.fault->message : "";
  }

  Status Set(const TargetRef& ref, const CapacityWish& wish) {
    std::optional<Status> answer;
    provider_->SetCapacity(ref, wish, [&](Status status) {
      EXPECT_FALSE(answer.has_value()) << "called back twice";
      answer.emplace(std::move(status));
      loop_.Stop();
    });
    if (!answer) loop_.Run();
    if (!answer) return Error{ErrorKind::kInternal, "no answer"};
    return *answer;
  }

  static constexpr int64_t kNow = 1440938160;  // 2015-08-30T12:36:00Z
  std::filesystem::path folder_;
  std::map<std::string, std::string> environment_;
  FakeAws aws_;
  std::chrono::seconds later_{0};  // how far the provider's clocks are ahead
  EventLoop loop_;
  HttpClient http_{loop_, 16};
  std::unique_ptr<Provider> provider_;
};

inline const ObservedInstance& InstanceOf(const Observation& seen, const std::string& id) {
  for (const ObservedInstance& instance : seen.instances) {
    if (instance.id == id) return instance;
  }
  ADD_FAILURE() << "there is no instance " << id;
  static const ObservedInstance kNone;
  return kNone;
}

}  // namespace autoscale
