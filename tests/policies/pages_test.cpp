// Each shipped policy has a page, whose service loads as it stands there, without a doubt.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "config/loader.h"
#include "policies/shipped.h"

namespace autoscale {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string PageOf(std::string_view policy) {
  return ReadText(SOURCE_DIR "/docs/policies/" + std::string(policy) + ".md");
}

// The first block of YAML; empty: there is none.
std::string ServiceOf(const std::string& page) {
  const size_t begin = page.find("```yaml\n");
  const size_t end = page.find("\n```", begin + 1);
  return begin == std::string::npos ? "" : page.substr(begin + 8, end - begin - 7);
}

TEST(Pages, TheirServicesLoad) {
  const std::string path =
      ::testing::TempDir() + "/page_service_" + std::to_string(getpid()) + ".yaml";
  for (const ShippedFile& policy : ShippedPolicies()) {
    SCOPED_TRACE(policy.name);
    const std::string text = ServiceOf(PageOf(policy.name));
    ASSERT_FALSE(text.empty());
    std::ofstream(path, std::ios::binary) << text;
    const LoadResult loaded = LoadServiceFile(path, "", {.accept_any_adapter = true});
    for (const Diagnostic& diagnostic : loaded.diagnostics) ADD_FAILURE() << ToString(diagnostic);
    ASSERT_EQ(loaded.configuration.services.size(), 1u);
    const ServiceSpec& service = loaded.configuration.services[0];
    EXPECT_EQ(service.policy->text, policy.text);
    PolicyHost host{PolicyLimits{}};
    const auto doubt = host.Check(*service.policy, SnapshotOf(service));
    ASSERT_TRUE(doubt.ok()) << doubt.error().message;
    EXPECT_EQ(*doubt, "");
  }
  std::filesystem::remove(path);
}

// What the head of the file names is in the page's table, and nothing else.
TEST(Pages, NameTheParametersOfTheirPolicies) {
  for (const ShippedFile& policy : ShippedPolicies()) {
    const std::string page = PageOf(policy.name);
    for (size_t at = policy.text.find("param(\""); at != std::string_view::npos;
         at = policy.text.find("param(\"", at + 1)) {
      const size_t begin = at + 7;
      const std::string name(policy.text.substr(begin, policy.text.find('"', begin) - begin));
      EXPECT_NE(page.find("`" + name + "`"), std::string::npos) << policy.name << ": " << name;
    }
  }
}

}  // namespace
}  // namespace autoscale
