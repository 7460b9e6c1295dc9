// ReconcileTest: one member, passed over by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "daemon/fleet/reconcile.h"

namespace autoscale {

using std::chrono::minutes;
using std::chrono::seconds;

class ReconcileTest : public testing::Test {
 protected:
  ReconcileTest() {
    auto spec = std::make_shared<ServiceSpec>();
    spec->name = "web";
    spec->drain_timeout = seconds(30);
    spec->start_timeout = minutes(5);
    member_.spec = spec;
    member_.observed = true;
  }

  // One pass; answers what it stored, as "phase id" lines.
  std::vector<std::string> Pass() {
    StoreBatch batch;
    const ReconcileContext context{
        .now = now_,
        .new_id = [this](const Member&) { return "i-" + std::to_string(++last_id_); },
        .note = [this](const Member&, NoteKind,
                       std::string text) { notes_.push_back(std::move(text)); },
        .lost = [this](const Member&) { ++lost_; }};
    Reconcile(member_, context, batch);
    std::vector<std::string> lines;
    for (const InstanceRow& row : batch.instances) {
      lines.push_back(std::string(ToString(row.phase)) + " " + row.id);
    }
    for (const auto& [service, id] : batch.removed_instances) lines.push_back("removed " + id);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  void See(const std::string& id, InstanceState state, const std::string& detail = {}) {
    const std::string endpoint = "10.0.0.1:" + id.substr(2);
    TakeObservation(member_, {id, state, endpoint, detail}, now_);
  }

  // All that serve have done so for long enough.
  void Prove() {
    now_ += seconds(30);
    Pass();
    notes_.clear();
  }

  // A fleet of n instances that serve.
  void Serve(int n) {
    member_.desired = n;
    Pass();
    for (int i = 1; i <= n; ++i) See("i-" + std::to_string(i), InstanceState::kReady);
    Pass();
    notes_.clear();
  }

  Instance& At(const std::string& id) {
    return *std::find_if(member_.instances.begin(), member_.instances.end(),
                         [&](const Instance& i) { return i.id == id; });
  }
  std::string List() {
    std::string text;
    for (const Endpoint& endpoint : member_.endpoints) {
      text += endpoint.address.substr(9);
      text += endpoint.state == Endpoint::State::kDraining ? "d " : " ";
    }
    return text;
  }

  TimePoint now_{seconds(1'700'000'000)};
  Member member_;
  std::vector<std::string> notes_;
  int last_id_ = 0;
  int lost_ = 0;
};

using Lines = std::vector<std::string>;

}  // namespace autoscale
