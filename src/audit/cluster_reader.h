#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "audit/collection.h"
#include "base/progress.h"
#include "kube/client.h"

namespace archway::audit {

struct ClusterOptions {
  std::vector<std::string> name_spaces = {};  // none: all
  Progress* progress = nullptr;               // null: none
  std::stop_token stop = {};
  // Where it is given, what may be changed (objects that no other object made) is written there, a YAML document each, and has its places in it:
  // so that what edits files can edit a cluster's objects.
  std::string* text = nullptr;
};

inline constexpr size_t kClusterThreads = 4;   // kinds that are listed at once
inline constexpr size_t kMaxPullNames = 64;    // secrets of one object
inline constexpr size_t kMaxNamespaces = 100'000;

// Everything in a cluster that has pods in it, running or not, built in or not; with the pull secrets that its images need. What may
// not be read, or does not answer, is named in `unseen`, and the rest is read all the same. Nothing is written.
Collection collect_cluster(kube::Client& client, const ClusterOptions& options);

// The rights that this takes, as a ClusterRole (a Role where `name_space` is given) and comments. With `served`, what a cluster has, its
// custom resources by their names; else well-known ones.
std::string audit_role(const std::string& name_space = {}, const std::vector<kube::Resource>* served = nullptr);

}  // namespace archway::audit
