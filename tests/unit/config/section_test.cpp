#include "config/section.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <functional>

namespace autoscale {
namespace {

struct Case {
  std::string yaml;
  std::function<void(Section&)> read;
  std::vector<std::string> faults;
};

std::vector<std::string> FaultsOf(const std::string& yaml,
                                  const std::function<void(Section&)>& read) {
  std::vector<Diagnostic> diagnostics;
  Section section("dir/f.yaml", YAML::Load(yaml), "", &diagnostics);
  read(section);
  section.Finish();
  section.Finish();  // says nothing twice
  std::vector<std::string> texts;
  for (const Diagnostic& diagnostic : diagnostics) texts.push_back(ToString(diagnostic));
  return texts;
}

TEST(Section, ReadsEveryKind) {
  std::vector<Diagnostic> diagnostics;
  Section s("/etc/x/f.yaml",
            YAML::Load("text: 7\nint: -3\nreal: 0.5\nflag: true\nwait: 1h30m\nsize: 2KiB\n"
                       "pick: b\nlist: [a, 1]\npath: ../token\nmap: {k: v, n: 5}\n"
                       "secret: {file: token}\nchild: {a: 1}\nchildren: [{a: 1}, {a: 2}]\n"),
            "", &diagnostics);
  EXPECT_EQ(s.String("text"), "7");
  EXPECT_EQ(s.Int("int", 0, {.min = -5}), -3);
  EXPECT_EQ(s.Double("real", 0), 0.5);
  EXPECT_TRUE(s.Bool("flag", false));
  EXPECT_EQ(s.Duration("wait", Millis(0)), std::chrono::minutes(90));
  EXPECT_EQ(s.Bytes("size", 0), 2048);
  EXPECT_EQ(s.Choice("pick", 0, {"a", "b"}), 1u);
  EXPECT_EQ(s.Strings("list"), (std::vector<std::string>{"a", "1"}));
  EXPECT_EQ(s.Path("path"), "/etc/token");
  EXPECT_EQ(s.Path("absent", "run/x"), "/etc/x/run/x");
  EXPECT_EQ(s.StringMap("map"),
            (std::vector<std::pair<std::string, std::string>>{{"k", "v"}, {"n", "5"}}));
  const auto secret = s.Secret("secret");
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->name, "/etc/x/token");
  EXPECT_EQ(s.Child("child")->RequiredInt("a"), 1);
  EXPECT_EQ(s.Children("children").at(1).Line("a"), 13);
  EXPECT_EQ(s.OptionalDouble("absent"), std::nullopt);
  EXPECT_FALSE(s.Raw("absent").IsDefined());
  s.Finish();
  EXPECT_TRUE(diagnostics.empty()) << ToString(diagnostics[0]);
}

TEST(Section, ReportsEachFaultAtItsLine) {
  const std::vector<Case> cases = {
      {"a: x",
       [](Section& s) { EXPECT_EQ(s.Int("a", 4), 4); },
       {"dir/f.yaml:1: 'a' must be a whole number, not 'x'"}},
      {"a: \"5\"",
       [](Section& s) { s.Int("a", 4); },
       {"dir/f.yaml:1: 'a' must be a whole number, not the quoted text \"5\""}},
      {"\na: [1]",
       [](Section& s) { s.Int("a", 4); },
       {"dir/f.yaml:2: 'a' must be a whole number, not a list"}},
      {"a:",
       [](Section& s) { s.Int("a", 4); },
       {"dir/f.yaml:1: 'a' has no value; give it a whole number or remove the key"}},
      {"a: -1",
       [](Section& s) { EXPECT_EQ(s.Int("a", 4), 4); },
       {"dir/f.yaml:1: 'a' must be at least 0, not -1"}},
      {"a: 11",
       [](Section& s) { s.RequiredInt("a", {.min = 1, .max = 10}); },
       {"dir/f.yaml:1: 'a' must be at most 10, not 11"}},
      {"b: 1",
       [](Section& s) {
         s.RequiredInt("a");
         s.Int("b", 0);
       },
       {"dir/f.yaml:1: 'a' is missing"}},
      {"a: .nan",
       [](Section& s) { s.Double("a", 1); },
       {"dir/f.yaml:1: 'a' must be a number, not '.nan'"}},
      {"a: 1.5",
       [](Section& s) { s.Double("a", 1, {.min = 0, .max = 1}); },
       {"dir/f.yaml:1: 'a' must be at most 1, not 1.5"}},
      {"a: yes",
       [](Section& s) { s.Bool("a", true); },
       {"dir/f.yaml:1: 'a' must be true or false, not 'yes'"}},
      {"a: \"true\"",
       [](Section& s) { s.Bool("a", false); },
       {"dir/f.yaml:1: 'a' must be true or false, not the quoted text \"true\""}},
      {"a: 15",
       [](Section& s) { s.Duration("a", Millis(1)); },
       {"dir/f.yaml:1: 'a': a duration is written with its unit, such as 250ms, 15s or 1h30m, not "
        "'15'"}},
      {"a: 2h",
       [](Section& s) { s.Duration("a", Millis(1), {.max = std::chrono::hours(1)}); },
       {"dir/f.yaml:1: 'a' must be at most 1h, not 2h"}},
      {"a: 5MB",
       [](Section& s) { s.Bytes("a", 1); },
       {"dir/f.yaml:1: 'a': a size is written such as 512, 16KiB, 64MiB or 2GiB, not '5MB'"}},
      {"a: 2GiB",
       [](Section& s) { s.Bytes("a", 1, {.min = 1, .max = 1 << 20}); },
       {"dir/f.yaml:1: 'a' must be at most 1MiB, not 2GiB"}},
      {"a: mx",
       [](Section& s) {
         EXPECT_EQ(s.Choice("a", 1, {"max", "min"}), 1u);
       },
       {"dir/f.yaml:1: 'a' must be max or min, not 'mx'; did you mean 'max'?"}},
      {"a: \"\"",
       [](Section& s) { s.RequiredString("a"); },
       {"dir/f.yaml:1: 'a' must not be empty"}},
      {"a: {b: 1}",
       [](Section& s) { s.String("a"); },
       {"dir/f.yaml:1: 'a' must be text, not a mapping"}},
      {"a: x", [](Section& s) { s.Strings("a"); }, {"dir/f.yaml:1: 'a' must be a list, not 'x'"}},
      {"a:\n- x\n- [y]",
       [](Section& s) { s.Strings("a"); },
       {"dir/f.yaml:3: each item of 'a' must be text, not a list"}},
      {"a: x",
       [](Section& s) { EXPECT_FALSE(s.Child("a")); },
       {"dir/f.yaml:1: 'a' must be a mapping, not 'x'"}},
      {"a:\n- {}\n- x",
       [](Section& s) { EXPECT_EQ(s.Children("a").size(), 1u); },
       {"dir/f.yaml:3: 'a[1]' must be a mapping, not 'x'"}},
      {"a: {k: [x]}",
       [](Section& s) { s.StringMap("a"); },
       {"dir/f.yaml:1: 'a.k' must be text, not a list"}},
      {"pots: 1\nzebra: 2",
       [](Section& s) {
         s.Int("ports", 1);
         s.Int("host", 1);
       },
       {"dir/f.yaml:1: unknown key 'pots'; did you mean 'ports'?",
        "dir/f.yaml:2: unknown key 'zebra'; known here: ports, host"}},
      {"a: {\n b: x}",
       [](Section& s) { s.Child("a")->Int("b", 1); },
       {"dir/f.yaml:2: 'a.b' must be a whole number, not 'x'"}},
      {"[1]", [](Section&) {}, {"dir/f.yaml:1: this must be a mapping, not a list"}},
      {"a: 1\nb: 2",
       [](Section& s) {
         s.Int("a", 0);
         s.Int("b", 0);
         s.Fault("b", "no");
         s.Warn("", "hm");
       },
       {"dir/f.yaml:2: no", "dir/f.yaml:1: warning: hm"}},
  };
  for (const Case& c : cases) EXPECT_EQ(FaultsOf(c.yaml, c.read), c.faults) << c.yaml;
}

TEST(Section, RefusesSecretsInTheOpenAndNeverRepeatsThem) {
  const auto read = [](Section& s) { EXPECT_FALSE(s.Secret("a")); };
  EXPECT_EQ(FaultsOf("a: hunter2", read),
            (std::vector<std::string>{"dir/f.yaml:1: 'a' is a secret and is never written here; "
                                      "write {file: PATH} or {env: NAME} to say where it is"}));
  const std::vector<std::string> wrong = {"a: [hunter2]",        "a: {env: hunter2!}",
                                          "a: {value: hunter2}", "a: {env: X, file: hunter2}",
                                          "a: {env: \"\"}",      "a:"};
  for (const std::string& yaml : wrong) {
    const std::vector<std::string> faults = FaultsOf(yaml, read);
    EXPECT_FALSE(faults.empty()) << yaml;
    for (const std::string& fault : faults) EXPECT_EQ(fault.find("hunter2"), std::string::npos);
  }
}

}  // namespace
}  // namespace autoscale
