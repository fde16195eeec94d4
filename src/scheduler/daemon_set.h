#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/inventory.h"

// DaemonSets as their controller runs them (pkg/controller/daemon): it picks the nodes by name, selector, required
// affinity and taints, and leaves resources and ports to the scheduler.
namespace archway::scheduler {

struct DaemonVerdict {
  bool should_run = false;       // a pod is created
  bool may_continue = false;     // one that is there stays
};
DaemonVerdict daemon_verdict(const kube::Workload& daemon_set, const Node& node);

// The pod that the controller creates for a node.
Pod daemon_pod(const kube::Workload& daemon_set, const Node& node);

// The node that a DaemonSet's pod is for: where it runs, else where its affinity pins it.
std::string daemon_target(const Pod& pod);

}  // namespace archway::scheduler
