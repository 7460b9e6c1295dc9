// HttpTemplate: text with {{variables}}, checked when it is loaded.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/result.h"

namespace autoscale {

// What a wish says, for the manager.
struct HttpVariables {
  std::string service;
  int capacity = 0;  // that is wished
  int delta = 0;     // how many more; of a scale-down: how many fewer
  int seen = 0;      // the capacity that was known when this was decided
  std::string intent;
  std::vector<std::string> victims;
};

// How values are written, so that none can be taken for more than a value.
enum class HttpEscaping {
  kJson,    // texts as within quotes; victims as an array
  kUrl,     // percent-encoded; victims with commas between them
  kHeader,  // as they are; victims as an array
};

class HttpTemplate {
 public:
  HttpTemplate() = default;
  // Error: a phrase that names what is not known, or not closed.
  static Result<HttpTemplate> Parse(std::string_view text, const std::vector<std::string>& known);

  [[nodiscard]] bool Uses(std::string_view variable) const;
  [[nodiscard]] std::string Render(const HttpVariables& values, HttpEscaping escaping) const;

 private:
  struct Part {
    std::string text;  // of a variable: its name
    bool is_variable = false;
  };
  std::vector<Part> parts_;
};

}  // namespace autoscale
