#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/cluster.h"
#include "scheduler/decision.h"
#include "scheduler/node_sample.h"
#include "scheduler/pod_affinity.h"
#include "scheduler/pod_spread.h"
#include "scheduler/volumes.h"

namespace archway::scheduler {

// One pod's turn: what the pre-filters found out, kept up to date while pods are tried on or taken off a node.
// Copyable: a dry run works on a copy. Plain and exact; engine.h has the quick way to the same answers.
class Cycle {
 public:
  Cycle(const Profile& profile, const Cluster& cluster, const Pod& pod);

  const std::optional<Refusal>& pre_filter() const { return pre_filter_; }
  // The first objection of a filter, in the default profile's order.
  std::optional<Refusal> filter(const NodeState& node) const;
  // The same, with the pods counted that were promised a place there, and then again without them.
  std::optional<Refusal> filter_with_nominated(const NodeState& node) const;
  void add(const Pod& other, const NodeState& node);
  void remove(const Pod& other, const NodeState& node);
  const Pod& pod() const { return *pod_; }
  const Profile& profile() const { return *profile_; }
  const Cluster& cluster() const { return *cluster_; }

 private:
  std::optional<Refusal> run_pre_filters();

  const Profile* profile_;
  const Cluster* cluster_;
  const Pod* pod_;
  std::optional<Refusal> pre_filter_;
  std::optional<std::set<std::string>> named_nodes_;
  std::vector<kube::HostPort> ports_;
  std::optional<VolumeFilter> volumes_;
  std::optional<SpreadFilter> spread_;
  std::optional<AffinityFilter> affinity_;
};

// What kube-scheduler would answer for this pod now: every node's refusal or scores, and the best.
Decision decide(const Profile& profile, const Cluster& cluster, const Pod& pod);
// With a sample, among the nodes that it comes to; those that it does not come to are neither refused nor scored.
Decision decide(const Cycle& cycle, NodeSample* sample = nullptr);

// Each plugin's weighted score for the feasible nodes, into the decision.
void score_nodes(const Cycle& cycle, const std::vector<const NodeState*>& feasible, Decision& decision);

// What a pod must tolerate to go to a cordoned node.
extern const kube::Taint kUnschedulableTaint;

bool ports_conflict(const std::vector<kube::HostPort>& wanted, const std::vector<kube::HostPort>& used);

}  // namespace archway::scheduler
