// Resize: brings a group to what is wished of it, step by step.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "providers/aws/account.h"
#include "providers/provider.h"

namespace autoscale::aws {

// As Provider::SetCapacity has it. The account lasts until it has called back, or never does.
void Resize(Account& account, std::shared_ptr<const AwsTarget> target, CapacityWish wish,
            std::function<void(Status)> done);

}  // namespace autoscale::aws
