#include "providers/systemd/bus_error.h"

#include <array>
#include <cctype>
#include <string_view>

#include "providers/systemd/unit.h"

namespace autoscale {
namespace {

constexpr std::string_view kOfManager = "org.freedesktop.systemd1.";
constexpr std::string_view kOfBus = "org.freedesktop.DBus.Error.";

// The names are those of systemd's bus-common-errors.h and of the D-Bus specification.
bool IsRefusal(std::string_view name) {
  return name == "org.freedesktop.DBus.Error.AccessDenied" ||
         name == "org.freedesktop.DBus.Error.AuthFailed" ||
         name == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" ||
         name.starts_with("org.freedesktop.PolicyKit1.Error.");
}

// Not as the end of a longer name, such as my-web@1.service.
bool Names(const std::string& text, const std::string& unit) {
  constexpr std::string_view kMarks = ":-_.\\@";
  for (size_t at = text.find(unit); at != std::string::npos; at = text.find(unit, at + 1)) {
    if (at == 0) return true;
    const char before = text[at - 1];
    const bool longer = std::isalnum(static_cast<unsigned char>(before)) != 0 ||
                        kMarks.find(before) != std::string_view::npos;
    if (!longer) return true;
  }
  return false;
}

}  // namespace

bool IsBusLost(const std::string& name) {
  constexpr std::array<std::string_view, 10> kLost = {
      "NoReply",        "Timeout",  "TimedOut",  "Disconnected", "ServiceUnknown",
      "NameHasNoOwner", "NoServer", "NoNetwork", "IOError",      "Spawn.ChildExited"};
  if (!name.starts_with(kOfBus)) return false;
  const std::string_view rest = std::string_view(name).substr(kOfBus.size());
  for (const std::string_view lost : kLost) {
    if (rest == lost) return true;
  }
  return rest.starts_with("Spawn.");
}

Error ExplainBusError(const std::string& name, const std::string& text, const std::string& unit) {
  const std::string file = TemplateOf(unit);
  const std::string shown = text.empty() ? name : text;
  if (IsRefusal(name)) {
    return {ErrorKind::kForbidden,
            "systemd does not let us (" + shown +
                "): grant org.freedesktop.systemd1.manage-units to autoscaled's user with a polkit "
                "rule (docs/providers/systemd.md), or use manager: user"};
  }
  const std::string_view kind = name.starts_with(kOfManager)
                                    ? std::string_view(name).substr(kOfManager.size())
                                    : std::string_view();
  // Of something else that is needed: a dependency, or whoever was to say what we may.
  const bool other = !unit.empty() && !Names(text, unit);
  if (other && (kind == "NoSuchUnit" || kind == "LoadFailed" || kind == "UnitMasked")) {
    return {kind == "UnitMasked" ? ErrorKind::kForbidden : ErrorKind::kNotFound,
            unit + " needs another unit, or the leave of polkit, which cannot be had: " + shown};
  }
  if (kind == "NoSuchUnit" || kind == "LoadFailed") {
    return {ErrorKind::kNotFound, "there is no unit " + file + " (" + shown +
                                      "): install it where systemd looks for units, and let it "
                                      "read them (systemctl daemon-reload)"};
  }
  if (kind == "UnitMasked") {
    return {ErrorKind::kForbidden,
            unit + " is masked: a person who wants it to run unmasks it (systemctl unmask)"};
  }
  if (kind == "BadUnitSetting") {
    return {ErrorKind::kInvalid,
            "systemd cannot read " + file + " (" + shown + "): see systemd-analyze verify"};
  }
  if (kind == "TransactionJobsConflicting" || kind == "TransactionIsDestructive") {
    return {ErrorKind::kConflict, unit + ": systemd is about something else (" + shown + ")"};
  }
  if (kind == "ShuttingDown" || IsBusLost(name)) {
    return {ErrorKind::kUnavailable, "systemd does not answer: " + shown};
  }
  if (name == "org.freedesktop.DBus.Error.LimitsExceeded" ||
      name == "org.freedesktop.DBus.Error.NoMemory") {
    return {ErrorKind::kExhausted, "systemd has no room: " + shown};
  }
  return {ErrorKind::kInternal, (unit.empty() ? "systemd" : unit) + ": " + shown};
}

Status JudgeStop(const std::string& name, const std::string& text, const std::string& unit) {
  if (name == "org.freedesktop.systemd1.NoSuchUnit" && Names(text, unit)) return Ok{};
  Error error = ExplainBusError(name, text, unit);
  // It may run all the same: polkit is such another unit.
  if (error.kind == ErrorKind::kNotFound) error.kind = ErrorKind::kForbidden;
  return error;
}

}  // namespace autoscale
