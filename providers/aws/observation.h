// What a group is to the daemon.
#pragma once

#include "providers/aws/account.h"
#include "providers/provider.h"

namespace autoscale::aws {

// In the group's own count: starting or in service, and nothing asked it to end.
bool IsPresent(const GroupInstance& instance);
bool IsEnding(const GroupInstance& instance);
int CountPresent(const Group& group);

// The instances whose addresses have to be known for it.
std::vector<std::string> IdsOf(const Group& group);

// `addresses`: what kept some of them from being known; ok: nothing.
Observation Describe(const std::string& service, const AwsTarget& target, const Group& group,
                     Account& account, const Status& addresses);

}  // namespace autoscale::aws
