#include "providers/http/template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/scalar.h"
#include "net/http_text.h"

namespace autoscale {
namespace {

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// As JSON in ASCII.
std::string Json(const nlohmann::json& value) {
  return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string Text(const std::string& text, HttpEscaping escaping) {
  if (escaping == HttpEscaping::kUrl) return FormEscape(text);
  if (escaping == HttpEscaping::kHeader) return text;
  const std::string quoted = Json(text);
  return quoted.substr(1, quoted.size() - 2);
}

std::string List(const std::vector<std::string>& items, HttpEscaping escaping) {
  if (escaping != HttpEscaping::kUrl) return Json(items);
  std::string list;
  for (const std::string& item : items) list += (list.empty() ? "" : ",") + FormEscape(item);
  return list;
}

std::string Value(std::string_view name, const HttpVariables& values, HttpEscaping escaping) {
  if (name == "service") return Text(values.service, escaping);
  if (name == "intent") return Text(values.intent, escaping);
  if (name == "victims") return List(values.victims, escaping);
  const int number = name == "capacity" ? values.capacity
                     : name == "delta"  ? values.delta
                                        : values.seen;
  return std::to_string(number);
}

}  // namespace

Result<HttpTemplate> HttpTemplate::Parse(std::string_view text,
                                         const std::vector<std::string>& known) {
  HttpTemplate made;
  for (size_t at = 0; at < text.size();) {
    const size_t open = text.find("{{", at);
    made.parts_.push_back({.text = std::string(text.substr(at, open - at))});
    if (open == std::string_view::npos) break;
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos) {
      return Error{ErrorKind::kInvalid, "holds a '{{' without its '}}'"};
    }
    const std::string name(Trim(text.substr(open + 2, close - open - 2)));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string hint = DidYouMean(name, known);
      return Error{ErrorKind::kInvalid, "holds {{" + name.substr(0, 40) + "}}, which is not known" +
                                            (hint.empty() ? "; known here: " + Join(known) : hint)};
    }
    made.parts_.push_back({.text = name, .is_variable = true});
    at = close + 2;
  }
  return made;
}

bool HttpTemplate::Uses(std::string_view variable) const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const Part& part) { return part.is_variable && part.text == variable; });
}

std::string HttpTemplate::Render(const HttpVariables& values, HttpEscaping escaping) const {
  std::string text;
  for (const Part& part : parts_) {
    text += part.is_variable ? Value(part.text, values, escaping) : part.text;
  }
  return text;
}

}  // namespace autoscale
