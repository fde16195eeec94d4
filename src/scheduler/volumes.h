#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/cluster.h"
#include "scheduler/decision.h"

// VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone, reduced to what pins a pod to nodes: claims
// that are bound, volumes that could be, topologies in which one can be made, exclusive use, and limits per driver.
// Not modelled: storage capacity tracking, in-tree migration, claims that resize.
namespace archway::scheduler {

class VolumeFilter {
 public:
  VolumeFilter(const Cluster& cluster, const Pod& pod);
  // Set where the pod cannot go anywhere: a claim is missing, lost, or waits for somebody else.
  const std::optional<Refusal>& pre_filter() const { return pre_filter_; }
  bool active() const { return !pod_->spec->volumes.empty(); }
  void add(const Pod& other) { count_conflicts(other, 1); }
  void remove(const Pod& other) { count_conflicts(other, -1); }
  std::optional<Refusal> check(const NodeState& node) const;

 private:
  std::optional<Refusal> find_claims();
  std::optional<Refusal> find_zones();
  void count_conflicts(const Pod& other, int64_t delta);
  bool disk_conflict(const NodeState& node) const;
  bool over_limit(const NodeState& node) const;
  std::vector<std::string> binding_conflicts(const Node& node) const;
  bool zone_matches(const Node& node) const;

  const Cluster* cluster_;
  const Pod* pod_;
  std::optional<Refusal> pre_filter_;
  std::vector<const kube::PersistentVolumeClaim*> bound_, unbound_;
  std::vector<std::string> exclusive_;  // claim keys of mode ReadWriteOncePod
  int64_t exclusive_conflicts_ = 0;
  struct Zone {
    std::string key;
    std::vector<std::string> values;
  };
  std::vector<Zone> zones_;
};

// Records where the pod's unbound claims end up, so that later pods with the same claim follow.
void bind_claims(ClusterObjects& objects, const Pod& pod, const Node& node);

}  // namespace archway::scheduler
