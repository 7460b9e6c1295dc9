// What a policy requires is read with it.
#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

using Texts = std::vector<std::string>;

class Modules : public ::testing::Test {
 protected:
  Modules() {
    files_.Write("d.yaml",
                 "prometheus: {url: \"http://127.0.0.1:9090/\"}\n"
                 "policy_limits: {source: 4KiB}\n");
  }
  void Service(const std::string& policy) {
    files_.Write("services.d/web.yaml", "service: web\npolicy: " + policy +
                                            "\nmax: 5\nprovider: {type: fake, ports: 1-2}\n");
  }
  LoadResult Load() { return LoadConfiguration(files_.Path("d.yaml"), FakeAdapters()); }
  // The one message of a load.
  std::string Fault(const std::string& text) {
    files_.Write("policies/web.lua", text);
    Service("../policies/web.lua");
    const Texts texts = files_.Texts(Load().diagnostics);
    return texts.size() == 1 ? texts[0] : std::to_string(texts.size()) + " messages";
  }
  Files files_;
};

TEST_F(Modules, AreReadWithAllThatTheyRequire) {
  files_.Write("policies/lib/a.lua", "require 'lib.b' return 1");
  files_.Write("policies/lib/b.lua", "require 'autoscale.check' return 2");
  EXPECT_EQ(Fault("require 'lib.a' require 'lib.b' return hold()"), "0 messages");
  const LoadResult loaded = Load();
  const PolicySource& policy = *loaded.configuration.services.at(0).policy;
  ASSERT_EQ(policy.modules.size(), 3U);
  EXPECT_EQ(policy.modules[0]->name, "autoscale.check");
  EXPECT_EQ(policy.modules[0]->path, "shipped/autoscale/check.lua");
  EXPECT_EQ(policy.modules[1]->name, "lib.a");
  EXPECT_EQ(policy.modules[1]->path, files_.Path("policies/lib/a.lua"));
  EXPECT_EQ(policy.modules[2]->text, "require 'autoscale.check' return 2");
}

TEST_F(Modules, AChangeOfAModuleChangesTheService) {
  files_.Write("policies/lib/a.lua", "require 'lib.b' return 1");
  files_.Write("policies/lib/b.lua", "return 2");
  EXPECT_EQ(Fault("require 'lib.a' return hold()"), "0 messages");
  const ServiceSpec before = Load().configuration.services.at(0);
  EXPECT_EQ(Load().configuration.services.at(0).content_hash, before.content_hash);
  files_.Write("policies/lib/b.lua", "return 3");
  const ServiceSpec after = Load().configuration.services.at(0);
  EXPECT_NE(after.policy->hash, before.policy->hash);
  EXPECT_NE(after.content_hash, before.content_hash);
}

TEST_F(Modules, WhatCannotBeHadIsToldAtTheLineThatRequiresIt) {
  files_.Write("policies/lib/a.lua", "\nlocal b = require('lib.b')");
  const std::string missing = Fault("require 'lib.a'");
  EXPECT_TRUE(missing.starts_with(
      "services.d/web.yaml:2: policy: policies/lib/a.lua:2: require \"lib.b\": cannot read "
      "policies/lib/b.lua: No such file or directory; the shipped ones are autoscale."))
      << missing;
  EXPECT_EQ(Fault("\n\nrequire 'check'"),
            "services.d/web.yaml:2: policy: policies/web.lua:3: require \"check\": cannot read "
            "policies/check.lua: No such file or directory; did you mean 'autoscale.check'?");
  EXPECT_EQ(Fault("require 'autoscale.chek'"),
            "services.d/web.yaml:2: policy: policies/web.lua:1: require \"autoscale.chek\": the "
            "shipped library has no such module; did you mean 'autoscale.check'?");
  EXPECT_EQ(Fault("local name = 'a'\nrequire(name)"),
            "services.d/web.yaml:2: policy: policies/web.lua:2: require needs the module's name as "
            "it is, as in require \"lib.smooth\": what a policy is made of is read before it runs");
}

TEST_F(Modules, NamesDoNotLeaveTheFolder) {
  for (const char* name : {"../secret", "/etc/passwd", "a..b", "a/b"}) {
    const std::string fault = Fault(std::string("require '") + name + "'");
    EXPECT_NE(fault.find("a module is named by words"), std::string::npos) << fault;
  }
}

TEST_F(Modules, NoCircles) {
  files_.Write("policies/a.lua", "require 'b'");
  files_.Write("policies/b.lua", "\nrequire 'a'");
  EXPECT_EQ(
      Fault("require 'a'"),
      "services.d/web.yaml:2: policy: policies/b.lua:2: require \"a\": modules cannot require "
      "each other in a circle: a requires b requires a");
}

TEST_F(Modules, AreBoundedInNumberAndSize) {
  std::string policy;
  for (int i = 0; i <= 64; ++i) {
    files_.Write("policies/m" + std::to_string(i) + ".lua", "return 1");
    policy += "require 'm" + std::to_string(i) + "'\n";
  }
  EXPECT_EQ(Fault(policy),
            "services.d/web.yaml:2: policy: policies/web.lua:65: require \"m64\": a policy has at "
            "most 64 modules");
  files_.Write("policies/big.lua", "--" + std::string(4000, 'x'));
  EXPECT_EQ(Fault("--" + std::string(200, 'x') + "\nrequire 'big'"),
            "services.d/web.yaml:2: policy: policies/web.lua:2: require \"big\": the policy with "
            "its modules has 4218 bytes, more than 4096 (policy_limits.source)");
}

TEST_F(Modules, AShippedPolicyIsNamedWithoutItsEnding) {
  Service("requests_per_instance");
  const LoadResult loaded = Load();
  EXPECT_EQ(files_.Texts(loaded.diagnostics), Texts{});
  const PolicySource& policy = *loaded.configuration.services.at(0).policy;
  EXPECT_EQ(policy.path, "shipped/requests_per_instance.lua");
  EXPECT_EQ(policy.modules.at(0)->name, "autoscale.check");
  Service("request_per_instance");
  EXPECT_EQ(
      files_.Texts(Load().diagnostics),
      Texts{"services.d/web.yaml:2: no policy 'request_per_instance' is shipped; did you mean "
            "'requests_per_instance'?; a file of your own is named with its ending: "
            "request_per_instance.lua"});
}

}  // namespace
}  // namespace autoscale
