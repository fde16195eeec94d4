#include <algorithm>

#include "scheduler/node_resources.h"
#include "scheduler/quick_kind.h"

// Why no node takes a pod, from the counters that are there anyway.
namespace archway::scheduler {

namespace {

std::optional<Refusal> refuse(Plugin plugin, Verdict verdict, std::string reason) { return Refusal{plugin, verdict, {std::move(reason)}}; }

}  // namespace

// The filters that ask about the node alone, in order.
std::optional<Refusal> QuickEngine::static_refusal(const Kind& kind, const Node& node) const {
  const kube::PodSpec& spec = *kind.example->spec;
  constexpr Verdict kForGood = Verdict::UnschedulableAndUnresolvable;
  if (profile_->filters_with(Plugin::NodeUnschedulable) && node.unschedulable && !kube::tolerated(kUnschedulableTaint, spec.tolerations)) {
    return refuse(Plugin::NodeUnschedulable, kForGood, "node(s) were unschedulable");
  }
  if (profile_->filters_with(Plugin::TaintToleration)) {
    const kube::Taint* taint = kube::first_untolerated(node.taints, spec.tolerations);
    if (taint) return refuse(Plugin::TaintToleration, kForGood, "node(s) had untolerated taint {" + taint->key + ": " + taint->value + "}");
  }
  if (profile_->filters_with(Plugin::NodeAffinity) && !node_affinity_matches(spec.node_selector, spec.node_affinity, node.name(), node.meta.labels)) {
    return refuse(Plugin::NodeAffinity, kForGood, "node(s) didn't match Pod's node affinity/selector");
  }
  return std::nullopt;
}

std::optional<Refusal> QuickEngine::room_refusal(const Kind& kind, const NodeState& node) const {
  if (profile_->filters_with(Plugin::NodePorts) && ports_conflict(kind.shape->ports, node.ports)) {
    return refuse(Plugin::NodePorts, Verdict::Unschedulable, "node(s) didn't have free ports for the requested pod ports");
  }
  return profile_->filters_with(Plugin::NodeResourcesFit) ? fit_refusal(*kind.example, node) : std::nullopt;
}

// The filters that ask what else is in the node's domains.
std::optional<Refusal> QuickEngine::company_refusal(const Kind& kind, uint32_t position) const {
  uint32_t group = layout_.group_of[position];
  for (size_t i = 0; i < kind.required.size(); ++i) {
    const Spread& spread = kind.required[i];
    if (spread.topology->of_group[group] < 0) {
      return refuse(Plugin::PodTopologySpread, Verdict::UnschedulableAndUnresolvable, "node(s) didn't match pod topology spread constraints (missing required label)");
    }
    int64_t here = spread.counter ? spread.counter->at(position, group) : 0;
    if (here + spread.self - least_[i] > spread.max_skew) {
      return refuse(Plugin::PodTopologySpread, Verdict::Unschedulable, "node(s) didn't match pod topology spread constraints");
    }
  }
  bool company = true, alone = true, labelled = true;
  for (const Kind::Term& term : kind.affinity) {
    labelled = labelled && term.topology->of_group[group] >= 0;
    company = company && term.counter->at(position, group) > 0;
    alone = alone && term.counter->total() == 0;
  }
  if (!labelled || (!company && !(alone && kind.meets_own_terms))) {
    return refuse(Plugin::InterPodAffinity, Verdict::UnschedulableAndUnresolvable, "node(s) didn't match pod affinity rules");
  }
  for (const Kind::Term& term : kind.anti_affinity) {
    if (term.counter->at(position, group) > 0) return refuse(Plugin::InterPodAffinity, Verdict::Unschedulable, "node(s) didn't match pod anti-affinity rules");
  }
  for (const TopologyCounter* counter : refusing_) {
    if (counter->at(position, group) > 0) return refuse(Plugin::InterPodAffinity, Verdict::Unschedulable, "node(s) didn't satisfy existing pods anti-affinity rules");
  }
  return std::nullopt;
}

std::optional<Decision> QuickEngine::refusals(const Pod& pod) {
  if (find(pod) != Answer::Nowhere) return std::nullopt;
  const Kind& kind = *kinds_[kind_of(pod)];
  if (kind.has_volumes) return std::nullopt;
  Decision decision;
  decision.nodes.resize(layout_.size());
  std::vector<std::optional<Refusal>> of_group(layout_.groups.size());
  bool by_group = kind.rules && !kind.rules->by_position;
  for (uint32_t group = 0; group < layout_.groups.size() && by_group; ++group) of_group[group] = static_refusal(kind, layout_.example(group));
  for (uint32_t position = 0; position < layout_.size(); ++position) {
    const NodeState& node = cluster_->nodes()[layout_.node_at[position]];
    std::optional<Refusal>& refusal = decision.nodes[node.index].refusal;
    if (kind.pinned && std::find(kind.pinned->begin(), kind.pinned->end(), position) == kind.pinned->end()) {
      refusal = refuse(Plugin::NodeAffinity, Verdict::UnschedulableAndUnresolvable, "node(s) didn't satisfy plugin(s) [NodeAffinity]");
      continue;
    }
    refusal = by_group ? of_group[layout_.group_of[position]] : static_refusal(kind, *node.node);
    if (!refusal && kind.shape->points[position] == PodShape::kNoRoom) refusal = room_refusal(kind, node);
    if (!refusal) refusal = company_refusal(kind, position);
    if (!refusal) return std::nullopt;
  }
  return decision;
}

}  // namespace archway::scheduler
