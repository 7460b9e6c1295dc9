// The lists that a member's gateways are to have, from the phases of its instances.
#pragma once

#include "daemon/fleet/member.h"

namespace autoscale {

// Another one, with the next number, where the phases ask for it; drains that it shows have begun.
void RenewList(Member& member);

// While nothing can be stored the list of before loses those that fail or are gone, and nothing
// else changes in it: that is true without being stored, and requests must not go there.
void ShortenList(Member& member);

}  // namespace autoscale
