// Result<T>: a value or an Error, for failures that are expected.
//
// Every layer adds one phrase of context ("provider process: launch: no free port in 20000-20009");
// whoever receives an Error handles it or returns it, and never logs it on the way. Bugs abort.
#pragma once

#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/model/time.h"

namespace autoscale {

// What the receiver of an error can do about it; the text says the rest.
enum class ErrorKind {
  kInvalid,      // the request itself is wrong; asking again will not help
  kNotFound,     // the thing named does not exist
  kUnavailable,  // the other side did not answer or answered badly; try later
  kConflict,     // somebody else changed it first; observe again
  kExhausted,    // no capacity, port, memory or descriptor left; try later, with less
  kInternal,     // a fault of our own that was caught in time
  kBlocked,      // not while something else is under way there; try later
  kThrottled,    // we ask too often; not before `retry_after`
  kOutOfRange,   // beyond limits that the other side has of its own
  kForbidden,    // we are not known there, or may not do this; a person grants it
};
std::string_view ToString(ErrorKind kind);  // "not found"

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;
  Millis retry_after{0};  // what the other side asked for; 0: nothing

  // The same error with one phrase of context in front.
  [[nodiscard]] Error Within(const std::string& context) && {
    message.insert(0, context + ": ");
    return std::move(*this);
  }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  [[nodiscard]] const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T& value() & {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  [[nodiscard]] const Error& error() const& {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  [[nodiscard]] Error error() && {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

struct Ok {};
using Status = Result<Ok>;

}  // namespace autoscale
