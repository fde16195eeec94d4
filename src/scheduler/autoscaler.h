#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/autoscaler_world.h"
#include "scheduler/estimator.h"
#include "scheduler/expander.h"

// Cluster Autoscaler 1.34 at work in a World: which group grows, by how much and why, and which nodes could go.
namespace archway::scheduler {

struct AutoscalerOptions {
  std::vector<ExpanderKind> expanders = {ExpanderKind::LeastWaste};
  uint64_t seed = 0;
  bool balance_similar = false;             // --balance-similar-node-groups
  std::vector<std::string> ignored_labels;  // --balancing-ignore-label
  int64_t max_nodes_total = 0;              // 0: no limit
  int64_t max_cores = 0, max_memory_gib = 0;
  int64_t max_nodes_per_scale_up = kMaxNodesPerScaleUp;
  double scale_down_threshold = 0.5;        // --scale-down-utilization-threshold
  bool skip_system_pods = true, skip_local_storage = true;
};

// What of a pod only the autoscaler asks.
struct PodFacts {
  bool local_storage = false;          // emptyDir or hostPath
  std::optional<bool> safe_to_evict;   // the annotation
};

struct GroupState {
  NodeGroup group;
  int64_t current = 0;
  std::set<std::string> nodes;         // of the world
  int64_t made = 0;                    // for names of new ones
  std::optional<NodeTemplate> remembered;  // of a real node that was there
};

struct Growth {
  std::string group;
  int64_t from = 0, to = 0;
};

struct OptionReport {
  std::string group, node_source;
  int64_t nodes = 0;
  size_t pods = 0;
  bool limited = false;
};

// One round of scaling up.
struct ScaleUp {
  size_t pending = 0;
  std::vector<OptionReport> options;
  std::vector<std::pair<std::string, std::string>> skipped;  // group, why it was not looked at
  // Pod, group, why an empty node of it would not take the pod.
  struct Rejection {
    std::string pod, group, why;
    size_t alike = 1;
  };
  std::vector<Rejection> rejections;
  std::vector<ExpanderStep> steps;
  std::string chosen;
  int64_t wanted = 0;                 // nodes, before caps
  std::vector<std::string> notes;
  std::vector<Growth> growth;
  std::vector<const Pod*> pods;       // for which it grows
};

struct ScaleDown {
  std::string node, group;
  double utilization = 0;
  bool removable = false;
  std::string why;                    // it stays, or where its pods go
};

// Which nodes could be emptied, each in turn with those before it already empty. `spare`: how many nodes each group may lose.
struct NodeToEmpty {
  std::string node, group;
};
struct ScaleDownRules {
  double threshold = 0.5;   // of use, from which a node stays
  bool skip_system_pods = true, skip_local_storage = true;
};
std::vector<ScaleDown> empty_nodes(World& world, const std::vector<NodeToEmpty>& nodes, std::map<std::string, int64_t> spare, const ScaleDownRules& rules,
                                   const std::map<std::string, PodFacts>& facts);

class Autoscaler {
 public:
  Autoscaler(AutoscalerOptions options, std::vector<NodeGroup> groups, const PriceTable& prices, std::optional<PriorityConfig> priorities, std::string why_none);

  // Tells nodes of the world to their groups, by instance id and selector. `provider_ids` by node.
  void claim_nodes(const World& world, const std::map<std::string, std::string>& provider_ids, const std::map<std::string, kube::Resources>& capacities);

  // What would grow now. `upcoming`: per group, nodes that are on their way.
  ScaleUp scale_up(World& world, const std::map<std::string, int64_t>& upcoming = {});
  // The next real node of the group; it is not in the world yet.
  Result<Node> make_node(const std::string& group);
  // Every node of a group, with why it could go or not; pods of those that can are thought away in turn.
  std::vector<ScaleDown> scale_down(World& world, const std::map<std::string, PodFacts>& facts) const;

  std::vector<GroupState>& groups() { return groups_; }
  const std::vector<GroupState>& groups() const { return groups_; }
  GroupState* find(const std::string& name);
  // What the autoscaler takes a new node of the group for: as a node that is there, as one that was, else by its template.
  Result<NodeTemplate> template_for(const GroupState& state, const World& world) const;
  const PriceTable& prices() const { return *prices_; }

 private:
  struct Candidate;
  bool similar(const Candidate& a, const Candidate& b) const;
  std::vector<size_t> similar_to(const std::vector<Candidate>& candidates, size_t of) const;
  std::vector<Growth> balance(std::vector<const GroupState*> groups, int64_t nodes) const;
  std::optional<std::string> over_limits(const World& world, const NodeTemplate& node, int64_t nodes) const;
  int64_t cap(const World& world, const NodeTemplate& node, int64_t nodes, int64_t existing, ScaleUp& result) const;
  std::vector<Candidate> candidates(World& world, const std::vector<PodGroup>& groups, ScaleUp& result) const;
  int64_t most_new_nodes(const std::vector<Candidate>& candidates, size_t of, int64_t existing) const;

  AutoscalerOptions options_;
  std::vector<GroupState> groups_;
  const PriceTable* prices_;
  std::optional<PriorityConfig> priorities_;
  std::optional<Expander> expander_;
  std::string why_none_;
  std::map<std::string, kube::Resources> capacities_;  // by node
};

}  // namespace archway::scheduler
