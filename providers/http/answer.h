// What a manager answers, read strictly: what is not said clearly is a fault, never a guess.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/result.h"
#include "providers/http/options.h"
#include "providers/provider.h"

namespace autoscale {

// More than any service of ours may have; an answer beyond it is a fault.
inline constexpr int kMaxInstances = 100000;

// The first line, as a message may show it: printable, and not long. Empty: there is none.
std::string FirstLine(std::string_view body);

// The body as JSON; an error says what came instead.
Result<nlohmann::json> ParseJson(const std::string& body);

// A whole number from 0 to kMaxInstances.
Result<int> ReadCount(const nlohmann::json& answer, const JsonPointer& pointer);

struct ListedInstance {
  enum class Health { kReady, kNotReady, kStopping };
  std::string id;
  std::string endpoint;  // "10.0.0.5:8080"; empty: not known yet
  Health health = Health::kReady;
  std::string detail;
};
// All of the list, in its order. Ids and endpoints are unique.
Result<std::vector<ListedInstance>> ReadList(const nlohmann::json& answer,
                                             const HttpInstances& options);

}  // namespace autoscale
