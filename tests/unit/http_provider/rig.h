// A provider `http` before a manager of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "providers/http/http_provider.h"
#include "tests/fakes/http_server.h"

namespace autoscale {

struct ParsedHttp {
  std::shared_ptr<const HttpTarget> target;
  std::vector<std::string> messages;
};

inline ParsedHttp ParseHttp(const std::string& yaml, const std::string& service = "web",
                            const std::string& file = "/etc/autoscaled/services.d/web.yaml") {
  std::vector<Diagnostic> diagnostics;
  Section section(file, YAML::Load(yaml), "provider", &diagnostics);
  ParsedHttp parsed;
  parsed.target = std::dynamic_pointer_cast<const HttpTarget>(ParseHttpTarget(section, service));
  for (const auto& diagnostic : diagnostics) parsed.messages.push_back(ToString(diagnostic));
  return parsed;
}

class HttpProviderTest : public testing::Test {
 protected:
  HttpProviderTest() {
    std::string name = (std::filesystem::temp_directory_path() / "autoscale-http-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    folder_ = name;
    loop_.After(std::chrono::seconds(40), [this] {
      ADD_FAILURE() << "no answer";
      loop_.Stop();
    });
  }
  ~HttpProviderTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& file, const std::string& text) const {
    std::ofstream(folder_ / file) << text;
  }

  // MANAGER in the text stands for the manager's URL.
  TargetRef Target(std::string yaml, const std::string& service = "web") const {
    const std::string key = "MANAGER";
    for (size_t at = 0; (at = yaml.find(key, at)) != std::string::npos;) {
      yaml.replace(at, key.size(), manager_.Url());
    }
    const ParsedHttp parsed = ParseHttp(yaml, service, (folder_ / "web.yaml").string());
    for (const std::string& message : parsed.messages) ADD_FAILURE() << message;
    return {service, parsed.target};
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

  // Requests for the path, and what they were.
  std::vector<FakeRequest> RequestsFor(const std::string& path) const {
    std::vector<FakeRequest> found;
    for (const FakeRequest& request : manager_.requests()) {
      if (request.target.substr(0, request.target.find('?')) == path) found.push_back(request);
    }
    return found;
  }

  std::filesystem::path folder_;
  FakeHttpServer manager_;
  std::chrono::seconds later_{0};  // how far the provider's clock is ahead
  EventLoop loop_;
  HttpClient http_{loop_, 16};
  std::unique_ptr<Provider> provider_ =
      MakeHttpProvider(loop_, http_, {.first_pause = Millis(5), .now = [this] {
                                        return std::chrono::steady_clock::now() + later_;
                                      }});
};

inline bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace autoscale
