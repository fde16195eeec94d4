#include <algorithm>
#include <cstdio>

#include "scheduler/autoscaler.h"

// Which nodes could go (core/scaledown, simulator/drain): little used, above the group's least size, and with pods that may be moved and
// have somewhere to go.
namespace archway::scheduler {

namespace {

constexpr std::string_view kSystemNamespace = "kube-system";

double utilization_of(const NodeState& state) {
  auto part = [](int64_t used, int64_t of) { return of > 0 ? static_cast<double>(used) / static_cast<double>(of) : 0.0; };
  const kube::Resources& have = state.node->allocatable;
  int64_t gpus = have.scalar("nvidia.com/gpu");
  if (gpus > 0) return part(state.requested.scalar("nvidia.com/gpu"), gpus);
  return std::max(part(state.requested.milli_cpu, have.milli_cpu), part(state.requested.memory, have.memory));
}

std::string percent(double part) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", part * 100);
  return text;
}

// Moves pods between nodes of a cluster, and back again where not all found a place.
class Mover {
 public:
  Mover(World& world, const std::set<uint32_t>& closed) : world_(world), cluster_(world.cluster()), closed_(closed) {}

  // Why not, or nothing.
  std::optional<std::string> empty(uint32_t node, const std::vector<const Pod*>& pods) {
    for (const Pod* pod : pods) {
      cluster_.unbind(*pod, node);
      Cycle cycle(world_.profile(), cluster_, *pod);
      std::optional<uint32_t> to;
      for (const NodeState& state : cluster_.nodes()) {
        bool open = state.index != node && !closed_.contains(state.index) && !state.node->unschedulable;
        if (to || !open || cycle.pre_filter() || cycle.filter(state)) continue;
        to = state.index;
      }
      if (!to) {
        cluster_.bind(*pod, node);
        undo();
        return "pod " + pod->meta.key() + " has nowhere to go";
      }
      cluster_.bind(*pod, *to);
      moves_.push_back({pod, node, *to});
    }
    return std::nullopt;
  }

  void undo() {
    for (auto at = moves_.rbegin(); at != moves_.rend(); ++at) {
      cluster_.unbind(*at->pod, at->to);
      cluster_.bind(*at->pod, at->from);
    }
    moves_.clear();
  }

  struct Move {
    const Pod* pod;
    uint32_t from, to;
  };
  std::vector<Move> take_moves() { return std::exchange(moves_, {}); }

 private:
  World& world_;
  Cluster& cluster_;
  const std::set<uint32_t>& closed_;
  std::vector<Move> moves_;
};

// What holds a node, and where its pods would go.
class Judge {
 public:
  Judge(World& world, std::map<std::string, int64_t> spare, const ScaleDownRules& rules, const std::map<std::string, PodFacts>& facts)
      : world_(world), cluster_(world.cluster()), spare_(std::move(spare)), rules_(rules), facts_(facts) {}
  ~Judge() {
    for (auto at = moves_.rbegin(); at != moves_.rend(); ++at) {
      cluster_.unbind(*at->pod, at->to);
      cluster_.bind(*at->pod, at->from);
    }
  }
  Judge(const Judge&) = delete;

  ScaleDown judge(const NodeToEmpty& wanted, const NodeState& node) {
    ScaleDown entry{wanted.node, wanted.group, utilization_of(node), false, {}};
    std::vector<const Pod*> movable;
    auto why = held(wanted, node, entry.utilization, movable);
    entry.removable = !why;
    entry.why = why ? *why : movable.empty() ? "nothing but daemons runs there" : std::to_string(movable.size()) + (movable.size() == 1 ? " pod fits" : " pods fit") + " elsewhere";
    if (entry.removable) {
      closed_.insert(node.index);
      --spare_[wanted.group];
    }
    return entry;
  }

 private:
  std::optional<std::string> held(const NodeToEmpty& wanted, const NodeState& node, double used, std::vector<const Pod*>& movable) {
    if (spare_[wanted.group] <= 0) return "its group is at its least size";
    if (used >= rules_.threshold) return percent(used) + " used, not below " + percent(rules_.threshold);
    for (const Pod* pod : node.pods) {
      const WorldPod* known = world_.find(*pod);
      if ((known && known->daemon) || pod->priority() < kExpendablePriority) continue;
      if (auto why = holds(*pod)) return why;
      movable.push_back(pod);
    }
    Mover mover(world_, closed_);
    if (auto why = mover.empty(node.index, movable)) return why;
    for (const Mover::Move& move : mover.take_moves()) moves_.push_back(move);
    return std::nullopt;
  }

  // Why this pod holds its node, or nothing.
  std::optional<std::string> holds(const Pod& pod) const {
    auto known = facts_.find(pod.meta.key());
    PodFacts fact = known == facts_.end() ? PodFacts{} : known->second;
    const std::string name = "pod " + pod.meta.key();
    if (fact.safe_to_evict == true) return std::nullopt;
    if (fact.safe_to_evict == false) return name + " is marked not safe to evict";
    if (!pod.meta.controller()) return name + " is bare: nothing would create it again";
    bool covered = false;
    for (const kube::PodDisruptionBudget& budget : cluster_.objects().budgets) {
      if (budget.meta.name_space != pod.meta.name_space || !budget.selector.matches(pod.meta.labels)) continue;
      covered = true;
      if (budget.disruptions_allowed <= 0) return "the disruption budget of " + name + " allows none";
    }
    if (rules_.skip_system_pods && pod.meta.name_space == kSystemNamespace && !covered) return name + " is of kube-system and has no disruption budget";
    if (rules_.skip_local_storage && fact.local_storage) return name + " has local storage";
    return std::nullopt;
  }

  World& world_;
  Cluster& cluster_;
  std::map<std::string, int64_t> spare_;
  ScaleDownRules rules_;
  const std::map<std::string, PodFacts>& facts_;
  std::set<uint32_t> closed_;
  std::vector<Mover::Move> moves_;
};

}  // namespace

std::vector<ScaleDown> empty_nodes(World& world, const std::vector<NodeToEmpty>& nodes, std::map<std::string, int64_t> spare, const ScaleDownRules& rules,
                                   const std::map<std::string, PodFacts>& facts) {
  std::vector<ScaleDown> result;
  Judge judge(world, std::move(spare), rules, facts);
  for (const NodeToEmpty& each : nodes) {
    if (const NodeState* node = world.cluster().find_node(each.node)) result.push_back(judge.judge(each, *node));
  }
  return result;
}

std::vector<ScaleDown> Autoscaler::scale_down(World& world, const std::map<std::string, PodFacts>& facts) const {
  std::vector<NodeToEmpty> nodes;
  std::map<std::string, int64_t> spare;
  for (const GroupState& state : groups_) {
    spare[state.group.name] = state.current - state.group.min;
    for (const std::string& name : state.nodes) nodes.push_back({name, state.group.name});
  }
  return empty_nodes(world, nodes, std::move(spare), {options_.scale_down_threshold, options_.skip_system_pods, options_.skip_local_storage}, facts);
}

}  // namespace archway::scheduler
