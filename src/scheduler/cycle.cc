#include "scheduler/cycle.h"

#include <algorithm>

#include "scheduler/image_locality.h"
#include "scheduler/node_resources.h"

namespace archway::scheduler {

const kube::Taint kUnschedulableTaint{"node.kubernetes.io/unschedulable", "", std::string(kube::kNoSchedule)};

namespace {

constexpr std::string_view kAnyAddress = "0.0.0.0";

Refusal refuse(Plugin plugin, Verdict verdict, std::string reason) { return {plugin, verdict, {std::move(reason)}}; }
Refusal unresolvable(Plugin plugin, std::string reason) { return refuse(plugin, Verdict::UnschedulableAndUnresolvable, std::move(reason)); }

// To 0..100 by the largest; reversed where many is bad.
void normalize(std::vector<int64_t>& scores, bool reverse) {
  int64_t most = 0;
  for (int64_t score : scores) most = std::max(most, score);
  for (int64_t& score : scores) {
    if (most == 0) {
      score = reverse ? kMaxNodeScore : score;
    } else {
      score = kMaxNodeScore * score / most;
      if (reverse) score = kMaxNodeScore - score;
    }
  }
}

using Scores = std::optional<std::vector<int64_t>>;

Scores taint_scores(const Pod& pod, const std::vector<const NodeState*>& feasible) {
  std::vector<int64_t> scores;
  for (const NodeState* node : feasible) {
    scores.push_back(std::count_if(node->node->taints.begin(), node->node->taints.end(), [&](const kube::Taint& taint) {
      return taint.effect == kube::kPreferNoSchedule && !kube::tolerated(taint, pod.spec->tolerations);
    }));
  }
  normalize(scores, true);
  return scores;
}

Scores node_affinity_scores(const Pod& pod, const std::vector<const NodeState*>& feasible) {
  const auto& preferred = pod.spec->node_affinity.preferred;
  if (preferred.empty()) return std::nullopt;
  std::vector<int64_t> scores;
  for (const NodeState* node : feasible) scores.push_back(preference_score(preferred, node->node->name(), node->node->meta.labels));
  normalize(scores, false);
  return scores;
}

Scores each_node(const std::vector<const NodeState*>& feasible, const auto& score) {
  std::vector<int64_t> scores;
  for (const NodeState* node : feasible) scores.push_back(score(*node));
  return scores;
}

Scores plugin_scores(Plugin plugin, const Cycle& cycle, const std::vector<const NodeState*>& feasible) {
  const Profile& profile = cycle.profile();
  const Cluster& cluster = cycle.cluster();
  const Pod& pod = cycle.pod();
  switch (plugin) {
    case Plugin::TaintToleration: return taint_scores(pod, feasible);
    case Plugin::NodeAffinity: return node_affinity_scores(pod, feasible);
    case Plugin::NodeResourcesFit: return each_node(feasible, [&](const NodeState& node) { return fit_score(profile, pod, node); });
    case Plugin::NodeResourcesBalancedAllocation:
      if (balances_nothing(profile, pod)) return std::nullopt;
      return each_node(feasible, [&](const NodeState& node) { return balanced_score(profile, pod, node); });
    case Plugin::ImageLocality: return each_node(feasible, [&](const NodeState& node) { return image_score(cluster, pod, node); });
    case Plugin::PodTopologySpread: return spread_scores(profile, cluster, pod, feasible);
    case Plugin::InterPodAffinity: return affinity_scores(profile, cluster, pod, feasible);
    default: return std::nullopt;
  }
}

}  // namespace

bool ports_conflict(const std::vector<kube::HostPort>& wanted, const std::vector<kube::HostPort>& used) {
  for (const kube::HostPort& own : wanted) {
    for (const kube::HostPort& other : used) {
      if (own.port != other.port || own.protocol != other.protocol) continue;
      if (own.ip == other.ip || own.ip == kAnyAddress || other.ip == kAnyAddress) return true;
    }
  }
  return false;
}

Cycle::Cycle(const Profile& profile, const Cluster& cluster, const Pod& pod) : profile_(&profile), cluster_(&cluster), pod_(&pod) {
  pre_filter_ = run_pre_filters();
}

std::optional<Refusal> Cycle::run_pre_filters() {
  const kube::PodSpec& spec = *pod_->spec;
  if (!spec.scheduling_gates.empty()) return Refusal{Plugin::SchedulingGates, Verdict::Gated, {}};
  if (profile_->filters_with(Plugin::NodeAffinity)) {
    named_nodes_ = kube::named_nodes(spec.node_affinity);
    if (named_nodes_ && named_nodes_->empty()) return unresolvable(Plugin::NodeAffinity, "pod affinity terms conflict");
  }
  ports_ = spec.host_ports();
  if (profile_->filters_with(Plugin::VolumeBinding) && !spec.volumes.empty()) {
    volumes_.emplace(*cluster_, *pod_);
    if (volumes_->pre_filter()) return volumes_->pre_filter();
  }
  if (profile_->filters_with(Plugin::PodTopologySpread)) {
    spread_.emplace(*profile_, *cluster_, *pod_);
    if (!spread_->active()) spread_.reset();
  }
  if (profile_->filters_with(Plugin::InterPodAffinity)) {
    affinity_.emplace(*cluster_, *pod_);
    if (!affinity_->active()) affinity_.reset();
  }
  return std::nullopt;
}

void Cycle::add(const Pod& other, const NodeState& node) {
  if (volumes_) volumes_->add(other);
  if (spread_) spread_->add(other, node);
  if (affinity_) affinity_->add(other, node);
}

void Cycle::remove(const Pod& other, const NodeState& node) {
  if (volumes_) volumes_->remove(other);
  if (spread_) spread_->remove(other, node);
  if (affinity_) affinity_->remove(other, node);
}

std::optional<Refusal> Cycle::filter(const NodeState& state) const {
  const kube::PodSpec& spec = *pod_->spec;
  const Node& node = *state.node;
  if (named_nodes_ && !named_nodes_->contains(node.name())) {
    return unresolvable(Plugin::NodeAffinity, "node(s) didn't satisfy plugin(s) [NodeAffinity]");
  }
  if (profile_->filters_with(Plugin::NodeUnschedulable) && node.unschedulable && !kube::tolerated(kUnschedulableTaint, spec.tolerations)) {
    return unresolvable(Plugin::NodeUnschedulable, "node(s) were unschedulable");
  }
  if (profile_->filters_with(Plugin::NodeName) && !pod_->node_name.empty() && pod_->node_name != node.name()) {
    return unresolvable(Plugin::NodeName, "node(s) didn't match the requested node name");
  }
  if (profile_->filters_with(Plugin::TaintToleration)) {
    const kube::Taint* taint = kube::first_untolerated(node.taints, spec.tolerations);
    if (taint) return unresolvable(Plugin::TaintToleration, "node(s) had untolerated taint {" + taint->key + ": " + taint->value + "}");
  }
  if (profile_->filters_with(Plugin::NodeAffinity) &&
      !node_affinity_matches(spec.node_selector, spec.node_affinity, node.name(), node.meta.labels)) {
    return unresolvable(Plugin::NodeAffinity, "node(s) didn't match Pod's node affinity/selector");
  }
  if (profile_->filters_with(Plugin::NodePorts) && ports_conflict(ports_, state.ports)) {
    return refuse(Plugin::NodePorts, Verdict::Unschedulable, "node(s) didn't have free ports for the requested pod ports");
  }
  if (profile_->filters_with(Plugin::NodeResourcesFit)) {
    if (auto refusal = fit_refusal(*pod_, state)) return refusal;
  }
  if (volumes_) {
    if (auto refusal = volumes_->check(state)) return refusal;
  }
  if (spread_) {
    if (auto refusal = spread_->check(state)) return refusal;
  }
  return affinity_ ? affinity_->check(state) : std::nullopt;
}

std::optional<Refusal> Cycle::filter_with_nominated(const NodeState& node) const {
  std::vector<const Pod*> promised;
  for (const Pod* other : cluster_->nominated(node.index)) {
    if (other != pod_ && other->priority() >= pod_->priority()) promised.push_back(other);
  }
  if (!promised.empty()) {
    NodeState crowded = node;
    Cycle with = *this;
    for (const Pod* other : promised) {
      crowded.add(*other);
      with.add(*other, crowded);
    }
    if (auto refusal = with.filter(crowded)) return refusal;
  }
  // Affinity to a promised pod must not be what makes the node fit: it may never come.
  return filter(node);
}

void score_nodes(const Cycle& cycle, const std::vector<const NodeState*>& feasible, Decision& decision) {
  for (size_t slot = 0; slot < kScorers.size(); ++slot) {
    int64_t weight = cycle.profile().weight(kScorers[slot]);
    if (weight == 0) continue;
    Scores scores = plugin_scores(kScorers[slot], cycle, feasible);
    if (!scores) continue;
    decision.scorers[slot] = true;
    for (size_t i = 0; i < feasible.size(); ++i) {
      NodeAnswer& answer = decision.nodes[feasible[i]->index];
      answer.scores[slot] = (*scores)[i] * weight;
      answer.total += answer.scores[slot];
    }
  }
}

Decision decide(const Profile& profile, const Cluster& cluster, const Pod& pod) { return decide(Cycle(profile, cluster, pod)); }

Decision decide(const Cycle& cycle, NodeSample* sample) {
  Decision decision;
  decision.pre_filter = cycle.pre_filter();
  if (decision.pre_filter) return decision;
  const std::vector<NodeState>& nodes = cycle.cluster().nodes();
  decision.nodes.resize(nodes.size());
  std::vector<const NodeState*> feasible;
  auto fits = [&](uint32_t node) {
    decision.nodes[node].refusal = cycle.filter_with_nominated(nodes[node]);
    return !decision.nodes[node].refusal;
  };
  auto named = sample ? kube::named_nodes(cycle.pod().spec->node_affinity) : std::nullopt;
  if (sample && !(named && cycle.profile().filters_with(Plugin::NodeAffinity))) {
    sample->search(fits, [&](uint32_t node) { feasible.push_back(&nodes[node]); });
    // In no order that the search has to do with.
    std::sort(feasible.begin(), feasible.end(), [](const NodeState* a, const NodeState* b) { return a->index < b->index; });
  } else {
    for (const NodeState& node : nodes) {
      if (fits(node.index)) feasible.push_back(&node);
    }
    if (sample && !feasible.empty()) sample->searched(static_cast<size_t>(std::count_if(named->begin(), named->end(), [&](const std::string& name) { return cycle.cluster().find_node(name); })));
  }
  if (feasible.empty()) return decision;
  score_nodes(cycle, feasible, decision);
  int64_t most = 0;
  for (const NodeState* node : feasible) most = std::max(most, decision.nodes[node->index].total);
  for (const NodeState* node : feasible) {
    if (decision.nodes[node->index].total == most) decision.best.push_back(node->index);
  }
  std::sort(decision.best.begin(), decision.best.end(), [&](uint32_t a, uint32_t b) { return nodes[a].node->name() < nodes[b].node->name(); });
  decision.chosen = decision.best.front();
  return decision;
}

}  // namespace archway::scheduler
