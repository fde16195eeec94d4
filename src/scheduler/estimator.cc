#include "scheduler/estimator.h"

#include <algorithm>
#include <deque>
#include <map>
#include <unordered_map>

namespace archway::scheduler {

namespace {

constexpr std::string_view kSkew = "node(s) didn't match pod topology spread constraints";

bool is_daemon_pod(const Pod& pod) {
  const kube::OwnerReference* owner = pod.meta.controller();
  return owner && owner->kind == "DaemonSet";
}

bool uses_hostname_spread(const Pod& pod) {
  return std::any_of(pod.spec->spread.begin(), pod.spec->spread.end(), [](const kube::SpreadConstraint& each) { return each.topology_key == kHostnameLabel; });
}

bool requires_spread(const std::vector<kube::SpreadConstraint>& list) {
  return std::any_of(list.begin(), list.end(), [](const kube::SpreadConstraint& each) { return each.required; });
}

double share(const Pod& pod, const Node& node) {
  double score = 0;
  const kube::Resources &want = pod.requests.real, &have = node.allocatable;
  if (have.milli_cpu > 0) score += static_cast<double>(want.milli_cpu) / static_cast<double>(have.milli_cpu);
  if (have.memory > 0) score += static_cast<double>(want.memory) / static_cast<double>(have.memory);
  return score;
}

}  // namespace

std::vector<PodGroup> group_pods(const std::vector<const Pod*>& pods) {
  std::vector<const Pod*> sorted = pods;
  std::sort(sorted.begin(), sorted.end(), [](const Pod* a, const Pod* b) { return a->meta.key() < b->meta.key(); });
  std::vector<PodGroup> groups;
  std::map<std::string, std::vector<size_t>> by_controller;
  for (const Pod* pod : sorted) {
    const kube::OwnerReference* owner = pod->meta.controller();
    if (!owner || is_daemon_pod(*pod)) {
      groups.push_back({{pod}});
      continue;
    }
    std::vector<size_t>& own = by_controller[pod->meta.name_space + "/" + owner->kind + "/" + owner->name + "/" + owner->uid];
    auto same = [&](size_t at) {
      const Pod& sample = groups[at].sample();
      return sample.meta.labels == pod->meta.labels && (sample.spec == pod->spec || *sample.spec == *pod->spec);
    };
    auto found = std::find_if(own.begin(), own.end(), same);
    if (found != own.end()) {
      groups[*found].pods.push_back(pod);
      continue;
    }
    if (own.size() < kMaxGroupsPerController) own.push_back(groups.size());
    groups.push_back({{pod}});
  }
  return groups;
}

struct Packing::Fork {
  Fork(const Profile& the_profile, const Cluster& the_base, const Node& the_model, const std::vector<Pod>& the_companions, bool is_careful)
      : profile(the_profile), base(the_base), model(the_model), companions(the_companions), careful(is_careful) {}

  const Profile& profile;
  const Cluster& base;
  const Node& model;
  const std::vector<Pod>& companions;
  bool careful;
  size_t last_index = 0;  // where the next search begins, counted over the cluster's nodes and the new ones
  std::vector<size_t> placed_on;

  // Quick: new nodes on their own.
  std::deque<Node> new_nodes;
  std::deque<NodeState> new_states;
  // Careful: everything in one cluster, made anew with each node.
  std::vector<Node> all_nodes;
  std::unique_ptr<Cluster> cluster;
  struct Placement {
    const Pod* pod;
    uint32_t node;
  };
  std::vector<Placement> placements;

  // Pods of one group share what the pre-filters found out. In careful mode it is kept up to date, and lost with each new node.
  std::unordered_map<const Pod*, std::unique_ptr<Cycle>> cycles;  // by the group's sample
  std::unordered_map<const Pod*, const Pod*> sample_of;

  Cycle& cycle_for(const Pod& pod) {
    auto known = sample_of.find(&pod);
    const Pod& sample = known == sample_of.end() ? pod : *known->second;
    std::unique_ptr<Cycle>& cycle = cycles[&sample];
    if (!cycle) cycle = std::make_unique<Cycle>(profile, careful ? *cluster : base, sample);
    return *cycle;
  }

  Node fresh(size_t number) const {
    Node node = model;
    node.meta.name = model.name() + "-e-" + std::to_string(number);
    node.meta.labels.set(kHostnameLabel, node.meta.name);
    return node;
  }

  void rebuild() {
    cluster = std::make_unique<Cluster>(all_nodes, base.objects());
    cycles.clear();
    for (const NodeState& state : base.nodes()) {
      for (const Pod* pod : state.pods) cluster->bind(*pod, state.index);
    }
    for (size_t i = base.nodes().size(); i < all_nodes.size(); ++i) {
      for (const Pod& pod : companions) cluster->bind(pod, static_cast<uint32_t>(i));
    }
    for (const Placement& each : placements) cluster->bind(*each.pod, each.node);
  }

  const NodeState& state(size_t number) const { return careful ? cluster->nodes()[base.nodes().size() + number] : new_states[number]; }

  void put_careful(const Pod& pod, uint32_t index) {
    cluster->bind(pod, index);
    placements.push_back({&pod, index});
    for (auto& [sample, cycle] : cycles) cycle->add(pod, cluster->nodes()[index]);
  }

  void put(const Pod& pod, size_t number) {
    ++placed_on[number];
    if (careful) return put_careful(pod, static_cast<uint32_t>(base.nodes().size() + number));
    new_states[number].add(pod);
  }

  std::optional<Refusal> refusal(const Pod& pod, const NodeState& node) {
    const Cycle& cycle = cycle_for(pod);
    return cycle.pre_filter() ? cycle.pre_filter() : cycle.filter(node);
  }
};

Packing::Packing(const Profile& profile, const Cluster& cluster, const Node& model, const std::vector<Pod>& companions, bool careful)
    : fork_(std::make_unique<Fork>(profile, cluster, model, companions, careful)) {
  if (!careful) return;
  fork_->all_nodes.reserve(cluster.nodes().size() + 16);
  for (const NodeState& state : cluster.nodes()) fork_->all_nodes.push_back(*state.node);
  fork_->rebuild();
}

Packing::~Packing() = default;

size_t Packing::node_count() const { return fork_->placed_on.size(); }
size_t Packing::pods_on(size_t node) const { return fork_->placed_on[node]; }
const NodeState& Packing::state(size_t node) const { return fork_->state(node); }

void Packing::alike(const PodGroup& group) {
  for (const Pod* pod : group.pods) fork_->sample_of[pod] = &group.sample();
}

size_t Packing::add_node() {
  Fork& fork = *fork_;
  size_t number = fork.placed_on.size();
  fork.placed_on.push_back(0);
  if (fork.careful) {
    fork.all_nodes.push_back(fork.fresh(number));
    fork.rebuild();
    return number;
  }
  fork.new_nodes.push_back(fork.fresh(number));
  NodeState state;
  state.node = &fork.new_nodes.back();
  state.index = static_cast<uint32_t>(fork.base.nodes().size() + number);
  for (const Pod& pod : fork.companions) state.add(pod);
  fork.new_states.push_back(std::move(state));
  return number;
}

std::optional<Refusal> Packing::check(const Pod& pod, size_t node) { return fork_->refusal(pod, fork_->state(node)); }

std::optional<Refusal> Packing::try_place(const Pod& pod, size_t node) {
  auto refusal = fork_->refusal(pod, fork_->state(node));
  if (!refusal) fork_->put(pod, node);
  return refusal;
}

std::optional<size_t> Packing::place_on_any(const Pod& pod) {
  Fork& fork = *fork_;
  size_t count = fork.placed_on.size(), old = fork.base.nodes().size();
  if (count == 0) return std::nullopt;
  size_t begin = fork.last_index > old ? (fork.last_index - old) % count : 0;
  for (size_t i = 0; i < count; ++i) {
    size_t number = (begin + i) % count;
    if (fork.refusal(pod, fork.state(number))) continue;
    fork.put(pod, number);
    fork.last_index = (old + number + 1) % (old + count);
    return number;
  }
  return std::nullopt;
}

bool Packing::place_elsewhere(const Pod& pod, size_t except) {
  Fork& fork = *fork_;
  if (!fork.careful) return false;
  size_t old = fork.base.nodes().size(), total = fork.all_nodes.size();
  for (size_t i = 0; i < total; ++i) {
    size_t index = (fork.last_index + i) % total;
    const NodeState& state = fork.cluster->nodes()[index];
    if (index == old + except || state.node->unschedulable || fork.refusal(pod, state)) continue;
    fork.last_index = (index + 1) % total;
    if (index >= old) {
      fork.put(pod, index - old);
    } else {
      fork.put_careful(pod, static_cast<uint32_t>(index));
    }
    return true;
  }
  return false;
}

bool Packing::needs_care(const Profile& profile, const Cluster& cluster, const std::vector<PodGroup>& groups) {
  for (const PodGroup& group : groups) {
    const kube::PodSpec& spec = *group.sample().spec;
    if (requires_spread(spec.spread) || (spec.spread.empty() && requires_spread(profile.default_spread))) return true;
    if (!spec.affinity.required.empty() || !spec.anti_affinity.required.empty() || !spec.volumes.empty()) return true;
  }
  for (const NodeState& state : cluster.nodes()) {
    for (const Pod* pod : state.pods) {
      if (!pod->spec->anti_affinity.required.empty()) return true;
    }
  }
  return false;
}

namespace {

// One run of the estimator over pods that all fit an empty node.
class Estimator {
 public:
  Estimator(Packing& packing, int64_t most_nodes) : packing_(packing), most_nodes_(most_nodes) {}

  void run(const PodGroup& group) {
    packing_.alike(group);
    size_t at = 0;
    while (at < group.pods.size() && packing_.place_on_any(*group.pods[at])) placed(*group.pods[at++]);
    if (may_add_) add_nodes_for(group, at);
  }

  Estimate result() && {
    for (size_t node = 0; node < packing_.node_count(); ++node) estimate_.nodes += packing_.pods_on(node) > 0;
    return std::move(estimate_);
  }

 private:
  void placed(const Pod& pod) { estimate_.pods.push_back(&pod); }

  bool place_on_last(const Pod& pod) {
    if (!last_) return false;
    auto refusal = packing_.try_place(pod, *last_);
    if (!refusal) return true;
    bool skewed = std::find(refusal->reasons.begin(), refusal->reasons.end(), kSkew) != refusal->reasons.end();
    return skewed && uses_hostname_spread(pod) && packing_.place_elsewhere(pod, *last_);
  }

  void add_nodes_for(const PodGroup& group, size_t at) {
    for (; at < group.pods.size(); ++at) {
      const Pod& pod = *group.pods[at];
      if (place_on_last(pod)) {
        placed(pod);
        continue;
      }
      // What an empty node refuses, another empty one would refuse too.
      if (last_ && packing_.pods_on(*last_) == 0) return;
      if (static_cast<int64_t>(packing_.node_count()) >= most_nodes_) {
        may_add_ = false;
        estimate_.limited = true;
        return;
      }
      last_ = packing_.add_node();
      if (packing_.try_place(pod, *last_)) return;
      placed(pod);
    }
  }

  Packing& packing_;
  int64_t most_nodes_;
  bool may_add_ = true;
  std::optional<size_t> last_;
  Estimate estimate_;
};

}  // namespace

Estimate estimate(const Profile& profile, const Cluster& cluster, const NodeTemplate& node, const std::vector<Pod>& companions,
                  std::vector<PodGroup> groups, int64_t most_nodes) {
  std::stable_sort(groups.begin(), groups.end(), [&](const PodGroup& a, const PodGroup& b) {
    double first = share(a.sample(), node.node), second = share(b.sample(), node.node);
    if (first > second || second > first) return first > second;
    return a.sample().meta.key() < b.sample().meta.key();
  });
  Packing packing(profile, cluster, node.node, companions, Packing::needs_care(profile, cluster, groups));
  Estimator estimator(packing, most_nodes);
  for (const PodGroup& group : groups) estimator.run(group);
  return std::move(estimator).result();
}

}  // namespace archway::scheduler
