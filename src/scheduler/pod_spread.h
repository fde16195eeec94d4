#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/cluster.h"
#include "scheduler/decision.h"

// PodTopologySpread.
namespace archway::scheduler {

// The constraints that count for a pod: its own, else the profile's defaults with the selector of the pod's
// Services and owner. `system_default` says the latter, for which nodes may lack a label.
struct SpreadConstraints {
  std::vector<kube::SpreadConstraint> list;
  bool require_all_labels = true;
};
enum class SpreadKind { Required, Preferred };
SpreadConstraints spread_constraints(const Profile& profile, const Cluster& cluster, const Pod& pod, SpreadKind kind);
// What the Services that select the pod and the controller that owns it have in common.
kube::Selector owner_selector(const ClusterObjects& objects, const Pod& pod);

// Pods per domain of each required constraint, kept up to date while a dry run adds and removes pods on one node.
class SpreadFilter {
 public:
  SpreadFilter(const Profile& profile, const Cluster& cluster, const Pod& pod);
  bool active() const { return !constraints_.empty(); }
  void add(const Pod& other, const NodeState& node) { update(other, node, 1); }
  void remove(const Pod& other, const NodeState& node) { update(other, node, -1); }
  std::optional<Refusal> check(const NodeState& node) const;

 private:
  void update(const Pod& other, const NodeState& node, int64_t delta);
  bool has_all_labels(const NodeState& node) const;
  bool includes(const kube::SpreadConstraint& constraint, const NodeState& node) const;

  const Pod* pod_;
  std::vector<kube::SpreadConstraint> constraints_;
  std::vector<std::map<std::string, int64_t, std::less<>>> counts_;  // per constraint: domain → pods
};

// Normalised scores of the feasible nodes, or nullopt where no constraint is preferred.
std::optional<std::vector<int64_t>> spread_scores(const Profile& profile, const Cluster& cluster, const Pod& pod,
                                                  const std::vector<const NodeState*>& feasible);

}  // namespace archway::scheduler
