#include "tests/fault/fleet/fake_nginx.h"

#include <utility>

namespace autoscale {
namespace {

using Json = nlohmann::json;

std::pair<uint64_t, uint64_t> VersionOf(const Json& list) {
  return {list.value("epoch", uint64_t{0}), list.value("seq", uint64_t{0})};
}

std::set<int> ServingIn(const Json& list) {
  std::set<int> ports;
  for (const Json& peer : list.value("peers", Json::array())) {
    if (peer["state"] == "serving") ports.insert(peer["port"].get<int>());
  }
  return ports;
}

}  // namespace

FakeNginx::FakeNginx() {
  server_.Handle([this](const FakeRequest& request) { return Answer(request); });
}

std::string FakeNginx::Section() const {
  return "type: nginx, address: \"" + server_.Url() + "\", timeout: 1s, settle: 10ms";
}

void FakeNginx::Be(Mood mood) {
  const std::lock_guard lock(mutex_);
  mood_ = mood;
}

void FakeNginx::Forget() {
  const std::lock_guard lock(mutex_);
  lists_.clear();
}

void FakeNginx::Know(const std::string& upstream, uint64_t epoch, uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  lists_[upstream] = {{"epoch", epoch}, {"seq", sequence}, {"peers", Json::array()}};
}

Json FakeNginx::List(const std::string& upstream) const {
  const std::lock_guard lock(mutex_);
  const auto found = lists_.find(upstream);
  return found == lists_.end() ? Json::object() : found->second;
}

std::set<int> FakeNginx::Serving(const std::string& upstream) const {
  return ServingIn(List(upstream));
}

std::vector<FakeNginx::Push> FakeNginx::pushes() const {
  const std::lock_guard lock(mutex_);
  return pushes_;
}

size_t FakeNginx::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

FakeAnswer FakeNginx::Answer(const FakeRequest& request) {
  const std::lock_guard lock(mutex_);
  ++requests_;
  const bool push = request.method == "PUT";
  FakeAnswer answer = GetAll();
  if (push) {
    answer = Put(request.target.substr(request.target.rfind('/') + 1),
                 Json::parse(request.body, nullptr, false));
  }
  switch (mood_) {
    case Mood::kFine:
      break;
    case Mood::kFindsListsBad:
    case Mood::kFindsListsLarge:
      break;
    case Mood::kAnswers500:
      return {.status = 500, .body = R"({"error":"no room"})"};
    case Mood::kGarbage:
      return {.raw = "SSH-2.0-OpenSSH_9.2\r\n"};
    case Mood::kHalfAnswer:
      answer.ending = FakeAnswer::Ending::kCut;
      break;
    case Mood::kHangs:
      return {.ending = FakeAnswer::Ending::kHang};
  }
  return answer;
}

FakeAnswer FakeNginx::Put(const std::string& upstream, const Json& list) {
  Push& push = pushes_.emplace_back(Push{
      .at = std::chrono::steady_clock::now(), .upstream = upstream, .serving = ServingIn(list)});
  if (mood_ == Mood::kFindsListsBad) {
    return {.status = 400, .body = R"({"error":"peer 1 is not to my taste"})"};
  }
  if (mood_ == Mood::kFindsListsLarge) {  // as nginx does it, before our Lua sees it
    return {.status = 413,
            .body = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n"};
  }
  if (mood_ != Mood::kFine && mood_ != Mood::kHalfAnswer) return {};
  Json& held = lists_[upstream];
  if (held.is_object() && VersionOf(held) > VersionOf(list)) {
    return {.status = 409, .body = R"({"error":"there is a newer list"})"};
  }
  held = list;
  push.taken = true;
  return {.body = "{}"};
}

FakeAnswer FakeNginx::GetAll() const {
  Json all = Json::array();
  for (const auto& [upstream, list] : lists_) {
    Json described = list;
    described["name"] = upstream;
    for (Json& peer : described["peers"]) peer["in_flight"] = 0;
    all.push_back(std::move(described));
  }
  return {.body = Json{{"upstreams", all}}.dump()};
}

}  // namespace autoscale
