#pragma once

#include <stop_token>
#include <string>

#include "audit/collection.h"
#include "kube/client.h"

namespace archway::audit {

struct ClusterOptions {
  std::string name_space = {};   // "": all
  std::stop_token stop = {};
};

// Everything in a cluster that has pods in it, running or not, built in or not; with the pull secrets that its images need. What may
// not be read is named in `unseen`, and the rest is read all the same. Nothing is written.
Collection collect_cluster(kube::Client& client, const ClusterOptions& options);

// The rights that this takes, as a ClusterRole and comments.
std::string audit_role();

}  // namespace archway::audit
