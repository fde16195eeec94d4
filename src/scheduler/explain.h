#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/cycle.h"

// Why a pod is where it is, or nowhere, and the least that would have to change for it to run on an architecture.
namespace archway::scheduler {

// One edit. `pod` and `node` hold the objects with all edits up to and with this one made.
struct Fix {
  std::string text;   // for people
  std::string patch;  // as YAML, for `kubectl patch`; empty where it is no edit of the pod
};

// Changes after which the pod fits a node of the architecture. The test of this is to make them and decide again.
struct SmallestChange {
  std::vector<Fix> fixes;           // none: it fits as it is
  std::string node;                 // where it then fits
  Pod pod;                          // with all edits made
  std::vector<Node> nodes;          // every node of the cluster, with all edits made, and one more if that was a fix
};

// nullopt where no edit of pod or nodes helps, with the reason in `why`.
struct SmallestChangeAnswer {
  std::optional<SmallestChange> change;
  std::string why;
};

// `pod` must not be bound in `cluster`.
SmallestChangeAnswer smallest_change(const Profile& profile, const Cluster& cluster, const Pod& pod, const std::string& architecture);

}  // namespace archway::scheduler
