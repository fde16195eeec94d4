#pragma once

#include <optional>
#include <string>
#include <utility>
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

// The pod prefers nodes of some architecture (preferred terms on kubernetes.io/arch), could go to one, and goes elsewhere: what other
// scores that node has more of. kube-scheduler makes 200 points at most of all such wishes together.
struct OutweighedPreference {
  std::string wished, chosen;  // the best node that has what is preferred; where the pod goes
  int64_t by = 0;              // points; 0: a tie that the name decides
  std::vector<std::pair<Plugin, int64_t>> plugins;  // what `chosen` has more of (or less: below 0), the most first
};
std::optional<OutweighedPreference> outweighed_preference(const Cluster& cluster, const Pod& pod, const Decision& decision);

}  // namespace archway::scheduler
