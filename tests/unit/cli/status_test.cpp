#include "cli/status.h"

#include <gtest/gtest.h>

#include "cli/history.h"
#include "tests/unit/cli/records.h"

namespace autoscale::cli {
namespace {

v1::Service Web() {
  v1::Service service;
  service.set_name("web");
  service.mutable_capacity()->set_desired(3);
  service.mutable_capacity()->set_ready(2);
  service.mutable_bounds()->set_min(1);
  service.mutable_bounds()->set_max(8);
  service.set_draining(1);
  service.set_policy("web.lua");
  service.set_provider("process");
  service.set_interval(0.25);
  SetTime(service.mutable_last_tick(), 3900);
  SetTime(service.mutable_last_change(), -200'000);
  service.set_last_reason("p95 over 250 ms");
  v1::Instance* serving = service.add_instances();
  serving->set_id("i-1");
  serving->set_phase("serving");
  serving->set_endpoint("127.0.0.1:20001");
  SetTime(serving->mutable_since(), -7'200'000);
  v1::Instance* draining = service.add_instances();
  draining->set_id("i-2");
  draining->set_phase("draining");
  draining->set_endpoint("127.0.0.1:20002");
  draining->set_in_flight(4);
  SetTime(draining->mutable_since(), 0);
  v1::Instance* starting = service.add_instances();
  starting->set_id("i-3");
  starting->set_phase("starting");
  starting->set_detail("connection refused");
  SetTime(starting->mutable_since(), 0);
  v1::Gateway* edge = service.add_gateways();
  edge->set_gateway("edge");
  edge->set_upstream("web");
  edge->set_wanted("3.14");
  edge->set_confirmed("3.13");
  v1::Gateway* backup = service.add_gateways();
  backup->set_gateway("backup");
  backup->set_upstream("web");
  backup->set_wanted("3.14");
  backup->set_problem("timed out after 2s");
  return service;
}

TEST(RenderService, ShowsInstancesAndGateways) {
  EXPECT_EQ(RenderService(Web(), TestStyle()), R"(web
  state        1 not ready yet; 1 draining
  capacity     desired 3, ready 2, draining 1; min 1, max 8
  policy       web.lua, every 0.25 s
  provider     process
  last tick    just now
  last change  3 min ago
  last reason  p95 over 250 ms

Instances
  ID   PHASE     SINCE    ENDPOINT         IN FLIGHT  DETAIL
  i-1  serving   2 h ago  127.0.0.1:20001  -
  i-2  draining  4 s ago  127.0.0.1:20002  4
  i-3  starting  4 s ago  -                -          connection refused

Gateways
  NAME    UPSTREAM  LIST  STATE
  edge    web       3.14  has 3.13 still
  backup  web       3.14  timed out after 2s

autoscalectl explain web tells why.
)");
}

TEST(RenderServices, OneLineAServiceTheWorstFirst) {
  v1::GetServicesResponse services;
  *services.add_services() = Web();
  v1::Service* fine = services.add_services();
  fine->set_name("api");
  fine->mutable_capacity()->set_desired(1);
  fine->mutable_capacity()->set_ready(1);
  fine->mutable_bounds()->set_min(1);
  fine->mutable_bounds()->set_max(1);
  v1::Service* ill = services.add_services();
  *ill = *fine;
  ill->set_name("checkout");
  ill->set_paused(true);
  ill->set_pause_reason("deploy");
  ill->set_dry_run(true);
  ill->set_problem("gateway edge: no answer");
  EXPECT_EQ(RenderServices(services, TestStyle()),
            R"(SERVICE   DESIRED  READY  MIN-MAX  LAST CHANGE  STATE
web       3        2      1-8      3 min ago    1 not ready yet; 1 draining
api       1        1      1-1      never        ok
checkout  1        1      1-1      never        gateway edge: no answer; paused: deploy; dry run
)");
}

TEST(RenderServices, SaysWhatToDoWhenThereAreNone) {
  EXPECT_EQ(RenderServices({}, TestStyle()),
            "no services: put a file into the daemon's services folder, then `autoscalectl "
            "reload`.\n");
}

TEST(RenderHistory, OneLineADecision) {
  v1::HistoryResponse history;
  v1::Record* first = history.add_records();
  *first = HeldRecord(v1::HOLD_CAUSE_UNSPECIFIED,
                      "arrivals 612/s need 5 instances of 150/s, which "
                      "is more than the two that are there");
  first->set_id(42);
  first->mutable_decision()->set_desired(5);
  v1::Record* second = history.add_records();
  *second = HeldRecord(v1::HOLD_CAUSE_POLICY, "enough");
  second->set_id(41);
  second->set_dry_run(true);
  SetTime(second->mutable_at(), -86'400'000);
  EXPECT_EQ(RenderHistory(history, TestStyle()),
            R"(ID  TIME                     SERVICE  CAPACITY  REASON
42  03:12:07 UTC             web      2 → 5     arrivals 612/s need 5 instances of 150/s, which is
                                                more than the two that are there
41  2026-01-01 03:12:07 UTC  web      2         [dry run] enough
)");
}

}  // namespace
}  // namespace autoscale::cli
