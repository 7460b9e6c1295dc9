// The provider `http`: whatever has a capacity that can be read and set over HTTP.
#pragma once

#include <memory>

#include "providers/http/caller.h"
#include "providers/http/options.h"
#include "providers/provider.h"

namespace autoscale {

std::unique_ptr<Provider> MakeHttpProvider(EventLoop& loop, HttpClient& http,
                                           HttpCaller::Options options);
Result<std::unique_ptr<Provider>> CreateHttpProvider(const ProviderContext& context);

}  // namespace autoscale
