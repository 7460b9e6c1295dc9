#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

using Texts = std::vector<std::string>;

class Timezone : public ::testing::Test {
 protected:
  LoadResult Load(const std::string& value) {
    files_.Write("p.lua", "return hold()");
    files_.Write("d.yaml", "prometheus: {url: \"http://127.0.0.1:9090/\"}\n");
    files_.Write(
        "services.d/web.yaml",
        "service: web\npolicy: ../p.lua\nmax: 5\nprovider: {type: fake, ports: 1-2}\n" + value);
    return LoadConfiguration(files_.Path("d.yaml"), FakeAdapters());
  }
  Texts Faults(const std::string& value) { return files_.Texts(Load(value).diagnostics); }
  Files files_;
};

TEST_F(Timezone, IsOneOrAList) {
  EXPECT_TRUE(Load("").configuration.services.at(0).zones.empty());
  const auto one = Load("timezone: Europe/Berlin").configuration.services.at(0);
  ASSERT_EQ(one.zones.size(), 1U);
  EXPECT_EQ(one.zones[0]->name, "Europe/Berlin");
  EXPECT_FALSE(one.zones[0]->changes.empty());
  const auto several = Load("timezone: [UTC, Asia/Kolkata]").configuration.services.at(0);
  ASSERT_EQ(several.zones.size(), 2U);
  EXPECT_EQ(several.zones[0]->name, "UTC");
  EXPECT_EQ(several.zones[1]->name, "Asia/Kolkata");
}

TEST_F(Timezone, UnknownOnesAreTold) {
  EXPECT_EQ(Faults("timezone: [UTC, Europe/Berln]"),
            Texts{"services.d/web.yaml:5: unknown time zone 'Europe/Berln'; did you mean "
                  "'Europe/Berlin'?"});
  EXPECT_EQ(Faults("timezone: ../../etc/passwd"),
            Texts{"services.d/web.yaml:5: unknown time zone '../../etc/passwd'; zones are named "
                  "such as Europe/Berlin"});
  EXPECT_EQ(Faults("timezone: {a: b}").size(), 1U);
}

}  // namespace
}  // namespace autoscale
