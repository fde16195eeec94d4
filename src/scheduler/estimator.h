#pragma once

#include <memory>
#include <string>
#include <vector>

#include "scheduler/cycle.h"
#include "scheduler/node_group.h"

// How many nodes of one kind pending pods need, by Cluster Autoscaler's own bin packing (estimator/binpacking_estimator.go): with the
// scheduler's filters, without its scores. The real scheduler will put the pods otherwise.
namespace archway::scheduler {

// Pods that are one to the scheduler: of one controller, with equal labels and spec. The first stands for all.
struct PodGroup {
  std::vector<const Pod*> pods;
  const Pod& sample() const { return *pods.front(); }
};

inline constexpr size_t kMaxGroupsPerController = 10;  // core/scaleup/equivalence/groups.go
inline constexpr int64_t kMaxNodesPerScaleUp = 1000;   // --max-nodes-per-scaleup

// In the order of their first pods' names.
std::vector<PodGroup> group_pods(const std::vector<const Pod*>& pods);

// New nodes beside a cluster, on which pods are tried: the fork of the snapshot that the autoscaler works on. The cluster stays as it is.
class Packing {
 public:
  // `companions` come to every new node: its DaemonSets' pods. All borrowed. `careful`: pods look at the whole cluster (spreading,
  // affinity to pods, volumes); without it only at the node, which is quicker and, for such pods, the same.
  Packing(const Profile& profile, const Cluster& cluster, const Node& model, const std::vector<Pod>& companions, bool careful);
  ~Packing();

  // Pods of one group share what is found out about the cluster. Call before its pods are placed.
  void alike(const PodGroup& group);
  size_t add_node();               // its number
  size_t node_count() const;
  size_t pods_on(size_t node) const;  // that were placed here
  // Why the node would not take the pod, or nothing.
  std::optional<Refusal> check(const Pod& pod, size_t node);
  // Places the pod there, or says why not.
  std::optional<Refusal> try_place(const Pod& pod, size_t node);
  // The first new node that takes it, looked for from where the last search ended; nullopt where none does.
  std::optional<size_t> place_on_any(const Pod& pod);
  // Any node but that one, those of the cluster too; true where one took it.
  bool place_elsewhere(const Pod& pod, size_t except);
  const NodeState& state(size_t node) const;

  // Whether pods of these make `careful` necessary.
  static bool needs_care(const Profile& profile, const Cluster& cluster, const std::vector<PodGroup>& groups);

 private:
  struct Fork;
  std::unique_ptr<Fork> fork_;
};

struct Estimate {
  int64_t nodes = 0;               // that have pods
  std::vector<const Pod*> pods;    // that found a place
  bool limited = false;            // more would have come, had there been no limit
};

// `most_nodes` is the least of the limits that apply. Groups are ordered by the share of a node that their first pod asks for, the
// largest first; equal ones by name.
Estimate estimate(const Profile& profile, const Cluster& cluster, const NodeTemplate& node, const std::vector<Pod>& companions,
                  std::vector<PodGroup> groups, int64_t most_nodes);

}  // namespace archway::scheduler
