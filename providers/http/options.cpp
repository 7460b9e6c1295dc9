#include "providers/http/options.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "config/scalar.h"
#include "net/http_text.h"

namespace autoscale {
namespace {

const std::vector<std::string>& ChangeVariables() {
  static const std::vector<std::string> kNames = {"service", "capacity", "delta",
                                                  "seen",    "intent",   "victims"};
  return kNames;
}

// One section, with its path in messages and the service that it is read for.
struct Reader {
  Section section;
  std::string path;
  std::string service;

  void Fault(const std::string& key, const std::string& message) {
    section.Fault(key, "'" + path + (key.empty() ? "" : "." + key) + "' " + message);
  }

  // Nothing, after reporting why.
  std::optional<HttpTemplate> ReadTemplate(const std::string& key, const std::string& text,
                                           const std::vector<std::string>& known) {
    auto made = HttpTemplate::Parse(text, known);
    if (made.ok()) return *std::move(made);
    Fault(key, made.error().message);
    return std::nullopt;
  }

  // A text that may hold {{service}}, which is known by now.
  std::string Expanded(const std::string& key, const std::string& text) {
    const auto made = ReadTemplate(key, text, {"service"});
    return made ? made->Render({.service = service}, HttpEscaping::kHeader) : std::string();
  }

  std::string Url(const std::string& key, const std::string& text) {
    const auto made = ReadTemplate(key, text, {"service"});
    if (!made) return {};
    std::string url = made->Render({.service = service}, HttpEscaping::kUrl);
    if (const std::string fault = HttpUrlFault(url); !fault.empty()) Fault(key, fault);
    return url;
  }

  std::optional<JsonPointer> Pointer(const std::string& key) {
    const std::string written = section.String(key);  // asked for in any case: it is known here
    if (!section.Has(key)) return std::nullopt;
    const std::string text = Expanded(key, written);
    try {
      return JsonPointer(text);
    } catch (const nlohmann::json::exception&) {
      Fault(key, "must be a JSON pointer, such as /status/capacity");
      return std::nullopt;
    }
  }
};

HttpRead ParseCurrent(Section& provider, const std::string& service, HttpTarget& target) {
  HttpRead read;
  auto section = provider.Child("current");
  if (!section) {
    if (!provider.Has("current")) {
      provider.Fault("",
                     "'provider.current' is missing: say where the capacity is read, such as "
                     "{url: \"http://manager:8080/groups/web\", pointer: /capacity}");
    }
    return read;
  }
  Reader reader{*section, "provider.current", service};
  if (const std::string url = section->RequiredString("url"); !url.empty()) {
    read.url = reader.Url("url", url);
  }
  read.pointer = reader.Pointer("pointer").value_or(JsonPointer());
  target.ready = reader.Pointer("ready");
  section->Finish();
  return read;
}

// What the manager would get, to find at load what it could not read.
void CheckBody(Reader& reader, const HttpChange& change) {
  const HttpVariables sample{.service = reader.service,
                             .capacity = 2,
                             .delta = 1,
                             .seen = 1,
                             .intent = reader.service + "/1/1",
                             .victims = {"a", "b"}};
  const std::string body = change.body.Render(sample, HttpEscaping::kJson);
  if (nlohmann::json::accept(body)) return;
  reader.Fault("body", "is not JSON once it is filled in: " + body.substr(0, 100) +
                           "; numbers and {{victims}} stand without quotes, texts within them; for "
                           "another format give headers: {Content-Type: ...}");
}

void ParseChangeHeaders(Reader& reader, HttpChange& change) {
  bool typed = !change.has_body;
  for (const auto& [name, text] : reader.section.StringMap("headers")) {
    auto value = reader.ReadTemplate("headers", text, ChangeVariables());
    if (const std::string fault = HeaderFault(name, text); !fault.empty()) {
      reader.Fault("headers", name + ": " + fault);
    }
    if (value) change.headers.emplace_back(name, *std::move(value));
    const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
    constexpr std::string_view kType = "content-type";
    typed |= std::equal(name.begin(), name.end(), kType.begin(), kType.end(), same);
  }
  if (typed) return;
  change.headers.emplace_back("Content-Type", *HttpTemplate::Parse("application/json", {}));
  CheckBody(reader, change);
}

std::optional<HttpChange> ParseChange(Section& provider, const std::string& key,
                                      const std::string& method, const std::string& service) {
  auto section = provider.Child(key);
  if (!section) return std::nullopt;
  Reader reader{*section, "provider." + key, service};
  HttpChange change;
  const std::string written = section->RequiredString("url");
  auto url = reader.ReadTemplate("url", written, ChangeVariables());
  if (url && !written.empty()) {
    const std::string fault =
        HttpUrlFault(url->Render({.service = service, .intent = "i"}, HttpEscaping::kUrl));
    if (!fault.empty()) reader.Fault("url", fault);
    change.url = *url;
  }
  static const std::vector<std::string> kMethods = {"PUT", "POST", "PATCH", "DELETE"};
  const auto usual = std::find(kMethods.begin(), kMethods.end(), method) - kMethods.begin();
  change.method = kMethods[section->Choice("method", static_cast<size_t>(usual), kMethods)];
  const std::string text = section->String("body");
  auto body = reader.ReadTemplate("body", text, ChangeVariables());
  if (body) change.body = *body;
  change.has_body = body && section->Has("body");
  ParseChangeHeaders(reader, change);
  section->Finish();
  if (!url || !body) return std::nullopt;
  return change;
}

void ParsePort(Reader& reader, HttpInstances& instances) {
  const std::string text = reader.section.String("port");
  if (!reader.section.Has("port")) return;
  if (text.starts_with("/")) {
    instances.port = reader.Pointer("port");
    return;
  }
  const auto port = ParseInt(text);
  if (!port || *port < 1 || *port > 65535) {
    reader.Fault("port", "must be a port within 1-65535, or a JSON pointer, such as /port");
    return;
  }
  instances.fixed_port = static_cast<int>(*port);
}

std::optional<HttpInstances> ParseInstances(Section& provider, const std::string& service,
                                            const HttpRead& current) {
  auto section = provider.Child("instances");
  if (!section) return std::nullopt;
  Reader reader{*section, "provider.instances", service};
  HttpInstances instances;
  const std::string url = section->String("url");
  instances.read.url = section->Has("url") ? reader.Url("url", url) : current.url;
  instances.read.pointer = reader.Pointer("pointer").value_or(JsonPointer());
  instances.id = reader.Pointer("id").value_or(JsonPointer());
  instances.address = reader.Pointer("address");
  instances.ready = reader.Pointer("ready");
  ParsePort(reader, instances);
  instances.ready_values = section->Strings("ready_values");
  instances.stopping_values = section->Strings("stopping_values");
  if (!instances.address && section->Has("port")) {
    reader.Fault("port", "needs 'address'");
  }
  for (const char* key : {"ready_values", "stopping_values"}) {
    if (section->Has(key) && !section->Has("ready")) reader.Fault(key, "needs 'ready'");
  }
  section->Finish();
  return instances;
}

void CheckChanges(Section& section, const HttpTarget& target) {
  const bool relative = section.Has("scale_up") || section.Has("scale_down");
  if (section.Has("set") == relative) {
    section.Fault(relative ? "set" : "",
                  "say how the capacity is changed: either 'provider.set', or both of "
                  "'provider.scale_up' and 'provider.scale_down'");
  } else if (relative && section.Has("scale_up") != section.Has("scale_down")) {
    section.Fault(section.Has("scale_up") ? "scale_up" : "scale_down",
                  "'provider.scale_up' and 'provider.scale_down' go together; give both, or 'set'");
  }
  const auto told = [&](const char* key, const std::optional<HttpChange>& change,
                        std::initializer_list<const char*> one_of, const char* what) {
    if (!change || std::any_of(one_of.begin(), one_of.end(),
                               [&](const char* name) { return change->Uses(name); })) {
      return;
    }
    section.Fault(key, std::string("'provider.") + key + "' never says " + what);
  };
  told("set", target.set, {"capacity", "delta"},
       "how many there are to be: put {{capacity}} into its url or body");
  told("scale_up", target.scale_up, {"capacity", "delta"},
       "how many more: put {{delta}} into its url or body");
  told("scale_down", target.scale_down, {"capacity", "delta", "victims"},
       "how many fewer: put {{delta}} into its url or body");
  if (!target.instances && target.ends_exactly()) {
    section.Fault(target.set ? "set" : "scale_down",
                  "{{victims}} are ids of 'provider.instances'; say where those are listed");
  }
}

void CheckSecrecy(Section& section, const HttpTarget& target) {
  const std::string origin(UrlOrigin(target.current.url));
  const bool here = origin.starts_with("http://127.") || origin.starts_with("http://localhost") ||
                    origin.starts_with("http://[::1]");
  if (target.access.auth != HttpAccess::Auth::kNone && origin.starts_with("http://") && !here) {
    section.Warn("auth",
                 "'provider.auth' goes over http, for all to read who see the network; "
                 "use https");
  }
}

}  // namespace

bool HttpChange::Uses(std::string_view variable) const {
  return url.Uses(variable) || body.Uses(variable) ||
         std::any_of(headers.begin(), headers.end(),
                     [&](const auto& header) { return header.second.Uses(variable); });
}

std::string HttpTarget::place() const {
  return ShownUrl(current.url) + " at '" + current.pointer.to_string() + "'";
}

std::string HttpTarget::identity() const {
  std::string text = place();
  const size_t query = current.url.find('?');
  if (query == std::string::npos) return text;
  // It counts, but is not shown: a key may be in it.
  return text + ", query " + std::to_string(std::hash<std::string>()(current.url.substr(query)));
}

bool HttpTarget::ends_exactly() const {
  return (set && set->Uses("victims")) || (scale_down && scale_down->Uses("victims"));
}

std::shared_ptr<const ProviderTarget> ParseHttpTarget(Section& section,
                                                      const std::string& service) {
  auto target = std::make_shared<HttpTarget>();
  section.String("type");  // read by whoever chose this parser
  target->current = ParseCurrent(section, service, *target);
  target->set = ParseChange(section, "set", "PUT", service);
  target->scale_up = ParseChange(section, "scale_up", "POST", service);
  target->scale_down = ParseChange(section, "scale_down", "POST", service);
  target->instances = ParseInstances(section, service, target->current);
  target->access = ParseHttpAccess(section, service);
  target->poll =
      section.Duration("poll", target->poll, {.min = Millis(100), .max = std::chrono::hours(1)});
  target->timeout = section.Duration("timeout", target->timeout,
                                     {.min = Millis(10), .max = std::chrono::minutes(5)});
  target->retries =
      static_cast<int>(section.Int("retries", target->retries, {.min = 0, .max = 10}));
  target->max_answer_bytes = static_cast<size_t>(section.Bytes(
      "max_answer", static_cast<int64_t>(target->max_answer_bytes), {1 << 10, 64 << 20}));
  if (target->ready && target->instances) {
    section.Fault("current",
                  "'provider.current.ready' is for targets without 'instances', which "
                  "say by themselves who is ready");
  }
  section.Finish();
  CheckChanges(section, *target);
  CheckSecrecy(section, *target);
  return target;
}

}  // namespace autoscale
