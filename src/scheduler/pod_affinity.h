#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/cluster.h"
#include "scheduler/decision.h"

// InterPodAffinity.
namespace archway::scheduler {

// Counts per topology pair (label, value); pairs that fall to zero are gone.
class TopologyCounts {
 public:
  void add(const Node& node, const std::string& key, int64_t count);
  int64_t at(const std::string& key, const std::string& value) const;
  bool empty() const { return counts_.empty(); }
  const std::map<std::pair<std::string, std::string>, int64_t>& all() const { return counts_; }

 private:
  std::map<std::pair<std::string, std::string>, int64_t> counts_;
};

// An incoming pod's required terms against the pods that are there, and theirs against it.
class AffinityFilter {
 public:
  AffinityFilter(const Cluster& cluster, const Pod& pod);
  bool active() const { return active_; }
  void add(const Pod& other, const NodeState& node) { update(other, node, 1); }
  void remove(const Pod& other, const NodeState& node) { update(other, node, -1); }
  std::optional<Refusal> check(const NodeState& node) const;

 private:
  void update(const Pod& other, const NodeState& node, int64_t delta);
  bool affinity_holds(const NodeState& node) const;

  const Pod* pod_;
  const Labels* namespace_labels_;
  std::vector<kube::PodAffinityTerm> affinity_, anti_affinity_;  // namespaces resolved
  TopologyCounts affinity_counts_, anti_affinity_counts_, existing_anti_affinity_counts_;
  bool active_ = false;
};

// Normalised scores of the feasible nodes, or nullopt where no pod prefers anything about another.
std::optional<std::vector<int64_t>> affinity_scores(const Profile& profile, const Cluster& cluster, const Pod& pod,
                                                    const std::vector<const NodeState*>& feasible);

// An incoming pod's terms with the namespaces that their selectors name filled in.
std::vector<kube::PodAffinityTerm> resolve_namespaces(const std::vector<kube::PodAffinityTerm>& terms, const ClusterObjects& objects);
bool term_matches(const kube::PodAffinityTerm& term, const Pod& pod, const Labels& namespace_labels);

}  // namespace archway::scheduler
