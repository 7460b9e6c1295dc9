// The provider `aws`: Auto Scaling groups, by AWS's own HTTP API.
#pragma once

#include <memory>

#include "providers/aws/api.h"
#include "providers/provider.h"

namespace autoscale {

Result<std::unique_ptr<Provider>> CreateAwsProvider(const ProviderContext& context);

// The same with clocks, an environment and pauses of a test's own.
std::unique_ptr<Provider> MakeAwsProvider(EventLoop& loop, HttpClient& http,
                                          aws::ApiOptions options);

}  // namespace autoscale
