#include "scheduler/pod_affinity.h"

#include <algorithm>
#include <limits>

namespace archway::scheduler {

namespace {

using kube::PodAffinityTerm;

const Labels kNoLabels;

bool matches_all(const std::vector<PodAffinityTerm>& terms, const Pod& pod) {
  if (terms.empty()) return false;
  return std::all_of(terms.begin(), terms.end(), [&](const PodAffinityTerm& term) { return term_matches(term, pod, kNoLabels); });
}

Refusal refuse(Verdict verdict, std::string reason) { return {Plugin::InterPodAffinity, verdict, {std::move(reason)}}; }

// Points per topology label and value. A pair may stand at zero: that it stands at all keeps the plugin from silence.
using TopologyScores = std::map<std::string, std::map<std::string, int64_t, std::less<>>, std::less<>>;

void score_term(TopologyScores& scores, const PodAffinityTerm& term, int64_t weight, const Pod& pod, const Labels& namespace_labels, const Node& node) {
  if (!term_matches(term, pod, namespace_labels)) return;
  const std::string* value = node.meta.labels.find(term.topology_key);
  if (value) scores[term.topology_key][*value] += weight;
}

struct IncomingTerms {
  std::vector<PodAffinityTerm> affinity, anti_affinity;
};

void score_existing(TopologyScores& scores, const Profile& profile, const Pod& pod, const IncomingTerms& incoming, const Labels& namespace_labels,
                    const Pod& existing, const Node& node) {
  for (const PodAffinityTerm& term : incoming.affinity) score_term(scores, term, term.weight, existing, kNoLabels, node);
  for (const PodAffinityTerm& term : incoming.anti_affinity) score_term(scores, term, -term.weight, existing, kNoLabels, node);
  // What the pods already there would like of the new one. Their hard wishes count a little, too.
  if (profile.hard_pod_affinity_weight > 0) {
    for (const PodAffinityTerm& term : existing.spec->affinity.required) {
      score_term(scores, term, profile.hard_pod_affinity_weight, pod, namespace_labels, node);
    }
  }
  for (const PodAffinityTerm& term : existing.spec->affinity.preferred) score_term(scores, term, term.weight, pod, namespace_labels, node);
  for (const PodAffinityTerm& term : existing.spec->anti_affinity.preferred) score_term(scores, term, -term.weight, pod, namespace_labels, node);
}

TopologyScores collect_scores(const Profile& profile, const Cluster& cluster, const Pod& pod) {
  TopologyScores scores;
  IncomingTerms incoming{resolve_namespaces(pod.spec->affinity.preferred, cluster.objects()),
                         resolve_namespaces(pod.spec->anti_affinity.preferred, cluster.objects())};
  bool has_wishes = !incoming.affinity.empty() || !incoming.anti_affinity.empty();
  if (profile.ignore_preferred_terms_of_existing_pods && !has_wishes) return scores;
  const Labels& namespace_labels = cluster.namespace_labels(pod.meta.name_space);
  for (const NodeState& node : cluster.nodes()) {
    if (!has_wishes && node.with_affinity == 0) continue;
    for (const Pod* existing : node.pods) {
      if (!has_wishes && !existing->spec->has_pod_affinity()) continue;
      score_existing(scores, profile, pod, incoming, namespace_labels, *existing, *node.node);
    }
  }
  return scores;
}

}  // namespace

void TopologyCounts::add(const Node& node, const std::string& key, int64_t count) {
  const std::string* value = node.meta.labels.find(key);
  if (!value) return;
  auto at = counts_.try_emplace({key, *value}, 0).first;
  at->second += count;
  if (at->second == 0) counts_.erase(at);
}

int64_t TopologyCounts::at(const std::string& key, const std::string& value) const {
  auto found = counts_.find({key, value});
  return found == counts_.end() ? 0 : found->second;
}

bool term_matches(const PodAffinityTerm& term, const Pod& pod, const Labels& namespace_labels) {
  bool in_namespace = std::binary_search(term.namespaces.begin(), term.namespaces.end(), pod.meta.name_space) ||
                      term.namespace_selector.matches(namespace_labels);
  return in_namespace && term.selector.matches(pod.meta.labels);
}

// The selector stays beside the names, as in kube-scheduler: matched against no labels, one of NotIn or
// DoesNotExist alone takes in every namespace.
std::vector<PodAffinityTerm> resolve_namespaces(const std::vector<PodAffinityTerm>& terms, const ClusterObjects& objects) {
  std::vector<PodAffinityTerm> resolved = terms;
  for (PodAffinityTerm& term : resolved) {
    if (term.namespace_selector.empty() || term.namespace_selector.is_nothing()) continue;
    for (const auto& [name, labels] : objects.namespaces) {
      if (term.namespace_selector.matches(labels)) term.namespaces.push_back(name);
    }
    std::sort(term.namespaces.begin(), term.namespaces.end());
  }
  return resolved;
}

AffinityFilter::AffinityFilter(const Cluster& cluster, const Pod& pod) : pod_(&pod) {
  namespace_labels_ = &cluster.namespace_labels(pod.meta.name_space);
  affinity_ = resolve_namespaces(pod.spec->affinity.required, cluster.objects());
  anti_affinity_ = resolve_namespaces(pod.spec->anti_affinity.required, cluster.objects());
  bool own_terms = !affinity_.empty() || !anti_affinity_.empty();
  for (const NodeState& node : cluster.nodes()) {
    if (!own_terms && node.with_required_anti_affinity == 0) continue;
    for (const Pod* existing : node.pods) {
      if (own_terms || !existing->spec->anti_affinity.required.empty()) update(*existing, node, 1);
    }
  }
  active_ = own_terms || !existing_anti_affinity_counts_.empty();
}

void AffinityFilter::update(const Pod& other, const NodeState& node, int64_t delta) {
  for (const PodAffinityTerm& term : other.spec->anti_affinity.required) {
    if (term_matches(term, *pod_, *namespace_labels_)) existing_anti_affinity_counts_.add(*node.node, term.topology_key, delta);
  }
  // Only a pod that meets all terms at once counts, and then for each of them.
  if (matches_all(affinity_, other)) {
    for (const PodAffinityTerm& term : affinity_) affinity_counts_.add(*node.node, term.topology_key, delta);
  }
  for (const PodAffinityTerm& term : anti_affinity_) {
    if (term_matches(term, other, kNoLabels)) anti_affinity_counts_.add(*node.node, term.topology_key, delta);
  }
}

bool AffinityFilter::affinity_holds(const NodeState& node) const {
  bool company = true;
  for (const PodAffinityTerm& term : affinity_) {
    const std::string* value = node.node->meta.labels.find(term.topology_key);
    if (!value) return false;
    company = company && affinity_counts_.at(term.topology_key, *value) > 0;
  }
  // The first of a group that wants to be together finds nobody, and may start the group anywhere.
  return company || (affinity_counts_.empty() && matches_all(affinity_, *pod_));
}

std::optional<Refusal> AffinityFilter::check(const NodeState& node) const {
  if (!affinity_holds(node)) return refuse(Verdict::UnschedulableAndUnresolvable, "node(s) didn't match pod affinity rules");
  for (const PodAffinityTerm& term : anti_affinity_) {
    const std::string* value = node.node->meta.labels.find(term.topology_key);
    if (value && anti_affinity_counts_.at(term.topology_key, *value) > 0) {
      return refuse(Verdict::Unschedulable, "node(s) didn't match pod anti-affinity rules");
    }
  }
  for (const auto& [pair, count] : existing_anti_affinity_counts_.all()) {
    const std::string* value = node.node->meta.labels.find(pair.first);
    if (count > 0 && value && *value == pair.second) {
      return refuse(Verdict::Unschedulable, "node(s) didn't satisfy existing pods anti-affinity rules");
    }
  }
  return std::nullopt;
}

std::optional<std::vector<int64_t>> affinity_scores(const Profile& profile, const Cluster& cluster, const Pod& pod,
                                                    const std::vector<const NodeState*>& feasible) {
  TopologyScores by_topology = collect_scores(profile, cluster, pod);
  if (by_topology.empty()) return std::nullopt;
  std::vector<int64_t> scores(feasible.size(), 0);
  int64_t least = std::numeric_limits<int64_t>::max(), most = std::numeric_limits<int64_t>::min();
  for (size_t i = 0; i < feasible.size(); ++i) {
    for (const auto& [key, values] : by_topology) {
      const std::string* value = feasible[i]->node->meta.labels.find(key);
      auto at = value ? values.find(*value) : values.end();
      if (at != values.end()) scores[i] += at->second;
    }
    least = std::min(least, scores[i]);
    most = std::max(most, scores[i]);
  }
  for (int64_t& score : scores) {
    double share = most > least ? static_cast<double>(kMaxNodeScore) * (static_cast<double>(score - least) / static_cast<double>(most - least)) : 0;
    score = static_cast<int64_t>(share);
  }
  return scores;
}

}  // namespace archway::scheduler
