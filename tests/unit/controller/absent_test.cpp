// Services that were missing from the configuration when the daemon started.
#include <gtest/gtest.h>

#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;
using Lines = std::vector<std::string>;

class AbsentTest : public ControllerTest {
 protected:
  // A daemon that does not find `web` in its configuration, and is told of it later.
  void StartWithoutIt(seconds absent) {
    Crash();
    Boot();
    Start({});
    Tick();
    EXPECT_EQ(fleet_->Find("web"), nullptr);
    clock_.Advance(absent);
    provider_.history.clear();
  }
  void ConfigureAgain(const ServiceSpec& spec) {
    loaded_.configuration.services = {spec};
    ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(false); }).ok());
    Settle();
  }
};

TEST_F(AbsentTest, OneThatIsConfiguredAgainGoesOnFromWhatIsStored) {
  ServeWeb(3);
  ASSERT_TRUE(Ask([](Controller& c) { return c.Pause("web", "night shift"); }).ok());
  StartWithoutIt(seconds(100));
  provider_.instances["web"].erase("web-1-2");  // which died while nobody looked
  ConfigureAgain(Web());
  EXPECT_EQ(Now().desired, 3);
  EXPECT_EQ(provider_.history, (Lines{"launch web-2-1", "forget web-1-2"}));
  const auto views = Ask([](Controller& c) { return c.ReadServices("web"); });
  ASSERT_TRUE(views.ok());
  EXPECT_TRUE(views->front().paused);
  EXPECT_EQ(views->front().pause_reason, "night shift");
  // And it is a service like any other: removed, it goes.
  loaded_.configuration.services.clear();
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  EXPECT_TRUE(fleet_->Find("web")->leaving);
}

TEST_F(AbsentTest, ItsCooldownsAndStateGoOnToo) {
  ServiceSpec web =
      Web("state.n = (state.n or 0) + 1 return scale_to(metric('load').value, "
          "'time ' .. state.n)");
  web.rules.down.cooldown = seconds(1000);
  metrics_.Says("load", 4);
  Start({web});
  Tick();
  MakeReady();
  metrics_.Says("load", 3);
  Tick();  // a scale-in: the next one is 1000 s away
  ASSERT_EQ(Now().desired, 3);
  const std::string state = store_->ReadServices()->at(0).policy_state;
  StartWithoutIt(seconds(100));
  metrics_.Says("load", 2);
  ConfigureAgain(web);
  Tick();
  EXPECT_EQ(Now().desired, 3);
  EXPECT_NE(store_->ReadServices()->at(0).policy_state, state);  // it counts on, not anew:
  EXPECT_NE(fleet_->Find("web"), nullptr);
  const auto explained = Ask([](Controller& c) { return c.Explain("web"); });
  ASSERT_TRUE(explained.ok());
  EXPECT_EQ(explained->proposal.reason, "time 4");
  clock_.Advance(seconds(1000));
  Tick();
  EXPECT_EQ(Now().desired, 2);
}

TEST_F(AbsentTest, ABreakerStaysOpen) {
  ServeWeb(1);
  provider_.launch_error = Error{ErrorKind::kExhausted, "no free port"};
  metrics_.Says("load", 2);
  for (int i = 0; i < 1000 && fleet_->Find("web")->breaker.empty(); ++i) Tick();
  ASSERT_NE(fleet_->Find("web")->breaker, "");
  StartWithoutIt(seconds(10));
  ConfigureAgain(Web());
  EXPECT_NE(fleet_->Find("web")->breaker, "");
}

TEST_F(AbsentTest, ADryRunThatWasTakenAwayComesBackAsItWas) {
  ServiceSpec web = Web();
  web.dry_run = true;
  Start({web});
  Tick();
  ASSERT_TRUE(Ask([](Controller& c) { return c.Pause("web", "why not"); }).ok());
  ASSERT_TRUE(Ask([](Controller& c) { return c.Reload(true); }).ok());
  Tick();
  ConfigureAgain(web);
  EXPECT_TRUE(Ask([](Controller& c) { return c.ReadServices("web"); })->front().paused);
}

// --- What nobody asks for any more ---

class ForgottenTest : public AbsentTest {
 protected:
  // `web` at zero, last decided on so long ago.
  void GoesQuiet(std::chrono::hours ago) {
    ServiceSpec web = Web();
    web.rules.bounds.min = 0;
    metrics_.Says("load", 0);
    Start({web});
    Tick();
    Tick();
    if (pause_) {
      ASSERT_TRUE(Ask([](Controller& c) { return c.Pause("web", "for good"); }).ok());
    }
    clock_.Advance(ago);
  }
  bool IsStored() { return !store_->ReadServices()->empty(); }
  bool pause_ = false;
};

TEST_F(ForgottenTest, OneThatRunsNothingAndIsQuietForAMonthGoes) {
  GoesQuiet(std::chrono::hours(24 * 30));
  ASSERT_TRUE(IsStored());
  StartWithoutIt(seconds(0));
  EXPECT_FALSE(IsStored());
}

TEST_F(ForgottenTest, NotAWeekLater) {
  GoesQuiet(std::chrono::hours(24 * 7));
  StartWithoutIt(seconds(0));
  EXPECT_TRUE(IsStored());
}

TEST_F(ForgottenTest, NorOneThatAPersonHasPaused) {
  pause_ = true;
  GoesQuiet(std::chrono::hours(24 * 365));
  StartWithoutIt(seconds(0));
  EXPECT_TRUE(IsStored());
}

TEST_F(ForgottenTest, NorOneWithInstances) {
  ServeWeb(2);
  clock_.Advance(std::chrono::hours(24 * 365));
  StartWithoutIt(seconds(0));
  EXPECT_TRUE(IsStored());
  EXPECT_EQ(store_->ReadInstances()->size(), 2u);
  EXPECT_EQ(provider_.history, Lines{});
}

TEST_F(ForgottenTest, NorOneThatIsConfigured) {
  GoesQuiet(std::chrono::hours(24 * 365));
  Crash();
  Boot();
  Start({Web()});
  Tick();
  EXPECT_TRUE(IsStored());
}

}  // namespace
}  // namespace autoscale
