#include "tests/unit/kubernetes/api_server.h"

#include <algorithm>
#include <cstdlib>

namespace autoscale {
namespace {

using Json = ApiServer::Json;

std::string Parameter(const std::string& query, const std::string& name) {
  const size_t at = ("&" + query).find("&" + name + "=");
  if (at == std::string::npos) return {};
  const size_t begin = at + name.size() + 1;
  return query.substr(begin, query.find('&', begin) - begin);
}

FakeAnswer JsonAnswer(const Json& json, int status = 200) {
  return FakeAnswer{.status = status, .body = json.dump()};
}

std::string Line(const std::string& type, const Json& object) {
  return Json{{"type", type}, {"object", object}}.dump() + "\n";
}

std::string GoneLine() {
  return Line("ERROR", {{"kind", "Status"}, {"code", 410}, {"reason", "Expired"}});
}

}  // namespace

Json WorkloadJson(int replicas) { return {{"spec", {{"replicas", replicas}}}}; }

Json SliceJson(const std::string& service, const std::vector<std::pair<std::string, bool>>& pods) {
  Json slice = {{"metadata", {{"labels", {{"kubernetes.io/service-name", service}}}}},
                {"addressType", "IPv4"},
                {"ports", Json::array({{{"name", "http"}, {"port", 8080}}})},
                {"endpoints", Json::array()}};
  int last = 0;
  for (const auto& [name, ready] : pods) {
    slice["endpoints"].push_back({{"addresses", {"10.0.0." + std::to_string(++last)}},
                                  {"conditions", {{"ready", ready}}},
                                  {"targetRef", {{"kind", "Pod"}, {"name", name}}}});
  }
  return slice;
}

FakeAnswer Refusal(int status, const std::string& reason, const std::string& message) {
  return JsonAnswer(
      {{"kind", "Status"}, {"code", status}, {"reason", reason}, {"message", message}}, status);
}

ApiServer::ApiServer(int port) : http_(port) {
  http_.Handle([this](const FakeRequest& request) { return Answer(request); });
}

void ApiServer::Put(const std::string& collection, const std::string& name, Json object) {
  const std::lock_guard lock(mutex_);
  const bool known = objects_[collection].contains(name);
  Store(collection, name, std::move(object), known ? "MODIFIED" : "ADDED");
}

void ApiServer::Delete(const std::string& collection, const std::string& name) {
  const std::lock_guard lock(mutex_);
  Json object = objects_[collection].at(name);
  Store(collection, name, std::move(object), "DELETED");
  objects_[collection].erase(name);
}

Json ApiServer::Get(const std::string& collection, const std::string& name) {
  const std::lock_guard lock(mutex_);
  return objects_[collection].at(name);
}

void ApiServer::Patch(const std::string& collection, const std::string& name, const Json& patch) {
  const std::lock_guard lock(mutex_);
  Json object = objects_[collection].at(name);
  object.merge_patch(patch);
  Store(collection, name, std::move(object), "MODIFIED");
}

// With the lock held.
void ApiServer::Store(const std::string& collection, const std::string& name, Json object,
                      const std::string& type) {
  object["metadata"]["name"] = name;
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  history_.push_back({version_, collection, Line(type, object)});
  objects_[collection][name] = std::move(object);
  for (const Watch& watch : watches_) {
    if (watch.collection == collection) watch.stream->Push(history_.back().line);
  }
}

void ApiServer::Compact(bool in_stream) {
  const std::lock_guard lock(mutex_);
  compacted_ = ++version_;
  for (const Watch& watch : watches_) {
    if (in_stream) watch.stream->Push(GoneLine());
    watch.stream->End();
  }
  watches_.clear();
}

void ApiServer::CutWatches() {
  const std::lock_guard lock(mutex_);
  for (const Watch& watch : watches_) watch.stream->End();
  watches_.clear();
}

void ApiServer::Push(const std::string& collection, const std::string& type, const Json& object) {
  const std::lock_guard lock(mutex_);
  for (const Watch& watch : watches_) {
    if (watch.collection == collection) watch.stream->Push(Line(type, object));
  }
}

void ApiServer::SendBookmarks() {
  const std::lock_guard lock(mutex_);
  ++version_;
  for (const Watch& watch : watches_) {
    watch.stream->Push(
        Line("BOOKMARK", {{"metadata", {{"resourceVersion", std::to_string(version_)}}}}));
  }
}

void ApiServer::Fail(const std::string& method, const std::string& prefix, FakeAnswer answer,
                     int times) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({method, prefix, std::move(answer), times});
}

void ApiServer::Heal() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
}

void ApiServer::Know(std::vector<std::string> tokens) {
  const std::lock_guard lock(mutex_);
  tokens_ = std::move(tokens);
}

int ApiServer::Count(const std::string& method, const std::string& prefix) const {
  int count = 0;
  for (const FakeRequest& request : http_.requests()) {
    if (request.method == method && request.target.starts_with(prefix)) ++count;
  }
  return count;
}

std::optional<FakeAnswer> ApiServer::Broken(const FakeRequest& request) {
  for (Fault& fault : faults_) {
    if (fault.times == 0 || fault.method != request.method ||
        !request.target.starts_with(fault.prefix)) {
      continue;
    }
    if (fault.times > 0) --fault.times;
    return fault.answer;
  }
  if (tokens_.empty()) return std::nullopt;
  const std::string said = request.Header("authorization");
  for (const std::string& token : tokens_) {
    if (said == "Bearer " + token) return std::nullopt;
  }
  return Refusal(401, "Unauthorized", "Unauthorized");
}

FakeAnswer ApiServer::Answer(const FakeRequest& request) {
  const std::lock_guard lock(mutex_);
  if (auto answer = Broken(request)) return *std::move(answer);
  const size_t mark = request.target.find('?');
  const std::string path = request.target.substr(0, mark);
  const std::string query = mark == std::string::npos ? "" : request.target.substr(mark + 1);
  if (path == "/version") {
    return JsonAnswer({{"major", "1"}, {"minor", std::to_string(minor_) + "+"}});
  }
  if (path == "/apis/example.com/v1") {
    return JsonAnswer({{"resources", Json::array({{{"name", "boxes"}, {"kind", "Box"}},
                                                  {{"name", "boxes/scale"}, {"kind", "Scale"}}})}});
  }
  if (std::find(missing_.begin(), missing_.end(), path) != missing_.end()) {
    return FakeAnswer{.status = 404, .body = "404 page not found\n"};
  }
  if (path.ends_with("/scale")) return Scale(request, path.substr(0, path.rfind('/')));
  if (request.method == "PATCH") return PatchObject(request, path);
  return Parameter(query, "watch").empty() ? List(path, query) : StartWatch(path, query);
}

FakeAnswer ApiServer::List(const std::string& collection, const std::string& query) {
  const auto limit = static_cast<size_t>(std::atoi(Parameter(query, "limit").c_str()));
  const std::string token = Parameter(query, "continue");  // "VERSION-OFFSET"
  if (!token.empty() && std::atoi(token.c_str()) < compacted_) {
    return Refusal(410, "Expired", "The provided continue parameter is too old");
  }
  const size_t from =
      token.empty() ? 0 : static_cast<size_t>(std::atoi(token.c_str() + token.find('-') + 1));
  Json items = Json::array();
  const auto& objects = objects_[collection];
  size_t at = 0;
  for (const auto& [name, object] : objects) {
    if (at++ < from || (limit > 0 && at > from + limit)) continue;
    items.push_back(object);
  }
  Json list = {{"metadata", {{"resourceVersion", std::to_string(version_)}}}, {"items", items}};
  if (limit > 0 && objects.size() > from + limit) {
    list["metadata"]["continue"] = std::to_string(version_) + "-" + std::to_string(from + limit);
  }
  return JsonAnswer(list);
}

FakeAnswer ApiServer::StartWatch(const std::string& collection, const std::string& query) {
  const int from = std::atoi(Parameter(query, "resourceVersion").c_str());
  auto stream = std::make_shared<FakeStream>();
  if (from < compacted_) {
    stream->Push(GoneLine());
    stream->End();
    return FakeAnswer{.stream = stream};
  }
  for (const Event& event : history_) {
    if (event.collection == collection && event.version > from) stream->Push(event.line);
  }
  watches_.push_back({collection, stream});
  return FakeAnswer{.stream = stream};
}

bool ApiServer::Split(const std::string& path, std::string& collection, std::string& name) const {
  const size_t slash = path.rfind('/');
  collection = path.substr(0, slash);
  name = path.substr(slash + 1);
  const auto objects = objects_.find(collection);
  return objects != objects_.end() && objects->second.contains(name);
}

FakeAnswer ApiServer::Scale(const FakeRequest& request, const std::string& object_path) {
  std::string collection, name;
  if (!Split(object_path, collection, name)) {
    return Refusal(404, "NotFound", "\"" + name + "\" not found");
  }
  Json object = objects_[collection][name];
  if (request.method == "PATCH") {
    if (request.Header("content-type") != "application/merge-patch+json") {
      return Refusal(415, "UnsupportedMediaType", "unsupported");
    }
    if (before_scale) before_scale();
    object = objects_[collection][name];
    const Json patch = Json::parse(request.body);
    const Json wanted = patch.value("metadata", Json::object()).value("resourceVersion", Json());
    if (wanted.is_string() && wanted != object["metadata"]["resourceVersion"]) {
      return Refusal(409, "Conflict", "the object has been modified");
    }
    if (patch["spec"]["replicas"].get<int>() > 1000) {
      return Refusal(422, "Invalid", "spec.replicas: Invalid value");
    }
    object["spec"]["replicas"] = patch["spec"]["replicas"];
    Store(collection, name, object, "MODIFIED");
    object = objects_[collection][name];
  } else if (!object["spec"].contains("replicas")) {
    return Refusal(500, "InternalError", "the spec replicas field does not exist");
  }
  Json scale = {{"kind", "Scale"}, {"metadata", object["metadata"]}, {"spec", Json::object()}};
  if (object["spec"]["replicas"] != 0) scale["spec"]["replicas"] = object["spec"]["replicas"];
  return JsonAnswer(scale);
}

FakeAnswer ApiServer::PatchObject(const FakeRequest& request, const std::string& path) {
  std::string collection, name;
  if (!Split(path, collection, name)) {
    return Refusal(404, "NotFound", "pods \"" + name + "\" not found");
  }
  Json object = objects_[collection][name];
  object.merge_patch(Json::parse(request.body));
  Store(collection, name, object, "MODIFIED");
  return JsonAnswer(objects_[collection][name]);
}

}  // namespace autoscale
