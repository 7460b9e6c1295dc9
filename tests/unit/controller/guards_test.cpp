// The guards that the controller must gather something for: projections, shared budgets, cost.
#include "tests/unit/controller/rig.h"

namespace autoscale {
namespace {

using std::chrono::seconds;

class GuardsTest : public ControllerTest {
 protected:
  int DesiredOf(const std::string& service) { return CapacityOf(*fleet_->Find(service)).desired; }
  std::string Reason(const std::string& service) {
    const auto record = Ask([&](Controller& c) { return c.Explain(service); });
    return record.ok() ? record->decision.reason : record.error().message;
  }
  ServiceSpec Other(const std::string& name) {
    ServiceSpec spec = Web();
    spec.name = name;
    spec.gateways.clear();
    return spec;
  }
  // Web(), careless: 0.8 is too much for an instance, and below 0.5 three are taken away.
  ServiceSpec Careless() {
    ServiceSpec spec =
        Web("local v = metric('load').value\n"
            "state.seen = (state.seen or 0) + 1\n"
            "if v > 0.8 then return scale_up(1, 'hot') end\n"
            "if v < 0.5 then return scale_down(3, 'cold ' .. state.seen) end\n"
            "return hold('fine')\n");
    spec.declared = {{"load", Unit::kCount, true}};
    return spec;
  }
  void GrowTo(int instances) {
    metrics_.Says("load", 0.9);
    for (int i = 0; i < 40 && Now().desired < instances; ++i) {
      Tick();
      MakeReady();
    }
    ASSERT_EQ(Now().ready, instances);
  }
};

TEST_F(GuardsTest, AScaleInThatThePolicyWouldTakeBackIsCutLess) {
  Start({Careless()});
  GrowTo(6);
  metrics_.Says("load", 0.45);  // at 3: 0.9, at 4: 0.675
  Tick();
  EXPECT_EQ(Now().desired, 4);
  EXPECT_NE(Reason("web").find("projection: at 3 instances load would be 0.9 and the policy would "
                               "ask for 4: cut to 4 instead"),
            std::string::npos)
      << Reason("web");
}

TEST_F(GuardsTest, WhatThePolicyCouldNotBeAskedItHasNotAgreedTo) {
  Start({Careless()});
  GrowTo(6);
  metrics_.Says("load", 0.1);  // fine at 3, too
  evaluator_.lost = 1;         // the projections
  Tick();
  EXPECT_EQ(Now().desired, 6);
  EXPECT_NE(Reason("web").find("the policy could not be asked: held"), std::string::npos)
      << Reason("web");
  Tick();
  EXPECT_EQ(Now().desired, 3);
}

TEST_F(GuardsTest, WhatThePolicyRemembersOfAProjectionIsThrownAway) {
  Start({Careless()});
  GrowTo(6);
  metrics_.Says("load", 0.45);
  const std::string before = Reason("web");
  Tick();
  const std::string first = Reason("web");
  Tick();
  // One evaluation, one count: the number behind "cold" rises by one a tick.
  const auto count = [](const std::string& reason) {
    return std::stoi(reason.substr(reason.find("cold ") + 5));
  };
  metrics_.Says("load", 0.1);
  Tick();
  EXPECT_EQ(count(Reason("web")), count(first) + 2) << before;
}

TEST_F(GuardsTest, WithoutProjectionTheScaleInIsAsThePolicySays) {
  ServiceSpec spec = Careless();
  spec.rules.projection = false;
  Start({spec});
  GrowTo(6);
  metrics_.Says("load", 0.45);
  Tick();
  EXPECT_EQ(Now().desired, 3);
}

TEST_F(GuardsTest, ErrorsKeepWhatIsThere) {
  ServiceSpec spec = Web();
  auto errors = std::make_shared<MetricSpec>();
  errors->name = "errors";
  errors->unit = Unit::kRatio;
  errors->query = "errors";
  spec.metrics.push_back({errors, ""});
  spec.declared.push_back({"errors", Unit::kRatio});
  spec.rules.error_guard = {.metric = "errors", .above = 0.05};
  metrics_.Says("load", 4);
  metrics_.Says("errors", 0.01);
  Start({spec});
  Tick();
  Tick();
  MakeReady();
  ASSERT_EQ(Now().desired, 4);
  metrics_.Says("load", 2);
  metrics_.Says("errors", 0.06);
  Tick();
  EXPECT_EQ(Now().desired, 4);
  EXPECT_NE(Reason("web").find("errors: errors is 0.06, above 0.05: no scale-in"),
            std::string::npos)
      << Reason("web");
  metrics_.Says("load", 5);
  Tick();
  EXPECT_EQ(Now().desired, 5);
  metrics_.Says("load", 2);
  metrics_.Says("errors", 0.05);
  Tick();
  EXPECT_EQ(Now().desired, 2);
}

TEST_F(GuardsTest, TheBudgetIsSharedAndGoesFirstToWhoIsBelowMin) {
  changes_per_minute_ = 7;
  Crash();
  Boot();
  metrics_.Says("load", 10);
  ServiceSpec low = Other("z-low");
  low.rules.bounds.min = 4;
  Start({Other("a"), Other("b"), low});
  Tick();  // to min: 1 + 1 + 4
  EXPECT_EQ(DesiredOf("z-low"), 4);
  EXPECT_EQ(DesiredOf("a") + DesiredOf("b"), 2);
  clock_.Advance(seconds(60));
  Tick();  // 9, 9 and 6 are wanted
  EXPECT_EQ(DesiredOf("a"), 1 + 3);
  EXPECT_EQ(DesiredOf("b"), 1 + 2);
  EXPECT_EQ(DesiredOf("z-low"), 4 + 2);
  EXPECT_NE(Reason("b").find("7 of 7 changes a minute are left over all services, 2 of them for "
                             "this one"),
            std::string::npos)
      << Reason("b");
}

TEST_F(GuardsTest, WhoTicksOftenDoesNotTakeTheShareOfWhoTicksSeldom) {
  changes_per_minute_ = 4;
  Crash();
  Boot();
  metrics_.Says("load", 10);
  ServiceSpec slow = Other("slow");
  slow.interval = seconds(10);
  Start({Other("fast"), slow});
  for (int i = 0; i < 190; ++i) Tick();  // three minutes: 12 and a few
  EXPECT_GE(DesiredOf("slow"), 6);
  EXPECT_GE(DesiredOf("fast"), 6);
}

TEST_F(GuardsTest, CostBoundsTheFleetAndIsShared) {
  cost_per_hour_ = 10;
  Crash();
  Boot();
  metrics_.Says("load", 10);
  ServiceSpec dear = Other("dear");
  dear.cost_per_hour = 2;
  ServiceSpec cheap = Other("cheap");
  cheap.cost_per_hour = 1;
  Start({dear, cheap, Other("free")});
  Tick();  // to min: 3 an hour
  Tick();  // 7 are left: to 5 each, as far as it can be divided
  EXPECT_EQ(DesiredOf("cheap") * 1 + DesiredOf("dear") * 2, 10);
  EXPECT_EQ(DesiredOf("dear"), 2);
  EXPECT_EQ(DesiredOf("free"), 10);
  for (int i = 0; i < 5; ++i) Tick();
  EXPECT_EQ(DesiredOf("cheap") * 1 + DesiredOf("dear") * 2, 10);
  EXPECT_NE(Reason("dear").find("0 of 10 an hour are left over all services, and an instance "
                                "costs 2"),
            std::string::npos)
      << Reason("dear");
  const auto views = Ask([](Controller& c) { return c.ReadServices("dear"); });
  EXPECT_NE(views->at(0).problem.find("an hour are left"), std::string::npos);
  // What one gives back the other may have.
  metrics_.Says("load", 1);
  Tick();
  EXPECT_EQ(DesiredOf("dear"), 1);
}

TEST_F(GuardsTest, WhatBecomesFreeOfTheCostGoesToWhoHasLeast) {
  cost_per_hour_ = 8;
  Crash();
  Boot();
  metrics_.Says("load", 6);
  ServiceSpec first = Web("return scale_to(10, 'all')");
  first.name = "a";
  first.gateways.clear();
  ServiceSpec last = first;
  last.name = "z";
  std::vector<ServiceSpec> specs = {first, last, Other("giver")};
  for (ServiceSpec& spec : specs) spec.cost_per_hour = 1;
  Start(specs);
  for (int i = 0; i < 3; ++i) Tick();
  for (int load = DesiredOf("giver") - 1; load > 0; --load) {
    metrics_.Says("load", load);
    for (int i = 0; i < 2; ++i) Tick();
  }
  EXPECT_EQ(DesiredOf("a") + DesiredOf("z"), 7);
  EXPECT_LE(std::abs(DesiredOf("a") - DesiredOf("z")), 1);
}

TEST_F(GuardsTest, WhatIsFoundAtTheFirstStartCostsToo) {
  cost_per_hour_ = 5;
  Crash();
  Boot();
  for (const char* id : {"a", "b", "c", "d"}) {
    provider_.instances["web"][id] = {id, InstanceState::kReady, "127.0.0.1:1", ""};
  }
  provider_.instances["other"]["x"] = {"x", InstanceState::kReady, "127.0.0.1:2", ""};
  metrics_.Says("load", 10);
  ServiceSpec web = Web("return hold('stay')");
  ServiceSpec other = Other("other");
  web.cost_per_hour = other.cost_per_hour = 1;
  Start({web, other});
  for (int i = 0; i < 3; ++i) {
    Tick();
    EXPECT_LE(DesiredOf("web") + DesiredOf("other"), 5) << i;
  }
  EXPECT_EQ(DesiredOf("web"), 4);
}

TEST_F(GuardsTest, WhatAnOutageOfTheStoreUndidSpendsNothing) {
  changes_per_minute_ = 6;
  Crash();
  Boot();
  ServiceSpec web = Web();
  web.rules.up.cooldown = seconds(60);
  metrics_.Says("load", 1);
  Start({web});
  for (int i = 0; i < 70; ++i) Tick();
  ASSERT_EQ(Now().desired, 1);
  const std::string away = folder_ + ".away";
  std::filesystem::rename(folder_, away);
  metrics_.Says("load", 6);
  Tick();
  EXPECT_EQ(Now().desired, 6);  // and it cannot be stored
  Tick();
  EXPECT_EQ(Now().desired, 1);
  EXPECT_NE(Reason("web").find("held because nothing can be stored"), std::string::npos);
  std::filesystem::remove_all(folder_);
  std::filesystem::rename(away, folder_);
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(Now().desired, 6) << Reason("web");
}

TEST_F(GuardsTest, AProtectedInstanceIsNotTakenAwayAlsoNotAfterACrash) {
  ServeWeb(4);
  // The youngest would go first.
  const auto protect = [&](const std::string& id, std::optional<Millis> duration) {
    std::string message = "done";
    const auto answer = Ask([&](Controller& c) -> Result<Ok> {
      return c.Protect("web", id, duration, "a debugger is on it");
    });
    return answer.ok() ? message : answer.error().message;
  };
  EXPECT_EQ(protect("web-1-4", {}), "done");
  EXPECT_EQ(protect("web-1-3", seconds(100)), "done");
  EXPECT_EQ(protect("web-1-9", {}),
            "service 'web' has no instance 'web-1-9'; it has web-1-1, "
            "web-1-2, web-1-3, web-1-4");
  Crash();
  Boot();
  metrics_.Says("load", 1);
  Start({Web()});
  Tick();
  EXPECT_EQ(Now().desired, 2);
  EXPECT_NE(Reason("web").find("protection: 2 instances are protected"), std::string::npos)
      << Reason("web");
  for (const Instance& instance : fleet_->Find("web")->instances) {
    EXPECT_TRUE(!Counts(instance) || instance.id == "web-1-3" || instance.id == "web-1-4");
  }
  const auto views = Ask([](Controller& c) { return c.ReadServices("web"); });
  const InstanceView& last = views->at(0).instances.back();
  EXPECT_TRUE(last.is_protected);
  EXPECT_EQ(last.protected_until, std::nullopt);
  EXPECT_EQ(last.protect_reason, "a debugger is on it");
  clock_.Advance(seconds(100));  // for web-1-3 it is over
  Tick();
  EXPECT_EQ(Now().desired, 1);
  EXPECT_TRUE(Counts(fleet_->Find("web")->instances.back()));
  EXPECT_EQ(protect("web-1-4", Millis(0)), "done");
  EXPECT_FALSE(IsProtected(fleet_->Find("web")->instances.back(), clock_.Now()));
}

}  // namespace
}  // namespace autoscale
