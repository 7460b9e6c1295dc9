// A policy to be tried is read beside the live one.
#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

using Texts = std::vector<std::string>;

class ShadowConfig : public ::testing::Test {
 protected:
  ShadowConfig() {
    files_.Write("d.yaml", "prometheus: {url: \"http://127.0.0.1:9090/\"}\n");
    files_.Write("web.lua", "return hold()");
    files_.Write("try.lua", "return hold()");
  }
  LoadResult Load(const std::string& shadow) {
    files_.Write(
        "services.d/web.yaml",
        "service: web\npolicy: ../web.lua\nmax: 5\nprovider: {type: fake, ports: 1-2}\n" + shadow);
    return LoadConfiguration(files_.Path("d.yaml"), FakeAdapters());
  }
  Files files_;
};

TEST_F(ShadowConfig, IsReadWithItsParametersAndAnIdentityOfItsOwn) {
  const LoadResult none = Load("");
  EXPECT_EQ(none.configuration.services.at(0).shadow, nullptr);
  const LoadResult loaded = Load("shadow: {policy: ../try.lua, params: {target: 0.5}}\n");
  EXPECT_EQ(files_.Texts(loaded.diagnostics), Texts{});
  const ServiceSpec& service = loaded.configuration.services.at(0);
  ASSERT_NE(service.shadow, nullptr);
  EXPECT_EQ(service.shadow->policy->path, files_.Path("try.lua"));
  EXPECT_EQ(service.shadow->policy->text, service.policy->text);
  EXPECT_NE(service.shadow->policy->hash, service.policy->hash);
  EXPECT_EQ(service.shadow->params, (Params{{"target", 0.5}}));
  EXPECT_NE(service.content_hash, none.configuration.services.at(0).content_hash);
  files_.Write("try.lua", "return hold('changed')");
  EXPECT_NE(Load("shadow: {policy: ../try.lua, params: {target: 0.5}}\n")
                .configuration.services.at(0)
                .content_hash,
            service.content_hash);
}

TEST_F(ShadowConfig, FaultsAreTold) {
  EXPECT_EQ(files_.Texts(Load("shadow: {polcy: x.lua}\n").diagnostics).size(), 2u);
  EXPECT_EQ(files_.Texts(Load("shadow: {policy: ../none.lua}\n").diagnostics).size(), 1u);
}

}  // namespace
}  // namespace autoscale
