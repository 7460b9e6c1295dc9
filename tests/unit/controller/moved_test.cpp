// Services whose target is another one than that of which something is stored.
#include <gtest/gtest.h>

#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;
using Lines = std::vector<std::string>;

// One place, and options that tell two apart.
struct PlacedTarget final : ProviderTarget {
  explicit PlacedTarget(std::string options) : text(std::move(options)) {}
  [[nodiscard]] std::string identity() const override { return text; }
  [[nodiscard]] std::string place() const override { return {}; }
  [[nodiscard]] bool has_capacity() const override { return true; }
  std::string text;
};

class MovedTest : public ControllerTest {
 protected:
  ServiceSpec Group(const std::string& name = "web") {
    ServiceSpec spec = Web();
    spec.file = "web.yaml";
    spec.line = 3;
    spec.provider = "group";
    spec.target = std::make_shared<GroupTarget>(name);
    spec.content_hash = std::hash<std::string>()(name);
    return spec;
  }
  // As `load` says, of a group that has as many.
  void ServeGroup(const ServiceSpec& spec, int load) {
    metrics_.Says("load", load);
    group_.capacity = load;
    group_.Follow();
    group_.AllBecome(InstanceState::kReady);
    Start({spec});
    for (int i = 0; i < 3; ++i) Tick();
    ASSERT_EQ(Now().ready, load);
    group_.history.clear();
  }
  void Restart() {
    Crash();
    Boot();
  }
  std::string Refusal(const ServiceSpec& spec) {
    const Status started = controller_->Start({spec});
    courier_.Deliver();
    return started.ok() ? "" : started.error().message;
  }
};

TEST_F(MovedTest, AStartMovesNoServiceToAnotherProvider) {
  ServeWeb(3);
  const auto before = store_->ReadInstances();
  Restart();
  group_.capacity = 8;
  EXPECT_EQ(Refusal(Group()),
            "web.yaml:3: service 'web' moves from provider fake to group (web), and 3 instances "
            "run there: put it back; to move it, take it out by a reload, and add it anew when its "
            "instances have ended; or give the moved one another name beside the old one");
  controller_->Step();
  courier_.Deliver();
  EXPECT_EQ(group_.observations, 0);
  EXPECT_EQ(group_.history, Lines{});
  EXPECT_EQ(fleet_->Find("web"), nullptr);
  EXPECT_EQ(*store_->ReadInstances(), *before);
  EXPECT_EQ(store_->ReadServices()->at(0).target.provider, "fake");
  // Put back it goes on.
  Restart();
  Start({Web()});
  Tick();
  EXPECT_EQ(Now().ready, 3);
  EXPECT_EQ(provider_.history, (Lines{"launch web-1-1", "launch web-1-2", "launch web-1-3"}));
}

TEST_F(MovedTest, NorToAnotherPlace) {
  ServeGroup(Group(), 3);
  Restart();
  EXPECT_EQ(Refusal(Group("other")),
            "web.yaml:3: service 'web' moves from web to other, and 3 instances run there: put it "
            "back; to move it, change it by a reload, which leaves the former target as it is and "
            "takes the other one as it is found; or give the moved one another name beside the old "
            "one");
  EXPECT_EQ(store_->ReadServices()->at(0).target.place, "web");
}

TEST_F(MovedTest, AllThatMoveAreTold) {
  ServiceSpec shop = Web();
  shop.name = "shop";
  shop.gateways.clear();
  metrics_.Says("load", 1);
  Start({shop, Web()});
  for (int i = 0; i < 2; ++i) Tick();
  Restart();
  ServiceSpec moved = Group();
  moved.name = "shop";
  const Status started = controller_->Start({moved, Group()});
  ASSERT_FALSE(started.ok());
  EXPECT_NE(started.error().message.find("service 'shop' moves"), std::string::npos);
  EXPECT_NE(started.error().message.find("\nweb.yaml:3: service 'web' moves"), std::string::npos);
  EXPECT_NE(started.error().message.find("and 1 instance runs there"), std::string::npos);
}

TEST_F(MovedTest, AReloadSaysTheSame) {
  ServeWeb(2);
  loaded_.configuration.services = {Group()};
  const auto reloaded = Ask([](Controller& c) { return c.Reload(false); });
  ASSERT_FALSE(reloaded.ok());
  Restart();
  EXPECT_EQ(Refusal(Group()), reloaded.error().message);
}

TEST_F(MovedTest, WhereNothingRunsItMovesAndWhatIsFoundThereCounts) {
  ServiceSpec web = Web();
  web.rules.bounds.min = 0;
  metrics_.Says("load", 0);
  Start({web});
  for (int i = 0; i < 2; ++i) Tick();
  ASSERT_EQ(store_->ReadServices()->at(0).target.provider, "fake");
  Restart();
  metrics_.answers.clear();  // it holds
  group_.capacity = 4;
  group_.Follow();
  ASSERT_EQ(Refusal(Group()), "");
  for (int i = 0; i < 6; ++i) Tick();
  EXPECT_EQ(Now().desired, 4);
  EXPECT_EQ(group_.history, Lines{});
  EXPECT_EQ(store_->ReadServices()->at(0).target.provider, "group");
}

TEST_F(MovedTest, OtherOptionsOfOnePlaceAreTakenAsTheyAreFound) {
  ServiceSpec spec = Group();
  spec.target = std::make_shared<PlacedTarget>("group: a");
  ServeGroup(spec, 3);
  Restart();
  metrics_.answers.clear();
  group_.capacity = 5;
  group_.Follow();
  spec.target = std::make_shared<PlacedTarget>("group: b");
  Start({spec});
  for (int i = 0; i < 6; ++i) Tick();
  EXPECT_EQ(Now().desired, 5);
  EXPECT_EQ(group_.history, Lines{});
}

TEST_F(MovedTest, AReloadToAnotherTargetIsRememberedOverACrash) {
  ServeGroup(Group(), 3);
  metrics_.answers.clear();
  loaded_.configuration.services = {Group("other")};
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
  controller_->Step();  // stored; the other one has not answered yet
  group_.capacity = 7;
  group_.Follow();
  controller_.reset();
  fleet_.reset();
  store_.reset();
  courier_.inner = {};
  Boot();
  EXPECT_EQ(store_->ReadServices()->at(0).target.place, "other");
  Start({Group("other")});
  for (int i = 0; i < 6; ++i) Tick();
  EXPECT_EQ(Now().desired, 7);
  EXPECT_EQ(group_.history, Lines{});
}

TEST_F(MovedTest, ADryRunMayLookElsewhereAndMovesNothing) {
  ServeWeb(2);
  Restart();
  ServiceSpec dry = Group();
  dry.dry_run = true;
  dry.content_hash = 1;
  Start({dry});
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(store_->ReadServices()->at(0).target.provider, "fake");
  loaded_.configuration.services = {Group()};
  const auto reloaded = Ask([](Controller& c) { return c.Reload(false); });
  ASSERT_FALSE(reloaded.ok());
  EXPECT_NE(reloaded.error().message.find("from provider fake to group (web), and 2 instances run"),
            std::string::npos)
      << reloaded.error().message;
  Restart();
  EXPECT_EQ(Refusal(Group()), reloaded.error().message);
}

TEST_F(MovedTest, NorDoesOneThatWasMissingAtTheStartMove) {
  ServeWeb(2);
  Restart();
  Start({});
  loaded_.configuration.services = {Group()};
  const auto reloaded = Ask([](Controller& c) { return c.Reload(false); });
  ASSERT_FALSE(reloaded.ok());
  EXPECT_NE(reloaded.error().message.find("and 2 instances run there"), std::string::npos);
}

TEST_F(MovedTest, WhatAnOlderVersionStoredIsTakenAsUnmoved) {
  ServeWeb(2);
  ServiceRow row = store_->ReadServices()->at(0);
  row.target = {};
  ASSERT_TRUE(store_->Commit({.services = {row}}).ok());
  Restart();
  Start({Web()});
  Tick();
  EXPECT_EQ(Now().ready, 2);
  EXPECT_EQ(store_->ReadServices()->at(0).target.provider, "fake") << "from now on it is known";
}

TEST_F(MovedTest, WhatSomebodySetIsStoredBeforeItIsDecidedOn) {
  ServiceSpec spec = Group();
  spec.owner = CapacityOwner::kShared;
  spec.interval = std::chrono::hours(1);
  ServeGroup(spec, 3);
  group_.capacity = 6;
  group_.Follow();
  clock_.Advance(seconds(6));
  Settle();
  ASSERT_EQ(Now().desired, 6);
  metrics_.answers.clear();
  Restart();
  Start({spec});
  Settle();
  EXPECT_EQ(Now().desired, 6);
  EXPECT_EQ(group_.history, Lines{});
}

TEST_F(MovedTest, WhatSomebodySetWhileTheDaemonWasDownHolds) {
  ServiceSpec spec = Group();
  spec.owner = CapacityOwner::kShared;
  ServeGroup(spec, 3);
  EXPECT_EQ(store_->ReadServices()->at(0).size, (SizeRow{.capacity = 3}));
  Restart();
  metrics_.answers.clear();
  group_.capacity = 6;
  group_.Follow();
  Start({spec});
  for (int i = 0; i < 6; ++i) Tick();
  EXPECT_EQ(Now().desired, 6);
  EXPECT_EQ(group_.history, Lines{});
}

TEST_F(MovedTest, AContestSurvivesACrash) {
  ServeGroup(Group(), 3);
  for (int i = 0; i < 100 && fleet_->Find("web")->breaker.empty(); ++i) {
    group_.capacity = 7;
    for (int j = 0; j < 10; ++j) Tick();
  }
  ASSERT_NE(fleet_->Find("web")->breaker, "");
  const size_t asked = group_.history.size();
  Restart();
  Start({Group()});
  for (int i = 0; i < 400; ++i) Tick();
  EXPECT_EQ(group_.history.size(), asked);
  ASSERT_TRUE(Ask([](Controller& c) { return c.Resume("web"); }).ok());
  for (int i = 0; i < 2; ++i) Tick();
  EXPECT_EQ(group_.capacity, 3);
  EXPECT_FALSE(store_->ReadServices()->at(0).contested);
}

}  // namespace
}  // namespace autoscale
