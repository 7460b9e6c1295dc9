// Whose word counts where others can scale the target, too.
#include "tests/unit/config/files.h"

namespace autoscale {
namespace {

struct SizedTarget final : ProviderTarget {
  [[nodiscard]] bool has_capacity() const override { return true; }
};

class CapacityConfig : public ::testing::Test {
 protected:
  LoadResult Load(const std::string& provider, const std::string& line) {
    files_.Write("d.yaml", "prometheus: {url: \"http://127.0.0.1:9090/\"}\n");
    files_.Write("web.lua", "return hold()");
    files_.Write(
        "services.d/web.yaml",
        "service: web\npolicy: ../web.lua\nmax: 5\nprovider: {type: " + provider + "}\n" + line);
    LoadOptions options = FakeAdapters();
    options.providers["sized"] = [](Section&, const std::string&) {
      return std::make_shared<const SizedTarget>();
    };
    return LoadConfiguration(files_.Path("d.yaml"), options);
  }
  CapacityOwner OwnerOf(const std::string& line) {
    const LoadResult loaded = Load("sized", line);
    EXPECT_EQ(files_.Texts(loaded.diagnostics), std::vector<std::string>{});
    return loaded.configuration.services.at(0).owner;
  }
  Files files_;
};

TEST_F(CapacityConfig, OneOfThree) {
  EXPECT_EQ(OwnerOf(""), CapacityOwner::kManaged);
  EXPECT_EQ(OwnerOf("capacity: managed\n"), CapacityOwner::kManaged);
  EXPECT_EQ(OwnerOf("capacity: shared\n"), CapacityOwner::kShared);
  EXPECT_EQ(OwnerOf("capacity: external\n"), CapacityOwner::kExternal);
}

TEST_F(CapacityConfig, AnythingElseIsRefusedAtItsLine) {
  EXPECT_EQ(
      files_.Texts(Load("sized", "capacity: theirs\n").diagnostics),
      (std::vector<std::string>{"services.d/web.yaml:5: 'capacity' must be managed, shared or "
                                "external, not 'theirs'"}));
  EXPECT_EQ(files_.Texts(Load("fake", "capacity: shared\n").diagnostics),
            (std::vector<std::string>{
                "services.d/web.yaml:5: 'capacity' says whose word counts where others can scale "
                "the target, too; instances of provider fake are started by this daemon alone: "
                "leave it out"}));
}

}  // namespace
}  // namespace autoscale
