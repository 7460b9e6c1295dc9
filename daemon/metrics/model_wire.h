// What a model outside is told and what it answers, as JSON.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/spec.h"
#include "engine/model/result.h"
#include "engine/model/snapshot.h"

namespace autoscale {

// {"service":"web","desired":4,"ready":4,"metrics":{"load":{"value":1.5,"state":"fresh"}}}
// Metrics that are predicted themselves are left out; the value of one that is not usable is null.
std::string DescribeForModel(const ServiceSpec& service, const Capacity& capacity,
                             std::span<const Sample> samples);

// {"now":...,"horizon":600,"metric":"...","services":[...]}; `services` as above, by commas.
std::string ModelRequestBody(TimePoint now, Millis horizon, const std::string& metric,
                             const std::string& services);

// Reads {"services":{"web":12.5}}. NaN for what is no number; null is as if it were not there.
// Anything else is an error with a sentence.
Result<std::vector<std::pair<std::string, double>>> ParseModelAnswer(const std::string& body);

}  // namespace autoscale
