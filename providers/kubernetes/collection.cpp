#include "providers/kubernetes/collection.h"

#include <algorithm>
#include <utility>

#include "net/http_text.h"

namespace autoscale::kubernetes {
namespace {

// Objects a page: of some kilobytes each, so that reading a page does not hold the loop for long.
constexpr int kPage = 200;
constexpr Millis kFirstWait{500};
constexpr Millis kLongestWait = std::chrono::seconds(30);
constexpr int kMaxDoublings = 7;
// A watch ends after so many seconds, spread: a server that hangs is noticed by then.
constexpr unsigned kWatchSeconds = 60;
constexpr Millis kWatchGrace = std::chrono::seconds(10);
// Between the end of a watch and the next: a server that ends them at once is not asked for ever.
constexpr Millis kRewatch{100};
constexpr size_t kMaxLine = 16u << 20;

}  // namespace

Millis Backoff::Next(Millis asked) {
  const Millis longest =
      std::min(kFirstWait * (1 << std::min(failures_++, kMaxDoublings)), kLongestWait);
  const Millis half = longest / 2;
  std::uniform_int_distribution<int64_t> spread(0, half.count());
  return std::max(asked, half) + Millis(spread(random_));
}

Collection::Collection(EventLoop& loop, Api& api, std::vector<std::string> paths, Listener listener)
    : loop_(loop), api_(api), paths_(std::move(paths)), listener_(std::move(listener)) {
  List();
}

Collection::~Collection() {
  if (call_) api_.Cancel(*call_);
  if (timer_) loop_.Cancel(*timer_);
}

void Collection::Later(Millis delay, void (Collection::*what)()) {
  if (timer_) loop_.Cancel(*timer_);
  timer_ = loop_.After(delay, [this, what] {
    timer_.reset();
    (this->*what)();
  });
}

// --- The list ---

void Collection::List() {
  std::string path = paths_[path_];
  if (!whole_) {
    path += "?limit=" + std::to_string(kPage);
    if (continue_.empty()) {
      names_.clear();
    } else {
      path += "&continue=" + FormEscape(continue_);
    }
  } else {
    names_.clear();
  }
  ApiCall call;
  call.path = std::move(path);
  call_ = api_.Send(std::move(call), [this](Result<std::string> answer) {
    call_.reset();
    TakePage(std::move(answer));
  });
}

void Collection::TakePage(Result<std::string> answer) {
  const bool paged = !std::exchange(continue_, {}).empty();
  if (!answer.ok()) {
    // Pages are of one moment, which the server keeps for some minutes only.
    if (paged && answer.error().kind == ErrorKind::kConflict) {
      whole_ = true;
      return List();
    }
    if (answer.error().kind == ErrorKind::kNotFound) path_ = (path_ + 1) % paths_.size();
    if (answer.error().kind == ErrorKind::kNotFound && path_ > 0) return List();
    return Fail(std::move(answer).error(), true);
  }
  const Json page = Json::parse(*answer, nullptr, false);
  const Json& items = At(page, "items");
  const std::string version = Text(At(page, "metadata", "resourceVersion"));
  if (version.empty() || !(items.is_array() || items.is_null())) {
    return Fail(
        {ErrorKind::kUnavailable, "the API server's answer to " + paths_[path_] + " is no list"},
        true);
  }
  for (const Json& item : items) {
    names_.insert(Text(At(item, "metadata", "name")));
    listener_.take(item, false);
  }
  continue_ = Text(At(page, "metadata", "continue"));
  if (!continue_.empty() && !whole_) return List();
  continue_.clear();
  whole_ = false;
  version_ = version;
  listener_.listed(std::exchange(names_, {}));
  listed_ = true;
  fault_.reset();
  backoff_.Reset();
  listener_.changed();
  Watch();
}

// --- The watch ---

void Collection::Watch() {
  const unsigned seconds =
      std::uniform_int_distribution<unsigned>(kWatchSeconds / 2, kWatchSeconds)(random_);
  rest_.clear();
  watching_ = false;
  ApiCall call;
  call.path = paths_[path_] +
              "?watch=1&allowWatchBookmarks=true&resourceVersion=" + FormEscape(version_) +
              "&timeoutSeconds=" + std::to_string(seconds);
  call.timeout = std::chrono::seconds(seconds) + kWatchGrace;
  call.on_data = [this](std::string_view data) { TakeEvents(data); };
  call_ = api_.Send(std::move(call), [this](const Result<std::string>& answer) {
    call_.reset();
    EndWatch(answer);
  });
}

void Collection::TakeEvents(std::string_view data) {
  if (!std::exchange(watching_, true)) Recover();
  rest_ += data;
  size_t begin = 0;
  for (size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (end == begin) continue;
    if (!TakeEvent(std::string_view(rest_).substr(begin, end - begin))) return;
  }
  rest_.erase(0, begin);
  if (rest_.size() > kMaxLine) Expire();
}

bool Collection::TakeEvent(std::string_view line) {
  const Json event = Json::parse(line, nullptr, false);
  const std::string type = Text(At(event, "type"));
  const Json& object = At(event, "object");
  const std::string version = Text(At(object, "metadata", "resourceVersion"));
  if (type == "ERROR" || version.empty()) {
    Expire();  // most often 410: too old a version; whatever it is, the list tells
    return false;
  }
  version_ = version;
  backoff_.Reset();
  if (type != "BOOKMARK") listener_.take(object, type == "DELETED");
  return true;
}

void Collection::EndWatch(const Result<std::string>& answer) {
  if (answer.ok()) {
    Later(kRewatch, &Collection::Watch);  // as it was agreed: nothing is missed from there
  } else if (answer.error().kind == ErrorKind::kConflict) {
    Expire();
  } else if (watching_) {
    Later(backoff_.Next(Millis(0)), &Collection::Watch);  // it was cut: no fault if that works
  } else {
    Fail(answer.error(), answer.error().kind == ErrorKind::kNotFound);
  }
}

// What came between is lost: all is listed again.
void Collection::Expire() {
  if (call_) api_.Cancel(*std::exchange(call_, std::nullopt));
  Later(backoff_.Next(Millis(0)), &Collection::List);
}

void Collection::Fail(Error error, bool relist) {
  const Millis wait = backoff_.Next(error.retry_after);
  Later(wait, relist ? &Collection::List : &Collection::Watch);
  const bool told = fault_ && fault_->message == error.message;
  fault_ = std::move(error);
  if (!told) listener_.changed();
}

void Collection::Recover() {
  if (!fault_) return;
  fault_.reset();
  listener_.changed();
}

}  // namespace autoscale::kubernetes
