#include "providers/systemd/bus_error.h"

#include <gtest/gtest.h>

#include <map>

#include "providers/systemd/bus_address.h"

namespace autoscale {
namespace {

TEST(SystemdBusError, SaysWhatToDo) {
  struct Case {
    const char* name;
    ErrorKind kind;
    const char* says;
  };
  const std::string unit = "web@20000.service";
  for (const Case& one : {
           Case{"org.freedesktop.DBus.Error.AccessDenied", ErrorKind::kForbidden, "polkit rule"},
           Case{"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
                ErrorKind::kForbidden, "org.freedesktop.systemd1.manage-units"},
           Case{"org.freedesktop.systemd1.NoSuchUnit", ErrorKind::kNotFound,
                "there is no unit web@.service"},
           Case{"org.freedesktop.systemd1.UnitMasked", ErrorKind::kForbidden,
                "web@20000.service is masked"},
           Case{"org.freedesktop.systemd1.BadUnitSetting", ErrorKind::kInvalid,
                "systemd-analyze verify"},
           Case{"org.freedesktop.systemd1.TransactionIsDestructive", ErrorKind::kConflict,
                "something else"},
           Case{"org.freedesktop.systemd1.ShuttingDown", ErrorKind::kUnavailable, "not answer"},
           Case{"org.freedesktop.DBus.Error.NoReply", ErrorKind::kUnavailable, "not answer"},
           Case{"org.freedesktop.DBus.Error.LimitsExceeded", ErrorKind::kExhausted, "no room"},
           Case{"org.example.Other", ErrorKind::kInternal, "web@20000.service: as it is told"},
       }) {
    const Error error = ExplainBusError(one.name, "as it is told of " + unit, unit);
    EXPECT_EQ(error.kind, one.kind) << one.name;
    EXPECT_NE(error.message.find(one.says), std::string::npos) << error.message;
    EXPECT_NE(error.message.find(one.kind == ErrorKind::kForbidden ? "" : "as it is told"),
              std::string::npos)
        << error.message;
  }
}

TEST(SystemdBusError, WhatAnotherUnitLacksIsNotSaidOfOurs) {
  const Error masked = ExplainBusError("org.freedesktop.systemd1.UnitMasked",
                                       "Unit polkit.service is masked.", "web@20000.service");
  EXPECT_EQ(masked.kind, ErrorKind::kForbidden);
  EXPECT_EQ(masked.message,
            "web@20000.service needs another unit, or the leave of polkit, which cannot be had: "
            "Unit polkit.service is masked.");
  EXPECT_EQ(ExplainBusError("org.freedesktop.systemd1.NoSuchUnit", "Unit db.service not found.",
                            "web@20000.service")
                .kind,
            ErrorKind::kNotFound);
}

TEST(SystemdBusError, OnlyAUnitThatIsItselfNotThereIsStopped) {
  const std::string none = "org.freedesktop.systemd1.NoSuchUnit";
  EXPECT_TRUE(JudgeStop(none, "Unit web@1.service not loaded.", "web@1.service").ok());
  for (const char* text : {"Unit polkit.service not found.", "Unit my-web@1.service not found."}) {
    const Status other = JudgeStop(none, text, "web@1.service");
    ASSERT_FALSE(other.ok()) << text;
    EXPECT_EQ(other.error().kind, ErrorKind::kForbidden);
    EXPECT_NE(other.error().message.find(text), std::string::npos) << other.error().message;
  }
  EXPECT_EQ(JudgeStop("org.freedesktop.systemd1.LoadFailed", "Unit web@1.service is odd.",
                      "web@1.service")
                .error()
                .kind,
            ErrorKind::kForbidden);
  EXPECT_EQ(JudgeStop("org.freedesktop.DBus.Error.NoReply", "", "web@1.service").error().kind,
            ErrorKind::kUnavailable);
}

TEST(SystemdBusError, ANewConnectionHelpsWhereNobodyAnswers) {
  for (const char* lost :
       {"NoReply", "Timeout", "Disconnected", "ServiceUnknown", "NameHasNoOwner", "Spawn.Failed"}) {
    EXPECT_TRUE(IsBusLost(std::string("org.freedesktop.DBus.Error.") + lost)) << lost;
  }
  for (const char* other : {"org.freedesktop.DBus.Error.AccessDenied",
                            "org.freedesktop.systemd1.NoSuchUnit", "NoReply", ""}) {
    EXPECT_FALSE(IsBusLost(other)) << other;
  }
}

BusAddress Choose(const std::string& bus, unsigned uid,
                  const std::map<std::string, std::string>& environment = {}) {
  return ChooseBusAddress(bus, uid, [&](const char* name) {
    const auto value = environment.find(name);
    return value == environment.end() ? nullptr : value->second.c_str();
  });
}

TEST(SystemdBusAddress, TheManagersOwnSocketWhereItIsOpenToUs) {
  EXPECT_EQ(Choose("system", 0), (BusAddress{"unix:path=/run/systemd/private", false}));
  EXPECT_EQ(Choose("system", 1000), (BusAddress{"unix:path=/run/dbus/system_bus_socket", true}));
  EXPECT_EQ(Choose("system", 1000, {{"DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/tmp/bus"}}),
            (BusAddress{"unix:path=/tmp/bus", true}));
  EXPECT_EQ(Choose("user", 1000), (BusAddress{"unix:path=/run/user/1000/systemd/private", false}));
  EXPECT_EQ(Choose("user", 1000, {{"XDG_RUNTIME_DIR", "/tmp/a b"}}),
            (BusAddress{"unix:path=/tmp/a%20b/systemd/private", false}));
  EXPECT_EQ(Choose("unix:path=/m/run/systemd/private", 1000),
            (BusAddress{"unix:path=/m/run/systemd/private", false}));
  EXPECT_EQ(Choose("unix:path=/m/bus", 0), (BusAddress{"unix:path=/m/bus", true}));
}

}  // namespace
}  // namespace autoscale
