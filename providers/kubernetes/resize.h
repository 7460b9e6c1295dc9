// Resize: one wish for a capacity on its way to the API server.
#pragma once

#include <functional>
#include <memory>

#include "providers/kubernetes/cluster.h"

namespace autoscale::kubernetes {

// Marks the victims as the cheapest to delete, then sets the scale by compare and swap. Calls back
// once, unless the cluster ends before.
void Resize(Cluster& cluster, TargetPtr target, CapacityWish wish,
            std::function<void(Status)> done);

}  // namespace autoscale::kubernetes
