// SizingTest: a fleet of one service at a target that has a capacity, passed over by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/fleet/fleet.h"
#include "daemon/fleet/recording.h"
#include "tests/fakes/group.h"
#include "tests/fakes/parts.h"

namespace autoscale {

using Lines = std::vector<std::string>;

class SizingTest : public testing::Test {
 protected:
  SizingTest() { Start(); }

  // As after kill -9: a new daemon with what was stored of the former one.
  void Start() {
    fleet_ = std::make_unique<Fleet>(
        FleetOptions{.courier = courier_,
                     .clock = clock_,
                     .live = {{{"group", &group_}}, {{"edge", &gateway_}}},
                     .recording = {{{"group", &recording_}}, {{"edge", &recording_gateway_}}},
                     .counters = counters_,
                     .epoch = ++epoch_,
                     .note = [this](const std::string&, NoteKind, std::string text) {
                       notes_.push_back(std::move(text));
                     }});
  }

  std::shared_ptr<ServiceSpec> Spec(CapacityOwner owner = CapacityOwner::kManaged) {
    auto spec = std::make_shared<ServiceSpec>();
    spec->name = "web";
    spec->provider = "group";
    spec->target = std::make_shared<GroupTarget>();
    spec->gateways = {{"edge", "web"}};
    spec->owner = owner;
    return spec;
  }

  void Pass() {
    for (int i = 0; i < 5; ++i) {
      StoreBatch batch;
      courier_.Deliver();
      fleet_->Reconcile(clock_.Now(), batch);
      for (const InstanceRow& row : batch.instances) rows_[row.id] = row;
      for (const auto& [service, id] : batch.removed_instances) rows_.erase(id);
      for (const std::string& service : fleet_->TakeSizes()) {
        size_ = fleet_->Find(service)->sizing->stored;
        ++sizes_stored_;
      }
      fleet_->Act(clock_.Now());
      courier_.Deliver();
    }
  }
  void Wait(Millis time, Millis step = Millis(500)) {
    for (const TimePoint end = clock_.Now() + time; clock_.Now() < end;) {
      clock_.Advance(step);
      Pass();
    }
  }
  // Killed, and started again with what was stored.
  void Restart(int desired, CapacityOwner owner) {
    std::vector<InstanceRow> rows;
    for (const auto& [id, row] : rows_) rows.push_back(row);
    group_.dies = group_.loses_calls = false;
    notes_.clear();
    Start();
    fleet_->Put(Spec(owner), desired, rows);
    fleet_->RestoreSize("web", size_);
    Wait(std::chrono::seconds(1));
  }
  // Somebody else sets it, and the fleet sees it.
  void Meddle(int capacity) {
    group_.capacity = capacity;
    group_.Follow();
    group_.AllBecome(InstanceState::kReady);
    Wait(std::chrono::seconds(5));
  }
  // Nine times in a row; the tenth opens the breaker.
  void MeddleNineTimes() {
    Serve(2);
    Want(3);
    for (int i = 0; i < 9; ++i) {
      Meddle(7);
      Wait(std::chrono::minutes(5), std::chrono::seconds(5));
      ASSERT_EQ(group_.capacity, 3) << i;
    }
    ASSERT_EQ(Web().breaker, "");
    group_.history.clear();
  }
  // The service with a group of n that serve.
  void Serve(int n, CapacityOwner owner = CapacityOwner::kManaged) {
    group_.capacity = n;
    group_.Follow();
    group_.AllBecome(InstanceState::kReady);
    fleet_->Put(Spec(owner), n, {});
    Wait(std::chrono::seconds(1));
    ASSERT_EQ(CapacityOf(Web()).ready, n);
    ASSERT_EQ(group_.history, Lines{});
    notes_.clear();
    gateway_.history.clear();
  }
  void Want(int n) {
    fleet_->SetDesired("web", n);
    Wait(std::chrono::seconds(1));
  }
  const Member& Web() { return *fleet_->Find("web"); }
  bool WasTold(const std::string& text) {
    return std::any_of(notes_.begin(), notes_.end(), [&](const std::string& note) {
      return note.find(text) != std::string::npos;
    });
  }

  HeldClock clock_{TimePoint(std::chrono::seconds(1'700'000'000))};
  HandCourier courier_;
  FakeGroup group_;
  FakeGateway gateway_;
  RecordingProvider recording_{group_};
  RecordingGateway recording_gateway_;
  Counters counters_;
  Lines notes_;
  std::map<std::string, InstanceRow> rows_;
  SizeRow size_;
  int sizes_stored_ = 0;
  uint64_t epoch_ = 0;
  std::unique_ptr<Fleet> fleet_;
};

}  // namespace autoscale
