// What the configuration says of plugins, read by the real loader.
#include "providers/plugin/options.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/loader.h"
#include "providers/plugin/plugin_host.h"
#include "tests/fakes/documented.h"

namespace autoscale {
namespace {

namespace fs = std::filesystem;

class PluginOptionsTest : public testing::Test {
 protected:
  PluginOptionsTest() {
    std::string name = (fs::temp_directory_path() / "autoscale-plugin-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) abort();
    folder_ = name;
    fs::create_directory(folder_ / "services.d");
    std::ofstream(folder_ / "p.lua") << "return hold(\"as it is\")\n";
  }
  ~PluginOptionsTest() override { fs::remove_all(folder_); }

  // Loads a daemon's file with these plugins, and services each with such a `provider:`.
  LoadResult Load(const std::string& plugins, const std::vector<std::string>& providers) {
    std::ofstream(folder_ / "autoscaled.yaml") << "prometheus: {url: \"http://127.0.0.1:9\"}\n"
                                               << plugins;
    for (size_t i = 0; i < providers.size(); ++i) {
      const std::string name(1, static_cast<char>('a' + i));
      std::ofstream(folder_ / "services.d" / (name + ".yaml"))
          << "service: " << name << "\npolicy: ../p.lua\nmax: 3\nprovider: " << providers[i]
          << "\n";
    }
    LoadOptions options;
    options.plugin = ParsePlugin;
    options.plugin_target = ParsePluginTarget;
    options.providers["builtin"] = [](Section& section, const std::string&) {
      section.Finish();
      return nullptr;
    };
    return LoadConfiguration((folder_ / "autoscaled.yaml").string(), options);
  }
  // All that is said of it, one a line.
  static std::string Said(const LoadResult& result) {
    std::string said;
    for (const Diagnostic& diagnostic : result.diagnostics) said += ToString(diagnostic) + "\n";
    return said;
  }
  std::string Said(const std::string& plugins, const std::vector<std::string>& providers = {}) {
    return Said(Load(plugins, providers));
  }

  fs::path folder_;
};

testing::AssertionResult Has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no '" << part << "' in: " << text;
}

TEST_F(PluginOptionsTest, ADeclarationSaysHowTheProcessIsStarted) {
  const LoadResult result = Load(
      "plugins:\n  mycloud:\n    command: [/bin/true, --region, eu]\n    sha256: " +
          std::string(64, 'A') +
          "\n    environment: {PROJECT: blue}\n    inherit: [CLOUD_TOKEN]\n    start_timeout: 3s\n"
          "    call_timeout: 250ms\n",
      {});
  EXPECT_EQ(Said(result), "");
  ASSERT_EQ(result.configuration.daemon.plugins.size(), 1u);
  EXPECT_EQ(result.configuration.daemon.plugins[0].name, "mycloud");
  const auto command = std::dynamic_pointer_cast<const PluginCommand>(
      result.configuration.daemon.plugins[0].options);
  ASSERT_TRUE(command);
  EXPECT_EQ(command->command, (std::vector<std::string>{"/bin/true", "--region", "eu"}));
  EXPECT_EQ(command->sha256, std::string(64, 'a'));
  EXPECT_EQ(command->environment.size(), 1u);
  EXPECT_EQ(command->inherit, std::vector<std::string>{"CLOUD_TOKEN"});
  EXPECT_EQ(command->start_timeout, std::chrono::seconds(3));
  EXPECT_EQ(command->call_timeout, Millis(250));
}

TEST_F(PluginOptionsTest, WhatCannotBeIsToldAtItsLine) {
  const auto plugin = [](const std::string& text) { return "plugins:\n  p: {" + text + "}\n"; };
  const std::pair<std::string, std::string> kCases[] = {
      {plugin(""), "autoscaled.yaml:3: 'command' must be a list of a program"},
      {plugin("command: [true]"), "by its absolute path"},
      {plugin("command: [./p]"), "by its absolute path"},
      {plugin("command: []"), "by its absolute path"},
      {plugin("command: /bin/true"), "'plugins.p.command' must be a list"},
      {plugin("command: [/bin/true], sha256: 12"), "'sha256' must be the 64 hexadecimal digits"},
      {plugin("command: [/bin/true], sha256: " + std::string(64, 'g')), "64 hexadecimal digits"},
      {plugin("command: [/bin/true], start_timeout: 10m"), "must be at most 5m"},
      {plugin("command: [/bin/true], call_timeout: 0s"), "must be at least 10ms"},
      {plugin("command: [/bin/true], environment: {\"A=B\": c}"), "cannot be a variable's name"},
      {plugin("command: [/bin/true], environment: {PLUGIN_UNIX_SOCKET_DIR: /x}"),
       "'PLUGIN_UNIX_SOCKET_DIR' is set by autoscaled itself"},
      {plugin("command: [/bin/true], inherit: [AUTOSCALED_PLUGIN]"), "is set by autoscaled itself"},
      {plugin("command: [/bin/true], comand: 1"), "unknown key 'comand'; did you mean 'command'?"},
      {"plugins: {builtin: {command: [/bin/true]}}\n",
       "plugin 'builtin' has the name of a provider that is built in"},
      {"plugins: {My Cloud: {command: [/bin/true]}}\n", "plugin name 'My Cloud' must hold only"},
      {"plugins: [/bin/true]\n", "'plugins' must be a mapping"},
  };
  for (const auto& [text, part] : kCases) {
    const LoadResult result = Load(text, {});
    EXPECT_FALSE(result.ok()) << text;
    EXPECT_TRUE(Has(Said(result), part)) << text;
  }
}

// A plugin that is not installed yet costs its own services a hold, and not the start.
TEST_F(PluginOptionsTest, AProgramThatIsNotThereIsAWarning) {
  const LoadResult result = Load("plugins: {p: {command: [/nowhere/p]}}\n", {"{type: p, a: 1}"});
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(Has(Said(result), "warning: there is no program /nowhere/p that may be executed"));
}

TEST_F(PluginOptionsTest, AServicesOptionsAreHandedOverAsTheyAre) {
  const LoadResult result = Load(
      "plugins: {p: {command: [/bin/true]}}\n",
      {"{type: p, text: a b, quoted: \"1\", n: 3, x: -0.5, yes: true, nil: null, zip: 010, deep: "
       "{list: [1, {a: b}, []], empty: {}}}"});
  ASSERT_EQ(Said(result), "");
  ASSERT_EQ(result.configuration.services.size(), 1u);
  const auto target =
      std::dynamic_pointer_cast<const PluginTarget>(result.configuration.services[0].target);
  ASSERT_TRUE(target);
  EXPECT_TRUE(target->has_capacity());
  EXPECT_EQ(nlohmann::json::parse(target->text),
            nlohmann::json::parse(
                R"({"text": "a b", "quoted": "1", "n": 3, "x": -0.5, "yes": true, "nil": null,
                    "zip": "010", "deep": {"list": [1, {"a": "b"}, []], "empty": {}}})"));
  const auto& fields = target->options.fields();
  EXPECT_EQ(fields.at("n").number_value(), 3);
  EXPECT_EQ(fields.at("quoted").string_value(), "1");
  EXPECT_TRUE(fields.at("yes").bool_value());
  EXPECT_TRUE(fields.at("nil").has_null_value());
  EXPECT_EQ(fields.at("deep").struct_value().fields().at("list").list_value().values_size(), 3);
}

TEST_F(PluginOptionsTest, OptionsWithoutEndAreRefused) {
  const std::string plugins = "plugins: {p: {command: [/bin/true]}}\n";
  std::string deep = "1", wide;
  for (int i = 0; i < 40; ++i) deep = "[" + deep + "]";
  for (int i = 0; i < 10'001; ++i) wide += "1,";
  EXPECT_TRUE(Has(Said(plugins, {"{type: p, a: " + deep + "}"}), "nested deeper than 16"));
  EXPECT_TRUE(Has(Said(plugins, {"{type: p, a: [" + wide + "]}"}), "more than 10000 values"));
  EXPECT_TRUE(Has(Said(plugins, {"{type: p, a: " + std::string(70'000, 'x') + "}"}),
                  "more than 64 KiB of text"));
  EXPECT_FALSE(Load(plugins, {"{type: p, a: &a [1, *a]}"}).ok());
}

TEST_F(PluginOptionsTest, TypesThatArePluginsAreKnownAndEqualTargetsRefused) {
  const std::string plugins = "plugins: {p: {command: [/bin/true]}, q: {command: [/bin/true]}}\n";
  EXPECT_TRUE(
      Has(Said(plugins, {"{type: pp}"}), "unknown provider type 'pp'; known: builtin, p, q"));
  EXPECT_TRUE(Has(Said(plugins, {"{type: p, g: 1, h: 2}", "{type: p, h: 2, g: 1}"}),
                  "service 'b' has the same target as 'a'"));
  EXPECT_EQ(Said(plugins, {"{type: p, g: 1}", "{type: q, g: 1}"}), "");
}

// The guide's examples load as they stand; its plugin is not installed here.
TEST_F(PluginOptionsTest, TheGuidesExamplesLoad) {
  const auto blocks = DocumentedYaml("docs/providers/plugins.md");
  ASSERT_EQ(blocks.size(), 2u);
  const LoadResult result = Load(blocks[0], {"\n" + blocks[1].substr(blocks[1].find('\n') + 1)});
  EXPECT_TRUE(result.ok()) << Said(result);
  ASSERT_EQ(result.configuration.services.size(), 1u);
  EXPECT_EQ(result.configuration.services[0].provider, "mycloud");
}

}  // namespace
}  // namespace autoscale
