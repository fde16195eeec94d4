#include "scheduler/quick_engine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "scheduler/image_locality.h"
#include "scheduler/logarithm.h"
#include "scheduler/node_resources.h"

namespace archway::scheduler {

// One spread constraint, with the pods it counts per node and per domain.
struct QuickEngine::Spread {
  kube::SpreadConstraint rule;
  bool by_node = false;              // over host names, and only scoring: counted per node
  std::vector<int32_t> domain;       // of each node; -1 where the label is missing
  std::vector<uint8_t> counted;      // nodes whose pods are part of the domain's sum
  std::vector<int32_t> on_node;      // matching pods
  std::vector<int64_t> in_domain;
  std::vector<uint8_t> is_counted;   // domains with a counted node
  std::vector<int8_t> matches;       // by kind: -1 not known yet
  int64_t domains = 0;               // that exist for a required constraint
  bool self = false;
};

// What one pod of another kind adds to this kind's counts, wherever it is.
struct QuickEngine::Relation {
  enum class Count : uint8_t { Score, Affinity, AntiAffinity, ExistingAntiAffinity };
  struct Part {
    uint32_t topology;
    Count count;
    int64_t weight;
  };
  bool known = false;
  std::vector<Part> parts;
};

struct QuickEngine::Kind {
  // Pods that matter to this kind by pod affinity, per value of a topology label.
  struct Topology {
    std::string key;
    const Domains* domains;
    std::array<std::vector<int64_t>, 4> counts;  // by Relation::Count
    std::array<bool, 4> used{};
  };
  uint32_t topology(const std::string& key, const Domains& domains) {
    for (uint32_t i = 0; i < topologies.size(); ++i) {
      if (topologies[i].key == key) return i;
    }
    topologies.push_back({key, &domains, {}, {}});
    for (auto& counts : topologies.back().counts) counts.resize(domains.count);
    return static_cast<uint32_t>(topologies.size() - 1);
  }
  const Pod* example = nullptr;
  bool prepared = false, plain = false;
  size_t seen = 0;  // of the log
  std::vector<uint8_t> allowed;   // by all that does not change
  std::vector<int32_t> taints, prefers, image;
  std::vector<uint8_t> fits;      // and has room now
  std::vector<int32_t> points;    // resources and image
  std::vector<Spread> required, preferred;
  bool require_all_labels = true;
  std::vector<Topology> topologies;
  std::vector<Relation> relations;  // by kind
  std::vector<kube::PodAffinityTerm> affinity, anti_affinity, likes, dislikes;  // its own terms, namespaces resolved
  bool meets_own_terms = false;
  int64_t company = 0;  // pods anywhere that meet all its affinity terms, once per term
};

namespace {

const kube::Taint kCordon{"node.kubernetes.io/unschedulable", "", std::string(kube::kNoSchedule)};

void mix(size_t& hash, size_t value) { hash ^= value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2); }

size_t hash_of(const Pod& pod) {
  std::hash<std::string> text;
  size_t hash = text(pod.meta.name_space);
  for (const auto& [key, value] : pod.meta.labels) mix(hash, text(key) * 31 + text(value));
  for (const kube::Container& each : pod.spec->containers) mix(hash, text(each.image));
  for (const auto& [key, value] : pod.spec->node_selector) mix(hash, text(key) * 31 + text(value));
  mix(hash, static_cast<size_t>(pod.requests.real.milli_cpu * 1000003 + pod.requests.real.memory));
  mix(hash, pod.spec->tolerations.size() * 64 + pod.spec->spread.size() * 8 + pod.spec->node_affinity.preferred.size());
  const kube::OwnerReference* owner = pod.meta.controller();
  if (owner) mix(hash, text(owner->name));
  return hash;
}

bool same_kind(const Pod& a, const Pod& b) {
  const kube::OwnerReference *first = a.meta.controller(), *second = b.meta.controller();
  bool same_owner = first && second ? first->kind == second->kind && first->name == second->name && first->api_version == second->api_version : first == second;
  return same_owner && a.meta.name_space == b.meta.name_space && a.meta.labels == b.meta.labels && a.requests == b.requests &&
         a.node_name == b.node_name && (a.spec == b.spec || *a.spec == *b.spec);
}

bool about_one_node(const std::vector<kube::NodeSelectorTerm>& terms) {
  return std::any_of(terms.begin(), terms.end(), [](const kube::NodeSelectorTerm& term) {
    return !term.fields.empty() || std::any_of(term.expressions.begin(), term.expressions.end(), [](const kube::Requirement& each) { return each.key == kHostnameLabel; });
  });
}

bool asks_for_one_node(const kube::PodSpec& spec) {
  if (spec.node_selector.find(kHostnameLabel)) return true;
  if (spec.node_affinity.required && about_one_node(*spec.node_affinity.required)) return true;
  return std::any_of(spec.node_affinity.preferred.begin(), spec.node_affinity.preferred.end(),
                     [](const kube::PreferredNodeTerm& each) { return about_one_node({each.term}); });
}

bool has_room(const kube::Resources& wanted, const NodeState& node) {
  const kube::Resources& all = node.node->allocatable;
  const kube::Resources& used = node.requested;
  auto short_of = [](int64_t want, int64_t have, int64_t taken) { return want > 0 && want > have - taken; };
  if (static_cast<int64_t>(node.pods.size()) + 1 > all.pods || short_of(wanted.milli_cpu, all.milli_cpu, used.milli_cpu) ||
      short_of(wanted.memory, all.memory, used.memory) || short_of(wanted.ephemeral_storage, all.ephemeral_storage, used.ephemeral_storage)) {
    return false;
  }
  return std::none_of(wanted.scalars.begin(), wanted.scalars.end(),
                      [&](const auto& each) { return short_of(each.second, all.scalar(each.first), used.scalar(each.first)); });
}

int64_t least_allocated(int64_t requested, int64_t capacity) { return requested > capacity ? 0 : (capacity - requested) * kMaxNodeScore / capacity; }

const Labels kNoLabels;

bool meets_all(const std::vector<kube::PodAffinityTerm>& terms, const Pod& pod) {
  return !terms.empty() && std::all_of(terms.begin(), terms.end(), [&](const auto& term) { return term_matches(term, pod, kNoLabels); });
}

// balanced_score() for the usual two resources and the rules up to 1.34, in the same steps.
int64_t balanced_points(const kube::Resources& wanted, const NodeState& node) {
  const kube::Resources& all = node.node->allocatable;
  double cpu = static_cast<double>(node.requested.milli_cpu + wanted.milli_cpu) / static_cast<double>(all.milli_cpu);
  double memory = static_cast<double>(node.requested.memory + wanted.memory) / static_cast<double>(all.memory);
  if (cpu > 1) cpu = 1;
  if (memory > 1) memory = 1;
  return static_cast<int64_t>((1 - std::fabs((cpu - memory) / 2)) * static_cast<double>(kMaxNodeScore));
}

// The usual two resources, both counted once: what the quick formulas are for.
bool usual(const std::vector<ResourceWeight>& resources) {
  return resources.size() == 2 && resources[0].name == "cpu" && resources[1].name == "memory" && resources[0].weight == 1 && resources[1].weight == 1;
}

}  // namespace

QuickEngine::QuickEngine(const Profile& profile, const Cluster& cluster) : profile_(&profile), cluster_(&cluster) {
  usable_ = usual(profile.fit_resources) && usual(profile.balanced_resources) && profile.strategy == Profile::Strategy::LeastAllocated &&
            !profile.ignore_preferred_terms_of_existing_pods && std::all_of(profile.filters.begin(), profile.filters.end(), [](bool on) { return on; });
  const std::vector<NodeState>& nodes = cluster.nodes();
  std::vector<uint32_t> order(nodes.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return nodes[a].node->name() < nodes[b].node->name(); });
  rank_.resize(nodes.size());
  for (uint32_t i = 0; i < order.size(); ++i) rank_[order[i]] = i;
  std::map<std::string, uint32_t> classes;
  for (const NodeState& node : nodes) {
    std::string text = node.node->unschedulable ? "!" : "";
    for (const auto& [key, value] : node.node->meta.labels) {
      if (key != kHostnameLabel) text += key + "=" + value + "\n";
    }
    for (const kube::Taint& taint : node.node->taints) text += taint.str() + "\n";
    class_.push_back(classes.try_emplace(text, static_cast<uint32_t>(classes.size())).first->second);
    any_images_ = any_images_ || !node.node->images.empty();
    for (const Pod* pod : node.pods) bound(*pod, node.index);
  }
}

QuickEngine::~QuickEngine() = default;

uint32_t QuickEngine::kind_of(const Pod& pod) {
  auto known = kind_by_pod_.find(&pod);
  // A pod that was edited since is looked up anew.
  if (known != kind_by_pod_.end() && same_kind(*kinds_[known->second]->example, pod)) return known->second;
  std::vector<uint32_t>& bucket = by_hash_[hash_of(pod)];
  for (uint32_t each : bucket) {
    if (!same_kind(*kinds_[each]->example, pod)) continue;
    kind_by_pod_[&pod] = each;
    return each;
  }
  uint32_t index = static_cast<uint32_t>(kinds_.size());
  kinds_.push_back(std::make_unique<Kind>());
  kinds_.back()->example = &pod;
  bucket.push_back(index);
  kind_by_pod_[&pod] = index;
  return index;
}

void QuickEngine::record(const Pod& pod, uint32_t node, int32_t delta) { log_.push_back({node, kind_of(pod), delta, pod.terminating()}); }

void QuickEngine::bound(const Pod& pod, uint32_t node) { record(pod, node, 1); }
void QuickEngine::unbound(const Pod& pod, uint32_t node) { record(pod, node, -1); }

void QuickEngine::prepare(Kind& kind) {
  const Pod& pod = *kind.example;
  const kube::PodSpec& spec = *pod.spec;
  kind.prepared = true;
  kind.plain = !spec.scheduling_gates.empty() || !spec.volumes.empty() || !pod.node_name.empty();
  if (kind.plain) return;
  const ClusterObjects& objects = cluster_->objects();
  kind.affinity = resolve_namespaces(spec.affinity.required, objects);
  kind.anti_affinity = resolve_namespaces(spec.anti_affinity.required, objects);
  kind.likes = resolve_namespaces(spec.affinity.preferred, objects);
  kind.dislikes = resolve_namespaces(spec.anti_affinity.preferred, objects);
  kind.meets_own_terms = meets_all(kind.affinity, pod);
  const std::vector<NodeState>& nodes = cluster_->nodes();
  size_t count = nodes.size();
  kind.allowed.resize(count);
  kind.taints.resize(count);
  kind.prefers.resize(count);
  kind.image.resize(count);
  kind.fits.resize(count);
  kind.points.resize(count);
  bool per_node = asks_for_one_node(spec);
  std::vector<int64_t> first_of_class(count, -1);
  for (const NodeState& state : nodes) {
    uint32_t i = state.index;
    const Node& node = *state.node;
    if (any_images_) kind.image[i] = static_cast<int32_t>(image_score(*cluster_, pod, state) * profile_->weight(Plugin::ImageLocality));
    int64_t& first = first_of_class[class_[i]];
    if (first >= 0 && !per_node) {
      kind.allowed[i] = kind.allowed[static_cast<size_t>(first)];
      kind.taints[i] = kind.taints[static_cast<size_t>(first)];
      kind.prefers[i] = kind.prefers[static_cast<size_t>(first)];
      continue;
    }
    first = i;
    kind.allowed[i] = (!node.unschedulable || kube::tolerated(kCordon, spec.tolerations)) && !kube::first_untolerated(node.taints, spec.tolerations) &&
                      node_affinity_matches(spec.node_selector, spec.node_affinity, node.name(), node.meta.labels);
    kind.taints[i] = static_cast<int32_t>(std::count_if(node.taints.begin(), node.taints.end(), [&](const kube::Taint& taint) {
      return taint.effect == kube::kPreferNoSchedule && !kube::tolerated(taint, spec.tolerations);
    }));
    kind.prefers[i] = static_cast<int32_t>(preference_score(spec.node_affinity.preferred, node.name(), node.meta.labels));
  }
  prepare_spread(kind);
}

void QuickEngine::prepare_spread(Kind& kind) {
  const Pod& pod = *kind.example;
  const std::vector<NodeState>& nodes = cluster_->nodes();
  for (SpreadKind which : {SpreadKind::Required, SpreadKind::Preferred}) {
    SpreadConstraints constraints = spread_constraints(*profile_, *cluster_, pod, which);
    bool required = which == SpreadKind::Required;
    if (!required) kind.require_all_labels = constraints.require_all_labels;
    for (const kube::SpreadConstraint& rule : constraints.list) {
      Spread spread;
      spread.rule = rule;
      spread.by_node = !required && rule.topology_key == kHostnameLabel;
      spread.self = rule.selector.matches(pod.meta.labels);
      spread.on_node.resize(nodes.size());
      std::map<std::string, int32_t> ids;
      for (const NodeState& state : nodes) {
        const Labels& labels = state.node->meta.labels;
        const std::string* value = labels.find(rule.topology_key);
        // Without system defaults a node lacking a label stands aside; with them, the missing zones are one more.
        bool has_all = std::all_of(constraints.list.begin(), constraints.list.end(), [&](const auto& each) { return labels.find(each.topology_key); });
        bool included = (!rule.honor_affinity || node_affinity_matches(pod.spec->node_selector, pod.spec->node_affinity, state.node->name(), labels)) &&
                        (!rule.honor_taints || !kube::first_untolerated(state.node->taints, pod.spec->tolerations));
        int32_t id = ids.try_emplace(value ? *value : std::string(), static_cast<int32_t>(ids.size())).first->second;
        spread.domain.push_back(value ? id : -1 - id);
        spread.counted.push_back(included && (has_all || (!required && !constraints.require_all_labels)));
      }
      spread.in_domain.resize(ids.size());
      spread.is_counted.resize(ids.size());
      for (size_t i = 0; i < nodes.size(); ++i) {
        int32_t id = spread.domain[i] >= 0 ? spread.domain[i] : -1 - spread.domain[i];
        if (spread.counted[i]) spread.is_counted[static_cast<size_t>(id)] = 1;
      }
      spread.domains = std::count(spread.is_counted.begin(), spread.is_counted.end(), 1);
      (required ? kind.required : kind.preferred).push_back(std::move(spread));
    }
  }
}

// Room and resource points of one node, which change with every pod that comes or goes.
void QuickEngine::look_at(Kind& kind, uint32_t index) {
  if (!kind.allowed[index]) return;
  const NodeState& node = cluster_->nodes()[index];
  const Pod& pod = *kind.example;
  bool fits = has_room(pod.requests.real, node) && (node.ports.empty() || !ports_conflict(pod.spec->host_ports(), node.ports));
  kind.fits[index] = fits;
  if (!fits) return;
  const kube::Resources& all = node.node->allocatable;
  int64_t points = 0;
  if (all.milli_cpu > 0 && all.memory > 0) {
    points = (least_allocated(node.nonzero_cpu + pod.requests.score_cpu, all.milli_cpu) + least_allocated(node.nonzero_memory + pod.requests.score_memory, all.memory)) / 2;
  } else {
    points = fit_score(*profile_, pod, node);
  }
  points *= profile_->weight(Plugin::NodeResourcesFit);
  int64_t balance = profile_->weight(Plugin::NodeResourcesBalancedAllocation);
  bool plain_balance = profile_->version_minor >= 35 || all.milli_cpu == 0 || all.memory == 0;
  if (balance > 0 && (pod.requests.real.milli_cpu != 0 || pod.requests.real.memory != 0)) {
    points += balance * (plain_balance ? balanced_score(*profile_, pod, node) : balanced_points(pod.requests.real, node));
  }
  kind.points[index] = static_cast<int32_t>(points) + kind.image[index];
}

void QuickEngine::catch_up(Kind& kind) {
  // After many changes, and the first time, it is cheaper to look at every node once.
  uint32_t nodes = static_cast<uint32_t>(cluster_->nodes().size());
  bool all = kind.seen == 0 || log_.size() - kind.seen > nodes;
  for (; kind.seen < log_.size(); ++kind.seen) {
    const Event& event = log_[kind.seen];
    for (auto* list : {&kind.required, &kind.preferred}) {
      for (Spread& spread : *list) {
        if (event.leaving || spread.rule.selector.empty()) continue;
        size_t other = event.kind;
        if (spread.matches.size() <= other) spread.matches.resize(kinds_.size(), -1);
        const Pod& pod = *kinds_[other]->example;
        if (spread.matches[other] < 0) {
          spread.matches[other] = pod.meta.name_space == kind.example->meta.name_space && spread.rule.selector.matches(pod.meta.labels);
        }
        if (!spread.matches[other]) continue;
        spread.on_node[event.node] += event.delta;
        int32_t id = spread.domain[event.node] >= 0 ? spread.domain[event.node] : -1 - spread.domain[event.node];
        if (spread.counted[event.node]) spread.in_domain[static_cast<size_t>(id)] += event.delta;
      }
    }
    count_relation(kind, event);
    if (!all) look_at(kind, event.node);
  }
  for (uint32_t i = 0; i < nodes && all; ++i) look_at(kind, i);
}

const QuickEngine::Domains& QuickEngine::domains(const std::string& key) {
  auto [at, is_new] = domains_.try_emplace(key);
  if (!is_new) return at->second;
  std::map<std::string_view, int32_t> ids;
  for (const NodeState& node : cluster_->nodes()) {
    const std::string* value = node.node->meta.labels.find(key);
    at->second.of_node.push_back(value ? ids.try_emplace(*value, static_cast<int32_t>(ids.size())).first->second : -1);
  }
  at->second.count = ids.size();
  return at->second;
}

// Which terms of this kind match a pod of the other, and the other way round.
const QuickEngine::Relation& QuickEngine::relation(Kind& kind, uint32_t other) {
  if (kind.relations.size() <= other) kind.relations.resize(kinds_.size());
  Relation& relation = kind.relations[other];
  if (relation.known) return relation;
  relation.known = true;
  const Pod& pod = *kind.example;
  const Pod& there = *kinds_[other]->example;
  const kube::PodSpec& theirs = *there.spec;
  bool silent = kind.affinity.empty() && kind.anti_affinity.empty() && kind.likes.empty() && kind.dislikes.empty() && !theirs.has_pod_affinity();
  if (silent) return relation;
  const Labels& labels = cluster_->namespace_labels(pod.meta.name_space);
  using Count = Relation::Count;
  auto add = [&](const kube::PodAffinityTerm& term, Count count, int64_t weight) {
    uint32_t at = kind.topology(term.topology_key, domains(term.topology_key));
    kind.topologies[at].used[static_cast<size_t>(count)] = true;
    relation.parts.push_back({at, count, weight});
  };
  auto add_matching = [&](const std::vector<kube::PodAffinityTerm>& terms, const Pod& target, const Labels& of, Count count, int sign) {
    for (const kube::PodAffinityTerm& term : terms) {
      if (term_matches(term, target, of)) add(term, count, count == Count::Score ? sign * term.weight : 1);
    }
  };
  add_matching(kind.likes, there, kNoLabels, Count::Score, 1);
  add_matching(kind.dislikes, there, kNoLabels, Count::Score, -1);
  add_matching(theirs.affinity.preferred, pod, labels, Count::Score, 1);
  add_matching(theirs.anti_affinity.preferred, pod, labels, Count::Score, -1);
  for (const kube::PodAffinityTerm& term : theirs.affinity.required) {
    if (profile_->hard_pod_affinity_weight > 0 && term_matches(term, pod, labels)) add(term, Count::Score, profile_->hard_pod_affinity_weight);
  }
  add_matching(kind.anti_affinity, there, kNoLabels, Count::AntiAffinity, 1);
  add_matching(theirs.anti_affinity.required, pod, labels, Count::ExistingAntiAffinity, 1);
  if (meets_all(kind.affinity, there)) {
    for (const kube::PodAffinityTerm& term : kind.affinity) add(term, Count::Affinity, 1);
  }
  return relation;
}

void QuickEngine::count_relation(Kind& kind, const Event& event) {
  for (const Relation::Part& part : relation(kind, event.kind).parts) {
    Kind::Topology& topology = kind.topologies[part.topology];
    int32_t domain = topology.domains->of_node[event.node];
    if (domain < 0) continue;
    topology.counts[static_cast<size_t>(part.count)][static_cast<size_t>(domain)] += part.weight * event.delta;
    if (part.count == Relation::Count::Affinity) kind.company += event.delta;
  }
}

bool QuickEngine::affinity_allows(const Kind& kind, uint32_t node) const {
  auto count_at = [&](const std::string& key, Relation::Count count) -> int64_t {
    for (const Kind::Topology& each : kind.topologies) {
      if (each.key != key) continue;
      int32_t domain = each.domains->of_node[node];
      return domain < 0 ? 0 : each.counts[static_cast<size_t>(count)][static_cast<size_t>(domain)];
    }
    return 0;
  };
  bool company = true;
  for (const kube::PodAffinityTerm& term : kind.affinity) {
    if (domains_.at(term.topology_key).of_node[node] < 0) return false;
    company = company && count_at(term.topology_key, Relation::Count::Affinity) > 0;
  }
  if (!company && !(kind.company == 0 && kind.meets_own_terms)) return false;
  for (const kube::PodAffinityTerm& term : kind.anti_affinity) {
    if (count_at(term.topology_key, Relation::Count::AntiAffinity) > 0) return false;
  }
  for (const Kind::Topology& each : kind.topologies) {
    constexpr size_t existing = static_cast<size_t>(Relation::Count::ExistingAntiAffinity);
    int32_t domain = each.domains->of_node[node];
    if (each.used[existing] && domain >= 0 && each.counts[existing][static_cast<size_t>(domain)] > 0) return false;
  }
  return true;
}

std::vector<int64_t> QuickEngine::affinity_points(const Kind& kind) const {
  std::vector<int64_t> points(feasible_.size(), 0);
  bool scored = false;
  for (const Kind::Topology& each : kind.topologies) {
    if (!each.used[0]) continue;
    scored = true;
    for (size_t i = 0; i < feasible_.size(); ++i) {
      int32_t domain = each.domains->of_node[feasible_[i]];
      if (domain >= 0) points[i] += each.counts[0][static_cast<size_t>(domain)];
    }
  }
  if (!scored) return {};
  auto [least, most] = std::minmax_element(points.begin(), points.end());
  int64_t low = *least, high = *most;
  if (low == high) return {};
  for (int64_t& point : points) {
    point = static_cast<int64_t>(static_cast<double>(kMaxNodeScore) * (static_cast<double>(point - low) / static_cast<double>(high - low)));
  }
  return points;
}

void QuickEngine::find_feasible(const Kind& kind) {
  feasible_.clear();
  bool related = !kind.topologies.empty() || !kind.affinity.empty();
  for (const kube::PodAffinityTerm& term : kind.affinity) domains(term.topology_key);
  std::vector<int64_t> least;
  for (const Spread& spread : kind.required) {
    int64_t fewest = std::numeric_limits<int32_t>::max();
    for (size_t i = 0; i < spread.in_domain.size(); ++i) {
      if (spread.is_counted[i]) fewest = std::min(fewest, spread.in_domain[i]);
    }
    least.push_back(spread.domains < spread.rule.min_domains ? 0 : fewest);
  }
  for (uint32_t i = 0; i < kind.fits.size(); ++i) {
    if (!kind.fits[i]) continue;
    bool fits = true;
    for (size_t k = 0; k < kind.required.size() && fits; ++k) {
      const Spread& spread = kind.required[k];
      fits = spread.domain[i] >= 0 && spread.in_domain[static_cast<size_t>(spread.domain[i])] + spread.self - least[k] <= spread.rule.max_skew;
    }
    if (fits && (!related || affinity_allows(kind, i))) feasible_.push_back(i);
  }
}

std::vector<int64_t> QuickEngine::spread_points(const Kind& kind) {
  std::vector<int64_t> points(feasible_.size(), 0);
  std::vector<uint8_t> ignored(feasible_.size(), 0);
  size_t counted = feasible_.size();
  if (kind.require_all_labels) {
    for (size_t i = 0; i < feasible_.size(); ++i) {
      ignored[i] = std::any_of(kind.preferred.begin(), kind.preferred.end(), [&](const Spread& each) { return each.domain[feasible_[i]] < 0; });
      counted -= ignored[i];
    }
  }
  std::vector<double> weights;
  for (const Spread& spread : kind.preferred) {
    size_t size = counted;
    if (!spread.by_node) {
      std::vector<uint8_t> there(spread.in_domain.size(), 0);
      for (size_t i = 0; i < feasible_.size(); ++i) {
        int32_t id = spread.domain[feasible_[i]];
        if (!ignored[i]) there[static_cast<size_t>(id >= 0 ? id : -1 - id)] = 1;
      }
      size = static_cast<size_t>(std::count(there.begin(), there.end(), 1));
    }
    weights.push_back(portable_log(static_cast<double>(size + 2)));
  }
  int64_t least = std::numeric_limits<int64_t>::max(), most = 0;
  for (size_t i = 0; i < feasible_.size(); ++i) {
    if (ignored[i]) continue;
    double score = 0;
    for (size_t k = 0; k < kind.preferred.size(); ++k) {
      const Spread& spread = kind.preferred[k];
      int32_t id = spread.domain[feasible_[i]];
      if (id < 0) continue;
      int64_t pods = spread.by_node ? spread.on_node[feasible_[i]] : spread.in_domain[static_cast<size_t>(id)];
      score += static_cast<double>(pods) * weights[k] + static_cast<double>(spread.rule.max_skew - 1);
    }
    points[i] = static_cast<int64_t>(std::round(score));
    least = std::min(least, points[i]);
    most = std::max(most, points[i]);
  }
  for (size_t i = 0; i < feasible_.size(); ++i) {
    if (!ignored[i]) points[i] = most == 0 ? kMaxNodeScore : kMaxNodeScore * (most + least - points[i]) / most;
  }
  return points;
}

std::optional<uint32_t> QuickEngine::choose(const Pod& pod) {
  if (!usable_ || cluster_->has_nominations()) return std::nullopt;
  Kind& kind = *kinds_[kind_of(pod)];
  if (!kind.prepared) prepare(kind);
  if (kind.plain) return std::nullopt;
  catch_up(kind);
  find_feasible(kind);
  if (feasible_.empty()) return std::nullopt;
  int64_t most_taints = 0, most_preferred = 0;
  for (uint32_t node : feasible_) {
    most_taints = std::max<int64_t>(most_taints, kind.taints[node]);
    most_preferred = std::max<int64_t>(most_preferred, kind.prefers[node]);
  }
  int64_t spread_weight = profile_->weight(Plugin::PodTopologySpread);
  bool spreads = !kind.preferred.empty() && spread_weight > 0;
  std::vector<int64_t> spread = spreads ? spread_points(kind) : std::vector<int64_t>();
  int64_t pod_affinity_weight = profile_->weight(Plugin::InterPodAffinity);
  std::vector<int64_t> together = pod_affinity_weight > 0 ? affinity_points(kind) : std::vector<int64_t>();
  int64_t taint_weight = profile_->weight(Plugin::TaintToleration), affinity_weight = profile_->weight(Plugin::NodeAffinity);
  int64_t best_total = -1;
  uint32_t best = 0;
  for (size_t i = 0; i < feasible_.size(); ++i) {
    uint32_t node = feasible_[i];
    int64_t total = kind.points[node];
    total += taint_weight * (most_taints == 0 ? kMaxNodeScore : kMaxNodeScore - kMaxNodeScore * kind.taints[node] / most_taints);
    if (most_preferred > 0) total += affinity_weight * (kMaxNodeScore * kind.prefers[node] / most_preferred);
    if (spreads) total += spread_weight * spread[i];
    if (!together.empty()) total += pod_affinity_weight * together[i];
    if (total < best_total || (total == best_total && rank_[node] > rank_[best])) continue;
    best_total = total;
    best = node;
  }
  return best;
}

}  // namespace archway::scheduler
