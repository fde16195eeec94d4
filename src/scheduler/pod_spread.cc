#include "scheduler/pod_spread.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "scheduler/logarithm.h"

namespace archway::scheduler {

namespace {

using kube::Selector;
using kube::SpreadConstraint;

// Pods on their way out are not counted. An empty selector, which matches all, counts none.
int64_t count_matching(const NodeState& node, const Selector& selector, const std::string& name_space) {
  if (selector.empty()) return 0;
  int64_t count = 0;
  for (const Pod* pod : node.pods) {
    if (pod->terminating() || pod->meta.name_space != name_space) continue;
    count += selector.matches(pod->meta.labels);
  }
  return count;
}

bool include_node(const SpreadConstraint& constraint, const Pod& pod, const Node& node) {
  const kube::PodSpec& spec = *pod.spec;
  if (constraint.honor_affinity && !node_affinity_matches(spec.node_selector, spec.node_affinity, node.name(), node.meta.labels)) return false;
  return !constraint.honor_taints || !kube::first_untolerated(node.taints, spec.tolerations);
}

bool has_labels(const std::vector<SpreadConstraint>& constraints, const Node& node) {
  return std::all_of(constraints.begin(), constraints.end(), [&](const SpreadConstraint& each) { return node.meta.labels.find(each.topology_key); });
}

Refusal refuse(Verdict verdict, std::string reason) { return {Plugin::PodTopologySpread, verdict, {std::move(reason)}}; }

// Pods per domain of a preferred constraint among the feasible nodes; host names are counted per node instead.
struct ScoredConstraint {
  const SpreadConstraint* rule;
  std::map<std::string, int64_t, std::less<>> pods;
  double weight = 0;  // larger for more domains, so that small topologies are not drowned
  bool by_node() const { return rule->topology_key == kHostnameLabel; }
};

std::string_view domain(const Node& node, const SpreadConstraint& rule) {
  const std::string* value = node.meta.labels.find(rule.topology_key);
  return value ? std::string_view(*value) : std::string_view();
}

std::vector<ScoredConstraint> count_domains(const SpreadConstraints& constraints, const Cluster& cluster, const Pod& pod,
                                            const std::vector<const NodeState*>& feasible, const std::vector<bool>& ignored) {
  std::vector<ScoredConstraint> scored;
  size_t counted_nodes = static_cast<size_t>(std::count(ignored.begin(), ignored.end(), false));
  for (const SpreadConstraint& rule : constraints.list) {
    ScoredConstraint each{&rule, {}, 0};
    if (!each.by_node()) {
      for (size_t i = 0; i < feasible.size(); ++i) {
        if (!ignored[i]) each.pods.try_emplace(std::string(domain(*feasible[i]->node, rule)), 0);
      }
    }
    size_t size = each.by_node() ? counted_nodes : each.pods.size();
    each.weight = portable_log(static_cast<double>(size + 2));
    scored.push_back(std::move(each));
  }
  for (const NodeState& node : cluster.nodes()) {
    if (constraints.require_all_labels && !has_labels(constraints.list, *node.node)) continue;
    for (ScoredConstraint& each : scored) {
      if (each.by_node() || !include_node(*each.rule, pod, *node.node)) continue;
      auto at = each.pods.find(domain(*node.node, *each.rule));
      if (at != each.pods.end()) at->second += count_matching(node, each.rule->selector, pod.meta.name_space);
    }
  }
  return scored;
}

int64_t raw_score(const std::vector<ScoredConstraint>& scored, const NodeState& node, const std::string& name_space) {
  double score = 0;
  for (const ScoredConstraint& each : scored) {
    const std::string* value = node.node->meta.labels.find(each.rule->topology_key);
    if (!value) continue;
    int64_t pods = each.by_node() ? count_matching(node, each.rule->selector, name_space) : each.pods.find(*value)->second;
    // maxSkew - 1 waters differences down that the constraint tolerates anyway.
    score += static_cast<double>(pods) * each.weight + static_cast<double>(each.rule->max_skew - 1);
  }
  return static_cast<int64_t>(std::round(score));
}

}  // namespace

Selector owner_selector(const ClusterObjects& objects, const Pod& pod) {
  Labels labels;
  auto services = objects.services.find(pod.meta.name_space);
  if (services != objects.services.end()) {
    for (const kube::Service& service : services->second) {
      if (!service.selector || !Selector::from_labels(*service.selector).matches(pod.meta.labels)) continue;
      for (const auto& [key, value] : *service.selector) labels.set(key, value);
    }
  }
  Selector selector = Selector::from_labels(labels);
  const kube::OwnerReference* owner = pod.meta.controller();
  if (!owner) return selector;
  std::string_view version = owner->kind == "ReplicationController" ? "v1" : "apps/v1";
  if (owner->api_version != version) return selector;
  auto found = objects.owner_selectors.find(owner->kind + " " + pod.meta.name_space + "/" + owner->name);
  if (found == objects.owner_selectors.end() || found->second.is_nothing()) return selector;
  for (const kube::Requirement& each : found->second.requirements()) selector.add(each);
  return selector;
}

SpreadConstraints spread_constraints(const Profile& profile, const Cluster& cluster, const Pod& pod, SpreadKind kind) {
  SpreadConstraints result;
  bool own = !pod.spec->spread.empty();
  result.require_all_labels = own || !profile.system_default_spread;
  for (const SpreadConstraint& each : own ? pod.spec->spread : profile.default_spread) {
    if (each.required == (kind == SpreadKind::Required)) result.list.push_back(each);
  }
  if (own || result.list.empty()) return result;
  Selector selector = owner_selector(cluster.objects(), pod);
  if (selector.empty()) result.list.clear();
  for (SpreadConstraint& each : result.list) each.selector = selector;
  return result;
}

SpreadFilter::SpreadFilter(const Profile& profile, const Cluster& cluster, const Pod& pod) : pod_(&pod) {
  constraints_ = spread_constraints(profile, cluster, pod, SpreadKind::Required).list;
  counts_.resize(constraints_.size());
  if (constraints_.empty()) return;
  for (const NodeState& node : cluster.nodes()) {
    if (!has_all_labels(node)) continue;
    for (size_t i = 0; i < constraints_.size(); ++i) {
      if (!includes(constraints_[i], node)) continue;
      counts_[i][std::string(domain(*node.node, constraints_[i]))] += count_matching(node, constraints_[i].selector, pod.meta.name_space);
    }
  }
}

bool SpreadFilter::has_all_labels(const NodeState& node) const { return has_labels(constraints_, *node.node); }

bool SpreadFilter::includes(const SpreadConstraint& constraint, const NodeState& node) const { return include_node(constraint, *pod_, *node.node); }

// As kube-scheduler does it, unlike the first count: pods on their way out and empty selectors are not told apart.
void SpreadFilter::update(const Pod& other, const NodeState& node, int64_t delta) {
  if (constraints_.empty() || other.meta.name_space != pod_->meta.name_space || !has_all_labels(node)) return;
  for (size_t i = 0; i < constraints_.size(); ++i) {
    if (!constraints_[i].selector.matches(other.meta.labels) || !includes(constraints_[i], node)) continue;
    counts_[i][std::string(domain(*node.node, constraints_[i]))] += delta;
  }
}

std::optional<Refusal> SpreadFilter::check(const NodeState& node) const {
  for (size_t i = 0; i < constraints_.size(); ++i) {
    const SpreadConstraint& rule = constraints_[i];
    const std::string* value = node.node->meta.labels.find(rule.topology_key);
    if (!value) {
      return refuse(Verdict::UnschedulableAndUnresolvable, "node(s) didn't match pod topology spread constraints (missing required label)");
    }
    int64_t least = std::numeric_limits<int32_t>::max();
    for (const auto& [name, count] : counts_[i]) least = std::min(least, count);
    if (static_cast<int64_t>(counts_[i].size()) < rule.min_domains) least = 0;
    auto at = counts_[i].find(*value);
    int64_t here = at == counts_[i].end() ? 0 : at->second;
    int64_t self = rule.selector.matches(pod_->meta.labels) ? 1 : 0;
    if (here + self - least > rule.max_skew) {
      return refuse(Verdict::Unschedulable, "node(s) didn't match pod topology spread constraints");
    }
  }
  return std::nullopt;
}

std::optional<std::vector<int64_t>> spread_scores(const Profile& profile, const Cluster& cluster, const Pod& pod,
                                                  const std::vector<const NodeState*>& feasible) {
  SpreadConstraints constraints = spread_constraints(profile, cluster, pod, SpreadKind::Preferred);
  if (constraints.list.empty()) return std::nullopt;
  std::vector<bool> ignored(feasible.size());
  for (size_t i = 0; i < feasible.size(); ++i) {
    ignored[i] = constraints.require_all_labels && !has_labels(constraints.list, *feasible[i]->node);
  }
  std::vector<ScoredConstraint> scored = count_domains(constraints, cluster, pod, feasible, ignored);
  std::vector<int64_t> scores(feasible.size(), 0);
  int64_t least = std::numeric_limits<int64_t>::max(), most = 0;
  for (size_t i = 0; i < feasible.size(); ++i) {
    if (ignored[i]) continue;
    scores[i] = raw_score(scored, *feasible[i], pod.meta.name_space);
    least = std::min(least, scores[i]);
    most = std::max(most, scores[i]);
  }
  for (size_t i = 0; i < feasible.size(); ++i) {
    if (ignored[i]) continue;
    scores[i] = most == 0 ? kMaxNodeScore : kMaxNodeScore * (most + least - scores[i]) / most;
  }
  return scores;
}

}  // namespace archway::scheduler
