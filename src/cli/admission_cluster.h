#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "admission/cluster_side.h"
#include "admission/server.h"
#include "cli/command.h"
#include "kube/client.h"

// What `archway admission serve` does in its cluster besides answering: flags, and the parts that they start.
namespace archway::cli {

std::vector<Flag> cluster_side_flags();

// Adds the kubelet's credential providers to the keychain of `options`, and starts what the flags ask for; waits until the certificate
// of --own-certificate is there. Null where nothing is to be started. `options.lookup` must be set.
Result<std::unique_ptr<admission::ClusterSide>> start_cluster_side(const Arguments& arguments, const Context& context, std::shared_ptr<kube::Client> cluster,
                                                                  admission::WebhookOptions& options);

}  // namespace archway::cli
