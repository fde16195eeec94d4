#include "scheduler/quick_engine.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "scheduler/logarithm.h"
#include "scheduler/quick_kind.h"

namespace archway::scheduler {

namespace {

const Labels kNoLabels;

void mix(size_t& hash, size_t value) { hash ^= value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2); }
void mix(size_t& hash, const std::string& text) { mix(hash, std::hash<std::string>()(text)); }

size_t hash_of(const Pod& pod) {
  size_t hash = 0;
  mix(hash, pod.meta.name_space);
  for (const auto& [key, value] : pod.meta.labels) mix(hash, value);
  for (const kube::Container& each : pod.spec->containers) mix(hash, each.image);
  for (const auto& [key, value] : pod.spec->node_selector) mix(hash, value);
  mix(hash, static_cast<size_t>(pod.requests.real.milli_cpu * 1000003 + pod.requests.real.memory));
  mix(hash, pod.spec->tolerations.size() * 64 + pod.spec->spread.size() * 8 + pod.spec->node_affinity.preferred.size());
  const kube::OwnerReference* owner = pod.meta.controller();
  if (owner) mix(hash, owner->name);
  // What a DaemonSet's pods differ in.
  if (pod.spec->node_affinity.required) {
    for (const kube::NodeSelectorTerm& term : *pod.spec->node_affinity.required) {
      for (const kube::Requirement& each : term.fields) {
        for (const std::string& value : each.values) mix(hash, value);
      }
    }
  }
  for (const kube::PodVolume& volume : pod.spec->volumes) mix(hash, volume.claim);
  return hash;
}

bool same_kind(const Pod& a, const Pod& b) {
  const kube::OwnerReference *first = a.meta.controller(), *second = b.meta.controller();
  bool same_owner = first && second ? first->kind == second->kind && first->name == second->name && first->api_version == second->api_version : first == second;
  return same_owner && a.meta.name_space == b.meta.name_space && a.meta.labels == b.meta.labels && a.requests == b.requests &&
         a.node_name == b.node_name && (a.spec == b.spec || *a.spec == *b.spec);
}

void mix(size_t& hash, const kube::NodeSelectorTerm& term) {
  for (const auto* list : {&term.expressions, &term.fields}) {
    for (const kube::Requirement& each : *list) {
      mix(hash, each.key);
      for (const std::string& value : each.values) mix(hash, value);
    }
  }
}

size_t hash_of_rules(const kube::PodSpec& spec) {
  size_t hash = 0;
  for (const auto& [key, value] : spec.node_selector) mix(hash, value);
  if (spec.node_affinity.required) std::for_each(spec.node_affinity.required->begin(), spec.node_affinity.required->end(), [&](const auto& term) { mix(hash, term); });
  for (const kube::PreferredNodeTerm& each : spec.node_affinity.preferred) {
    mix(hash, static_cast<size_t>(each.weight));
    mix(hash, each.term);
  }
  for (const kube::Toleration& each : spec.tolerations) {
    mix(hash, each.key);
    mix(hash, each.value);
  }
  return hash;
}

bool same_rules(const kube::PodSpec& a, const kube::PodSpec& b) {
  return a.node_selector == b.node_selector && a.node_affinity == b.node_affinity && a.tolerations == b.tolerations;
}

// Whether nodes of one group may get different answers.
bool tells_apart(const NodeLayout& layout, const kube::PodSpec& spec) {
  auto any_own = [&](const kube::NodeSelectorTerm& term) {
    return !term.fields.empty() || std::any_of(term.expressions.begin(), term.expressions.end(), [&](const kube::Requirement& each) { return layout.is_own(each.key); });
  };
  const auto& affinity = spec.node_affinity;
  return std::any_of(spec.node_selector.begin(), spec.node_selector.end(), [&](const auto& each) { return layout.is_own(each.first); }) ||
         (affinity.required && std::any_of(affinity.required->begin(), affinity.required->end(), any_own)) ||
         std::any_of(affinity.preferred.begin(), affinity.preferred.end(), [&](const auto& each) { return any_own(each.term); });
}

bool meets_all(const std::vector<kube::PodAffinityTerm>& terms, const Pod& pod) {
  return !terms.empty() && std::all_of(terms.begin(), terms.end(), [&](const auto& term) { return term_matches(term, pod, kNoLabels); });
}

}  // namespace

QuickEngine::QuickEngine(const Profile& profile, const Cluster& cluster)
    : profile_(&profile), cluster_(&cluster), layout_(cluster.nodes()), board_(profile, cluster, layout_) {
  special_mark_.resize(layout_.size(), 0);
  special_room_.resize(layout_.groups.size(), 0);
  special_room_mark_.resize(layout_.groups.size(), 0);
  cell_mark_.resize(layout_.size(), 0);
  group_cell_mark_.resize(layout_.groups.size(), 0);
  for (const NodeState& node : cluster.nodes()) {
    for (const Pod* pod : node.pods) bound(*pod, node.index);
  }
}

QuickEngine::~QuickEngine() = default;

uint32_t QuickEngine::kind_of(const Pod& pod) {
  // A pod that was edited since is looked up anew.
  if (last_pod_ == &pod && same_kind(*kinds_[last_kind_]->example, pod)) return last_kind_;
  last_pod_ = &pod;
  std::vector<uint32_t>& bucket = by_hash_[hash_of(pod)];
  for (uint32_t each : bucket) {
    if (same_kind(*kinds_[each]->example, pod)) return last_kind_ = each;
  }
  last_kind_ = static_cast<uint32_t>(kinds_.size());
  kinds_.push_back(std::make_unique<Kind>());
  kinds_.back()->example = &pod;
  kinds_.back()->set = &labels_.set_of(pod, *cluster_);
  bucket.push_back(last_kind_);
  return last_kind_;
}

void QuickEngine::bound(const Pod& pod, uint32_t node) {
  record(pod, node, 1);
  ++priorities_[pod.priority()];
}

void QuickEngine::unbound(const Pod& pod, uint32_t node) {
  record(pod, node, -1);
  auto at = priorities_.find(pod.priority());
  if (--at->second == 0) priorities_.erase(at);
}

void QuickEngine::record(const Pod& pod, uint32_t node, int32_t delta) {
  Kind& kind = *kinds_[kind_of(pod)];
  uint32_t position = layout_.position_of[node];
  bool leaving = pod.terminating();
  kind.set->pods.add(position, delta);
  if (leaving) kind.set->leaving.add(position, delta);
  for (PodMatcher* matcher : kind.set->matchers) {
    if (matcher->without_leaving && leaving) continue;
    for (const auto& counter : matcher->counters) counter->add(position, delta);
  }
  if (pod.spec->has_pod_affinity()) {
    if (!kind.knows_emitted) find_emitted(kind);
    for (const Kind::Emitted& each : kind.emitted) each.counter->add(position, each.weight * delta);
  }
  board_.changed(position);
  ++version_;
}

// The counters in which other pods find what this kind's pods, once they are somewhere, want or do not want around them.
void QuickEngine::find_emitted(Kind& kind) {
  kind.knows_emitted = true;
  const kube::PodSpec& spec = *kind.example->spec;
  auto add = [&](const kube::PodAffinityTerm& term, bool refuses, int64_t weight) {
    PodMatcher& matcher = labels_.matcher({term}, true, false);
    std::unique_ptr<TopologyCounter>& counter = refuses ? matcher.refuses : matcher.scores;
    if (!counter) counter = std::make_unique<TopologyCounter>(layout_, layout_.topology(term.topology_key), nullptr, false);
    kind.emitted.push_back({counter.get(), weight});
  };
  for (const kube::PodAffinityTerm& term : spec.affinity.required) {
    if (profile_->hard_pod_affinity_weight > 0) add(term, false, profile_->hard_pod_affinity_weight);
  }
  for (const kube::PodAffinityTerm& term : spec.affinity.preferred) add(term, false, term.weight);
  for (const kube::PodAffinityTerm& term : spec.anti_affinity.preferred) add(term, false, -term.weight);
  for (const kube::PodAffinityTerm& term : spec.anti_affinity.required) add(term, true, 1);
}

const QuickEngine::Rules& QuickEngine::rules_of(const Pod& pod) {
  auto& bucket = rules_[hash_of_rules(*pod.spec)];
  for (const auto& each : bucket) {
    if (same_rules(*each->spec, *pod.spec)) return *each;
  }
  bucket.push_back(make_rules(pod));
  return *bucket.back();
}

std::unique_ptr<QuickEngine::Rules> QuickEngine::make_rules(const Pod& pod) const {
  const kube::PodSpec& spec = *pod.spec;
  auto rules = std::make_unique<Rules>();
  rules->spec = &spec;
  rules->by_position = tells_apart(layout_, spec);
  bool cordon = profile_->filters_with(Plugin::NodeUnschedulable) && !kube::tolerated(kUnschedulableTaint, spec.tolerations);
  size_t slots = rules->by_position ? layout_.size() : layout_.groups.size();
  for (uint32_t slot = 0; slot < slots; ++slot) {
    const Node& node = rules->by_position ? *cluster_->nodes()[layout_.node_at[slot]].node : layout_.example(slot);
    bool holds = node_affinity_matches(spec.node_selector, spec.node_affinity, node.name(), node.meta.labels);
    bool tolerated = !kube::first_untolerated(node.taints, spec.tolerations);
    rules->affinity_holds.push_back(holds);
    rules->tolerated.push_back(tolerated);
    rules->allowed.push_back(!(cordon && node.unschedulable) && (tolerated || !profile_->filters_with(Plugin::TaintToleration)) &&
                             (holds || !profile_->filters_with(Plugin::NodeAffinity)));
    rules->taints.push_back(static_cast<int32_t>(std::count_if(node.taints.begin(), node.taints.end(), [&](const kube::Taint& taint) {
      return taint.effect == kube::kPreferNoSchedule && !kube::tolerated(taint, spec.tolerations);
    })));
    rules->prefers.push_back(static_cast<int32_t>(preference_score(spec.node_affinity.preferred, node.name(), node.meta.labels)));
  }
  return rules;
}

// Equal masks are one, so that counters can be shared. Null for a mask that leaves nothing out.
const NodeMask* QuickEngine::mask(NodeMask wanted) {
  if (std::all_of(wanted.bits.begin(), wanted.bits.end(), [](uint8_t bit) { return bit != 0; })) return nullptr;
  std::string text(wanted.bits.begin(), wanted.bits.end());
  text += wanted.by_position ? 'p' : 'g';
  std::unique_ptr<NodeMask>& known = masks_[text];
  if (!known) known = std::make_unique<NodeMask>(std::move(wanted));
  return known.get();
}

TopologyCounter& QuickEngine::counter(PodMatcher& matcher, const NodeLayout::Topology& topology, const NodeMask* mask, bool missing_is_empty) {
  for (const auto& each : matcher.counters) {
    if (each->is_for(topology, mask, missing_is_empty)) return *each;
  }
  matcher.counters.push_back(std::make_unique<TopologyCounter>(layout_, topology, mask, missing_is_empty));
  TopologyCounter& counter = *matcher.counters.back();
  for (const LabelSet* set : matcher.sets) {
    for (const SparseCounts::Entry& each : set->pods.entries()) {
      int64_t count = each.count - (matcher.without_leaving ? set->leaving.at(each.position) : 0);
      if (count != 0) counter.add(each.position, count);
    }
  }
  return counter;
}

TopologyCounter* QuickEngine::term_counter(const std::vector<kube::PodAffinityTerm>& all, const std::string& topology_key) {
  return &counter(labels_.matcher(all, false, false), layout_.topology(topology_key), nullptr, false);
}

void QuickEngine::prepare(Kind& kind) {
  const Pod& pod = *kind.example;
  const kube::PodSpec& spec = *pod.spec;
  kind.prepared = true;
  kind.plain = !spec.scheduling_gates.empty() || !pod.node_name.empty();
  if (kind.plain) return;
  kind.has_volumes = !spec.volumes.empty() && profile_->filters_with(Plugin::VolumeBinding);
  kind.shape = &board_.shape_of(pod);
  prepare_affinity(kind);
  auto named = profile_->filters_with(Plugin::NodeAffinity) ? kube::named_nodes(spec.node_affinity) : std::nullopt;
  if (named) {
    kind.pinned.emplace();
    for (const std::string& name : *named) {
      const NodeState* node = cluster_->find_node(name);
      if (node) kind.pinned->push_back(layout_.position_of[node->index]);
    }
    bool spreads = profile_->filters_with(Plugin::PodTopologySpread) && !spread_constraints(*profile_, *cluster_, pod, SpreadKind::Required).list.empty();
    kind.plain = named->empty() || spreads || kind.has_volumes;
    return;
  }
  kind.rules = &rules_of(pod);
  kind.every_node = kind.has_volumes || kind.rules->by_position;
  prepare_spread(kind);
}

void QuickEngine::prepare_affinity(Kind& kind) {
  const kube::PodSpec& spec = *kind.example->spec;
  const ClusterObjects& objects = cluster_->objects();
  if (profile_->filters_with(Plugin::InterPodAffinity)) {
    auto affinity = resolve_namespaces(spec.affinity.required, objects), anti_affinity = resolve_namespaces(spec.anti_affinity.required, objects);
    kind.meets_own_terms = meets_all(affinity, *kind.example);
    // A pod counts for any of the affinity terms only where it meets all of them.
    for (const auto& term : affinity) kind.affinity.push_back({&layout_.topology(term.topology_key), term_counter(affinity, term.topology_key)});
    for (const auto& term : anti_affinity) kind.anti_affinity.push_back({&layout_.topology(term.topology_key), term_counter({term}, term.topology_key)});
  }
  if (profile_->weight(Plugin::InterPodAffinity) == 0) return;
  for (const auto& term : resolve_namespaces(spec.affinity.preferred, objects)) kind.wishes.push_back({term_counter({term}, term.topology_key), term.weight});
  for (const auto& term : resolve_namespaces(spec.anti_affinity.preferred, objects)) kind.wishes.push_back({term_counter({term}, term.topology_key), -term.weight});
}

void QuickEngine::prepare_spread(Kind& kind) {
  const Pod& pod = *kind.example;
  const Rules& rules = *kind.rules;
  for (SpreadKind which : {SpreadKind::Required, SpreadKind::Preferred}) {
    bool required = which == SpreadKind::Required;
    if (required ? !profile_->filters_with(Plugin::PodTopologySpread) : profile_->weight(Plugin::PodTopologySpread) == 0) continue;
    SpreadConstraints constraints = spread_constraints(*profile_, *cluster_, pod, which);
    if (constraints.list.empty()) continue;
    // Without system defaults a node lacking a label stands aside; with them, the missing zones are one more.
    bool needs_all = required || constraints.require_all_labels;
    std::vector<uint8_t> has_all;
    for (uint32_t group = 0; group < layout_.groups.size(); ++group) {
      has_all.push_back(std::all_of(constraints.list.begin(), constraints.list.end(),
                                    [&](const auto& each) { return layout_.example(group).meta.labels.find(each.topology_key) != nullptr; }));
    }
    if (!required) {
      for (uint8_t has : has_all) kind.ignored.push_back(needs_all && !has);
    }
    for (const kube::SpreadConstraint& rule : constraints.list) {
      Spread spread;
      spread.max_skew = rule.max_skew;
      spread.min_domains = rule.min_domains;
      spread.by_node = !required && rule.topology_key == kHostnameLabel;
      spread.self = rule.selector.matches(pod.meta.labels);
      spread.topology = spread.by_node ? &layout_.each_node() : &layout_.topology(rule.topology_key);
      NodeMask counted{rules.by_position, std::vector<uint8_t>(rules.allowed.size())};
      spread.counted.resize(spread.topology->domains, 0);
      for (uint32_t position = 0; position < layout_.size(); ++position) {
        uint32_t group = layout_.group_of[position];
        if (!rules.by_position && position != layout_.groups[group].begin) continue;
        size_t slot = rules.slot(position, group);
        bool counts = (!rule.honor_affinity || rules.affinity_holds[slot]) && (!rule.honor_taints || rules.tolerated[slot]) && (has_all[group] || !needs_all);
        counted.bits[slot] = counts;
        int32_t domain = spread.topology->of(position, group);
        if (!counts || domain < 0) continue;
        if (spread.topology->own) {
          spread.domains += rules.by_position ? 1 : layout_.groups[group].end - layout_.groups[group].begin;
        } else {
          spread.domains += !std::exchange(spread.counted[static_cast<size_t>(domain)], uint8_t(1));
        }
      }
      if (!rule.selector.empty()) {
        kube::PodAffinityTerm term;
        term.namespaces = {pod.meta.name_space};
        term.selector = rule.selector;
        spread.counter = &counter(labels_.matcher({term}, false, true), *spread.topology, spread.by_node ? nullptr : mask(std::move(counted)), !needs_all);
      }
      (required ? kind.required : kind.preferred).push_back(std::move(spread));
    }
  }
}

// What pods that are there have to say about this one.
void QuickEngine::gather(const Kind& kind) {
  refusing_.clear();
  scoring_.clear();
  bool hears_wishes = profile_->weight(Plugin::InterPodAffinity) > 0 && (!profile_->ignore_preferred_terms_of_existing_pods || !kind.wishes.empty());
  for (const PodMatcher* matcher : kind.set->matchers) {
    if (matcher->refuses && matcher->refuses->total() > 0 && profile_->filters_with(Plugin::InterPodAffinity)) refusing_.push_back(matcher->refuses.get());
    if (matcher->scores && hears_wishes) scoring_.push_back(matcher->scores.get());
  }
}

void QuickEngine::list_special_nodes(const Kind& kind) {
  ++mark_;
  special_.clear();
  if (kind.every_node) {
    for (uint32_t position = 0; position < layout_.size(); ++position) special_.push_back(position);
  } else {
    auto take = [&](const TopologyCounter* counter) {
      if (!counter || !counter->topology().own || counter->own().entries().empty()) return;
      auto middle = static_cast<std::ptrdiff_t>(special_.size());
      for (const SparseCounts::Entry& each : counter->own().entries()) special_.push_back(each.position);
      if (middle > 0) std::inplace_merge(special_.begin(), special_.begin() + middle, special_.end());
    };
    for (const auto* list : {&kind.required, &kind.preferred}) {
      for (const Spread& each : *list) take(each.counter);
    }
    for (const auto* list : {&kind.affinity, &kind.anti_affinity}) {
      for (const Kind::Term& each : *list) take(each.counter);
    }
    for (const Kind::Wish& each : kind.wishes) take(each.counter);
    std::for_each(refusing_.begin(), refusing_.end(), take);
    std::for_each(scoring_.begin(), scoring_.end(), take);
    special_.erase(std::unique(special_.begin(), special_.end()), special_.end());
  }
  for (uint32_t position : special_) {
    special_mark_[position] = mark_;
    uint32_t group = layout_.group_of[position];
    if (std::exchange(special_room_mark_[group], mark_) != mark_) special_room_[group] = 0;
    special_room_[group] += kind.shape->points[position] != PodShape::kNoRoom;
  }
}

bool QuickEngine::spread_allows(const Kind& kind, uint32_t position, uint32_t group, bool special) const {
  for (size_t i = 0; i < kind.required.size(); ++i) {
    const Spread& spread = kind.required[i];
    if (spread.topology->of_group[group] < 0) return false;
    int64_t here = !spread.counter ? 0 : special ? spread.counter->at_next(position, group) : spread.counter->at_group(group);
    if (here + spread.self - least_[i] > spread.max_skew) return false;
  }
  return true;
}

bool QuickEngine::affinity_allows(const Kind& kind, uint32_t position, uint32_t group, bool special) const {
  auto count = [&](const TopologyCounter* counter) { return special ? counter->at_next(position, group) : counter->at_group(group); };
  bool company = true, alone = true;
  for (const Kind::Term& term : kind.affinity) {
    if (term.topology->of_group[group] < 0) return false;
    company = company && count(term.counter) > 0;
    alone = alone && term.counter->total() == 0;
  }
  // The first of a group that wants to be together finds nobody, and may start the group anywhere.
  if (!company && !(alone && kind.meets_own_terms)) return false;
  return std::none_of(kind.anti_affinity.begin(), kind.anti_affinity.end(), [&](const Kind::Term& term) { return count(term.counter) > 0; }) &&
         std::none_of(refusing_.begin(), refusing_.end(), [&](const TopologyCounter* counter) { return count(counter) > 0; });
}

void QuickEngine::find_cells(Kind& kind, const Pod& pod) {
  cells_.clear();
  least_.clear();
  auto rewind = [](const TopologyCounter* counter) {
    if (counter) counter->rewind();
  };
  for (const Spread& spread : kind.required) {
    int64_t fewest = std::numeric_limits<int32_t>::max();
    if (!spread.counter) {
      if (spread.domains > 0) fewest = 0;
    } else if (spread.topology->own) {
      const auto& entries = spread.counter->own().entries();
      if (static_cast<int64_t>(entries.size()) < spread.domains) fewest = 0;
      for (const SparseCounts::Entry& each : entries) fewest = std::min(fewest, each.count);
    } else {
      for (size_t i = 0; i < spread.counted.size(); ++i) {
        if (spread.counted[i]) fewest = std::min(fewest, spread.counter->by_domain()[i]);
      }
    }
    least_.push_back(spread.domains < spread.min_domains ? 0 : fewest);
    rewind(spread.counter);
  }
  for (const auto* list : {&kind.affinity, &kind.anti_affinity}) {
    for (const Kind::Term& each : *list) rewind(each.counter);
  }
  std::for_each(refusing_.begin(), refusing_.end(), rewind);
  std::optional<VolumeFilter> volumes;
  if (kind.has_volumes) volumes.emplace(*cluster_, pod);
  for (uint32_t group = 0; group < layout_.groups.size() && !kind.every_node; ++group) {
    uint32_t special = special_room_mark_[group] == mark_ ? special_room_[group] : 0, nodes = kind.shape->groups[group].with_room - special;
    if (nodes == 0 || !kind.rules->allowed[group] || !spread_allows(kind, 0, group, false) || !affinity_allows(kind, 0, group, false)) continue;
    cells_.push_back({0, group, false, !kind.ignored.empty() && kind.ignored[group], nodes});
  }
  for (uint32_t position : special_) {
    uint32_t group = layout_.group_of[position];
    if (kind.shape->points[position] == PodShape::kNoRoom || !kind.rules->allowed[kind.rules->slot(position, group)]) continue;
    if (!spread_allows(kind, position, group, true) || !affinity_allows(kind, position, group, true)) continue;
    if (volumes && volumes->check(cluster_->nodes()[layout_.node_at[position]])) continue;
    cells_.push_back({position, group, true, !kind.ignored.empty() && kind.ignored[group], 1});
  }
}

// Only the nodes that kube-scheduler comes to, each by itself.
void QuickEngine::sample_cells(const Kind& kind, NodeSample& sample) {
  for (const Cell& cell : cells_) (cell.special ? cell_mark_[cell.position] : group_cell_mark_[cell.group]) = mark_;
  std::vector<uint32_t> found;
  auto feasible = [&](uint32_t node) {
    uint32_t position = layout_.position_of[node];
    if (is_special(position)) return cell_mark_[position] == mark_;
    return group_cell_mark_[layout_.group_of[position]] == mark_ && kind.shape->points[position] != PodShape::kNoRoom;
  };
  sample.search(feasible, [&](uint32_t node) { found.push_back(layout_.position_of[node]); });
  std::sort(found.begin(), found.end());
  cells_.clear();
  for (uint32_t position : found) {
    uint32_t group = layout_.group_of[position];
    cells_.push_back({position, group, true, !kind.ignored.empty() && kind.ignored[group], 1});
  }
}

// Whether a pod may go to the node that it names.
bool QuickEngine::fits_pinned(const Kind& kind, uint32_t position) const {
  const Node& node = *cluster_->nodes()[layout_.node_at[position]].node;
  const kube::PodSpec& spec = *kind.example->spec;
  if (kind.shape->points[position] == PodShape::kNoRoom) return false;
  if (profile_->filters_with(Plugin::NodeUnschedulable) && node.unschedulable && !kube::tolerated(kUnschedulableTaint, spec.tolerations)) return false;
  if (profile_->filters_with(Plugin::TaintToleration) && kube::first_untolerated(node.taints, spec.tolerations)) return false;
  if (!node_affinity_matches(spec.node_selector, spec.node_affinity, node.name(), node.meta.labels)) return false;
  uint32_t group = layout_.group_of[position];
  for (const auto* list : {&kind.affinity, &kind.anti_affinity}) {
    for (const Kind::Term& each : *list) each.counter->rewind();
  }
  for (const TopologyCounter* counter : refusing_) counter->rewind();
  return affinity_allows(kind, position, group, true);
}

QuickEngine::Answer QuickEngine::find_pinned(Kind& kind) {
  cells_.clear();
  for (uint32_t position : *kind.pinned) {
    if (fits_pinned(kind, position)) cells_.push_back({position, layout_.group_of[position], true, false, 1});
  }
  if (cells_.empty()) return Answer::Nowhere;
  // One node is the best whatever its score is.
  if (cells_.size() > 1) return Answer::AskPlain;
  first_ = cells_[0].position;
  best_total_ = kind.shape->points[first_];
  return Answer::Found;
}

void QuickEngine::score_spread(const Kind& kind) {
  std::vector<double> weights;
  size_t counted = 0;
  for (const Cell& cell : cells_) counted += cell.ignored ? 0 : cell.nodes;
  for (const Spread& spread : kind.preferred) {
    size_t size = counted;
    if (!spread.by_node) {
      std::vector<uint8_t> seen(spread.topology->domains + 1, 0);
      size = 0;
      for (const Cell& cell : cells_) {
        if (cell.ignored) continue;
        int32_t domain = spread.topology->of_group[cell.group];
        if (spread.topology->own && domain >= 0) {
          size += cell.nodes;
          continue;
        }
        if (domain < 0) domain = spread.topology->empty;
        size_t place = domain < 0 ? spread.topology->domains : static_cast<size_t>(domain);
        size += !std::exchange(seen[place], uint8_t(1));
      }
    }
    weights.push_back(portable_log(static_cast<double>(size + 2)));
    if (spread.counter) spread.counter->rewind();
  }
  int64_t least = std::numeric_limits<int64_t>::max(), most = 0;
  for (Cell& cell : cells_) {
    if (cell.ignored) continue;
    double score = 0;
    for (size_t i = 0; i < kind.preferred.size(); ++i) {
      const Spread& spread = kind.preferred[i];
      if (spread.topology->of_group[cell.group] < 0) continue;
      int64_t pods = !spread.counter ? 0 : cell.special ? spread.counter->at_next(cell.position, cell.group) : spread.counter->at_group(cell.group);
      score += static_cast<double>(pods) * weights[i] + static_cast<double>(spread.max_skew - 1);
    }
    cell.spread = static_cast<int64_t>(std::round(score));
    least = std::min(least, cell.spread);
    most = std::max(most, cell.spread);
  }
  for (Cell& cell : cells_) {
    if (!cell.ignored) cell.spread = most == 0 ? kMaxNodeScore : kMaxNodeScore * (most + least - cell.spread) / most;
  }
}

void QuickEngine::score_affinity(const Kind& kind) {
  for (const Kind::Wish& wish : kind.wishes) {
    wish.counter->rewind();
    for (Cell& cell : cells_) cell.together += wish.weight * (cell.special ? wish.counter->at_next(cell.position, cell.group) : wish.counter->at_group(cell.group));
  }
  for (const TopologyCounter* counter : scoring_) {
    counter->rewind();
    for (Cell& cell : cells_) cell.together += cell.special ? counter->at_next(cell.position, cell.group) : counter->at_group(cell.group);
  }
  int64_t least = cells_[0].together, most = least;
  for (const Cell& cell : cells_) {
    least = std::min(least, cell.together);
    most = std::max(most, cell.together);
  }
  for (Cell& cell : cells_) {
    double share = most > least ? static_cast<double>(kMaxNodeScore) * (static_cast<double>(cell.together - least) / static_cast<double>(most - least)) : 0;
    cell.together = static_cast<int64_t>(share);
  }
}

void QuickEngine::add_points(const Kind& kind) {
  const Rules& rules = *kind.rules;
  int64_t most_taints = 0, most_preferred = 0;
  for (const Cell& cell : cells_) {
    size_t slot = rules.slot(cell.position, cell.group);
    most_taints = std::max<int64_t>(most_taints, rules.taints[slot]);
    most_preferred = std::max<int64_t>(most_preferred, rules.prefers[slot]);
  }
  int64_t taint_weight = profile_->weight(Plugin::TaintToleration), affinity_weight = profile_->weight(Plugin::NodeAffinity);
  int64_t spread_weight = profile_->weight(Plugin::PodTopologySpread), together_weight = profile_->weight(Plugin::InterPodAffinity);
  if (!kind.preferred.empty()) score_spread(kind);
  if (!kind.wishes.empty() || !scoring_.empty()) score_affinity(kind);
  for (Cell& cell : cells_) {
    size_t slot = rules.slot(cell.position, cell.group);
    cell.total = taint_weight * (most_taints == 0 ? kMaxNodeScore : kMaxNodeScore - kMaxNodeScore * rules.taints[slot] / most_taints);
    if (most_preferred > 0) cell.total += affinity_weight * (kMaxNodeScore * rules.prefers[slot] / most_preferred);
    cell.total += spread_weight * cell.spread + together_weight * cell.together;
  }
}

// The first of the best of a group's ordinary nodes.
uint32_t QuickEngine::first_ordinary(PodShape& shape, const Cell& cell, int32_t& points) const {
  points = board_.most_points(shape, cell.group);
  uint32_t first = board_.first_best(shape, cell.group);
  if (!is_special(first)) return first;
  points = PodShape::kNoRoom;
  for (uint32_t position = layout_.groups[cell.group].begin; position < layout_.groups[cell.group].end; ++position) {
    if (shape.points[position] <= points || is_special(position)) continue;
    points = shape.points[position];
    first = position;
  }
  return first;
}

void QuickEngine::pick(Kind& kind) {
  PodShape& shape = *kind.shape;
  best_total_ = -1;
  auto offer = [&](int64_t total, uint32_t position) {
    if (total < best_total_ || (total == best_total_ && layout_.rank[position] > layout_.rank[first_])) return;
    best_total_ = total;
    first_ = position;
  };
  for (const Cell& cell : cells_) {
    if (cell.special) {
      offer(cell.total + shape.points[cell.position], cell.position);
      continue;
    }
    // What the whole group reaches at most.
    if (cell.total + board_.most_points(shape, cell.group) < best_total_) continue;
    int32_t points = 0;
    uint32_t position = first_ordinary(shape, cell, points);
    offer(cell.total + points, position);
  }
}

QuickEngine::Answer QuickEngine::find(const Pod& pod, NodeSample* sample) {
  if (cluster_->has_nominations()) return Answer::AskPlain;
  Kind& kind = *kinds_[kind_of(pod)];
  if (!kind.prepared) prepare(kind);
  if (kind.plain || (kind.has_volumes && VolumeFilter(*cluster_, pod).pre_filter())) return Answer::AskPlain;
  board_.catch_up(*kind.shape);
  shape_ = kind.shape;
  gather(kind);
  if (kind.pinned) {
    Answer answer = find_pinned(kind);
    if (sample && answer == Answer::Found) sample->searched(kind.pinned->size());
    return answer;
  }
  list_special_nodes(kind);
  find_cells(kind, pod);
  if (cells_.empty()) return Answer::Nowhere;
  if (sample) sample_cells(kind, *sample);
  add_points(kind);
  pick(kind);
  return Answer::Found;
}

std::vector<uint32_t> QuickEngine::best() const {
  std::vector<uint32_t> positions;
  for (const Cell& cell : cells_) {
    if (cell.special) {
      if (cell.total + shape_->points[cell.position] == best_total_) positions.push_back(cell.position);
      continue;
    }
    for (uint32_t position = layout_.groups[cell.group].begin; position < layout_.groups[cell.group].end; ++position) {
      if (!is_special(position) && shape_->points[position] != PodShape::kNoRoom && cell.total + shape_->points[position] == best_total_) positions.push_back(position);
    }
  }
  std::sort(positions.begin(), positions.end(), [&](uint32_t a, uint32_t b) { return layout_.rank[a] < layout_.rank[b]; });
  for (uint32_t& each : positions) each = layout_.node_at[each];
  return positions;
}

}  // namespace archway::scheduler
