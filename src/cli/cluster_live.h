#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "kube/client.h"
#include "scheduler/inventory.h"

// A cluster that answers, found as kubectl finds it.
namespace archway::cli {

std::vector<Flag> live_cluster_flags();  // --kubeconfig FILE, --context NAME
// By --kubeconfig, else KUBECONFIG, else ~/.kube/config, else the service account of the pod we run in. Asks nobody yet.
Result<std::shared_ptr<kube::Client>> connect_cluster(const Arguments& arguments, const Context& context);

// All that placement asks about, object by object, in an order in which what others refer to comes first. `problems` gets the kinds that
// cannot be listed.
Result<void> read_live_cluster(kube::Client& cluster, const std::function<void(Json)>& each, std::vector<scheduler::Problem>& problems, std::stop_token stop);
// All that placement asks about. Nodes and pods have to be readable; another kind that we may not list, or that the cluster does not
// serve, is one of the inventory's problems.
Result<scheduler::Inventory> load_live_inventory(kube::Client& cluster, std::stop_token stop);

}  // namespace archway::cli
