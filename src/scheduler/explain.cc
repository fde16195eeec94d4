#include "scheduler/explain.h"

#include <algorithm>

#include "scheduler/node_resources.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kArchitectureLabel = "kubernetes.io/arch";
// Each fix removes an objection for good, so that a node needs few; this only guards against a rule we do not know.
constexpr int kMaxFixes = 32;

// A pod and a node being edited until the one fits the other.
struct Attempt {
  Pod pod;
  Node node;
  bool extra_node = false;
  std::vector<Fix> fixes;

  kube::PodSpec& edit() {
    auto copy = std::make_shared<kube::PodSpec>(*pod.spec);
    kube::PodSpec& spec = *copy;
    pod.spec = std::move(copy);
    return spec;
  }
};

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

void tolerate(Attempt& attempt, const kube::Taint& taint) {
  attempt.edit().tolerations.push_back({taint.key, taint.value.empty() ? "Exists" : "Equal", taint.value, taint.effect});
  std::string yaml = "spec:\n  tolerations:\n  - key: " + quoted(taint.key) + "\n";
  yaml += taint.value.empty() ? "    operator: Exists\n" : "    operator: Equal\n    value: " + quoted(taint.value) + "\n";
  attempt.fixes.push_back({"add a toleration for the taint " + taint.str(), yaml + "    effect: " + taint.effect + "\n"});
}

// Makes one expression hold on the node, in the way that gives up least.
std::string relax(kube::Requirement& each, const Labels& labels, bool& remove) {
  const std::string* value = labels.find(each.key);
  std::string about = "the required node affinity on " + each.key;
  if (each.op == kube::SelectorOperator::In && value) {
    each.values.push_back(*value);
    std::sort(each.values.begin(), each.values.end());
    return "let " + about + " also take " + *value;
  }
  if (each.op == kube::SelectorOperator::NotIn && value) {
    std::erase(each.values, *value);
    remove = each.values.empty();
    return "let " + about + " no longer refuse " + *value;
  }
  remove = true;
  return "remove " + about + " (" + std::string(operator_name(each.op)) + ")";
}

std::string term_patch(const std::vector<kube::NodeSelectorTerm>& terms) {
  std::string yaml = "spec:\n  affinity:\n    nodeAffinity:\n      requiredDuringSchedulingIgnoredDuringExecution:\n        nodeSelectorTerms:\n";
  for (const kube::NodeSelectorTerm& term : terms) {
    yaml += term.expressions.empty() ? "        - matchFields:\n" : "        - matchExpressions:\n";
    for (const kube::Requirement& each : term.expressions.empty() ? term.fields : term.expressions) {
      yaml += "          - key: " + quoted(each.key) + "\n            operator: " + std::string(operator_name(each.op)) + "\n";
      if (!each.values.empty()) yaml += "            values: " + to_json(Json(each.values)) + "\n";
    }
  }
  return yaml;
}

size_t objections(const kube::NodeSelectorTerm& term, const Labels& labels) {
  return static_cast<size_t>(std::count_if(term.expressions.begin(), term.expressions.end(), [&](const auto& each) { return !each.matches(labels); }));
}

// False where fields pin the pod to other nodes: such a pod belongs there.
bool fix_affinity(Attempt& attempt) {
  const Labels& labels = attempt.node.meta.labels;
  for (const auto& [key, wanted] : Labels(attempt.pod.spec->node_selector)) {
    const std::string* value = labels.find(key);
    if (value && *value == wanted) continue;
    attempt.edit().node_selector.erase(key);
    attempt.fixes.push_back({"remove " + key + "=" + wanted + " from the nodeSelector", "spec:\n  nodeSelector:\n    " + quoted(key) + ": null\n"});
  }
  if (!attempt.pod.spec->node_affinity.required) return true;
  std::vector<kube::NodeSelectorTerm> terms = *attempt.pod.spec->node_affinity.required;
  if (any_term_matches(terms, attempt.node.name(), labels)) return true;
  kube::NodeSelectorTerm* nearest = nullptr;
  for (kube::NodeSelectorTerm& term : terms) {
    if (!term.fields.empty() || !term.parses || term.expressions.empty()) continue;
    if (!nearest || objections(term, labels) < objections(*nearest, labels)) nearest = &term;
  }
  if (!nearest) return false;
  std::vector<kube::Requirement> kept;
  std::vector<std::string> texts;
  for (kube::Requirement each : nearest->expressions) {
    bool remove = false;
    if (!each.matches(labels)) texts.push_back(relax(each, labels, remove));
    if (!remove) kept.push_back(std::move(each));
  }
  // A term without expressions matches nothing; that the architecture is known says as little as nothing.
  if (kept.empty()) kept.push_back({std::string(kArchitectureLabel), kube::SelectorOperator::Exists, {}});
  nearest->expressions = std::move(kept);
  std::string patch = term_patch(terms);
  attempt.edit().node_affinity.required = std::move(terms);
  for (const std::string& text : texts) attempt.fixes.push_back({text, ""});
  attempt.fixes.back().patch = patch;
  return true;
}

void add_node(Attempt& attempt) {
  attempt.fixes.push_back({"add one more node like " + attempt.node.name(), ""});
  attempt.extra_node = true;
  attempt.node.meta.name += "-more";
  attempt.node.meta.labels.set(kHostnameLabel, attempt.node.meta.name);
}

bool lower_requests(Attempt& attempt) {
  const kube::Resources& most = attempt.node.allocatable;
  const kube::Resources wanted = attempt.pod.requests.real;
  bool done = false;
  auto lower = [&](std::string_view name, int64_t have, int64_t limit, std::string_view unit, int64_t& target) {
    if (have <= limit) return;
    attempt.fixes.push_back({"lower the pod's " + std::string(name) + " request from " + std::to_string(have) + std::string(unit) + " to " +
                                 std::to_string(limit) + std::string(unit) + " or less",
                             ""});
    target = limit;
    done = true;
  };
  kube::PodRequests& requests = attempt.pod.requests;
  lower("cpu", wanted.milli_cpu, most.milli_cpu, "m", requests.real.milli_cpu);
  lower("memory", wanted.memory, most.memory, "", requests.real.memory);
  lower("ephemeral-storage", wanted.ephemeral_storage, most.ephemeral_storage, "", requests.real.ephemeral_storage);
  for (auto& [name, amount] : requests.real.scalars) lower(name, amount, most.scalar(name), "", amount);
  return done;
}

void relax_spread(Attempt& attempt) {
  for (kube::SpreadConstraint& each : attempt.edit().spread) {
    if (!each.required) continue;
    each.required = false;
    attempt.fixes.push_back({"let the spread over " + each.topology_key + " be ScheduleAnyway", ""});
  }
}

void drop_pod_affinity(Attempt& attempt, std::string_view reason) {
  kube::PodSpec& spec = attempt.edit();
  bool anti = reason.find("anti-affinity") != std::string_view::npos;
  (anti ? spec.anti_affinity : spec.affinity).required.clear();
  attempt.fixes.push_back({anti ? "make the required pod anti-affinity a preferred one" : "make the required pod affinity a preferred one", ""});
}

void drop_ports(Attempt& attempt) {
  kube::PodSpec& spec = attempt.edit();
  for (auto* list : {&spec.containers, &spec.init_containers}) {
    for (kube::Container& each : *list) each.ports.clear();
  }
  attempt.fixes.push_back({"give up the host ports, which another pod on the node has", ""});
}

// Does away with one objection. False where nothing that we know of would.
bool fix(Attempt& attempt, const Refusal& refusal) {
  switch (refusal.plugin) {
    case Plugin::SchedulingGates:
      attempt.edit().scheduling_gates.clear();
      attempt.fixes.push_back({"remove the scheduling gates", ""});
      return true;
    case Plugin::NodeUnschedulable:
      attempt.node.unschedulable = false;
      attempt.fixes.push_back({"uncordon node " + attempt.node.name(), ""});
      return true;
    case Plugin::NodeName:
      attempt.pod.node_name.clear();
      attempt.fixes.push_back({"remove spec.nodeName", ""});
      return true;
    case Plugin::TaintToleration: {
      const kube::Taint* taint = kube::first_untolerated(attempt.node.taints, attempt.pod.spec->tolerations);
      if (taint) tolerate(attempt, kube::Taint(*taint));
      return taint != nullptr;
    }
    case Plugin::NodeAffinity: return fix_affinity(attempt);
    case Plugin::NodePorts: return drop_ports(attempt), true;
    case Plugin::NodeResourcesFit:
      if (refusal.verdict == Verdict::UnschedulableAndUnresolvable && lower_requests(attempt)) return true;
      if (attempt.extra_node || attempt.node.allocatable.pods < 1) return false;
      return add_node(attempt), true;
    case Plugin::PodTopologySpread:
      if (std::none_of(attempt.pod.spec->spread.begin(), attempt.pod.spec->spread.end(), [](const auto& each) { return each.required; })) return false;
      return relax_spread(attempt), true;
    case Plugin::InterPodAffinity:
      if (refusal.reasons[0].find("existing pods") != std::string::npos) {
        if (attempt.extra_node) return false;
        return add_node(attempt), true;
      }
      return drop_pod_affinity(attempt, refusal.reasons[0]), true;
    default: return false;
  }
}

std::vector<Node> edited_nodes(const Cluster& cluster, const Attempt& attempt) {
  std::vector<Node> nodes;
  for (const NodeState& each : cluster.nodes()) {
    bool same = !attempt.extra_node && each.node->name() == attempt.node.name();
    nodes.push_back(same ? attempt.node : *each.node);
  }
  bool known = std::any_of(nodes.begin(), nodes.end(), [&](const Node& each) { return each.name() == attempt.node.name(); });
  if (!known) nodes.push_back(attempt.node);
  return nodes;
}

// The cluster with the attempt's node in it, and all pods where they are.
Cluster edited_cluster(const Cluster& cluster, const std::vector<Node>& nodes) {
  Cluster edited(nodes, cluster.objects());
  for (const NodeState& each : cluster.nodes()) {
    const NodeState* there = edited.find_node(each.node->name());
    for (const Pod* pod : each.pods) edited.bind(*pod, there->index);
  }
  return edited;
}

// Fixes one objection after the other. Most touch the pod alone; the cluster is only built anew where the node changed.
std::optional<Attempt> make_fit(const Profile& profile, const Cluster& cluster, const Pod& pod, const NodeState& state, bool extra, std::string& why) {
  Attempt attempt{pod, *state.node, extra, {}};
  if (extra) attempt.fixes.push_back({"add a node like " + state.node->name(), ""});
  for (int round = 0; round < kMaxFixes; ++round) {
    bool node_changed = attempt.extra_node || !state.node || attempt.node.unschedulable != state.node->unschedulable || extra;
    std::optional<Refusal> refusal;
    if (node_changed) {
      std::vector<Node> nodes = edited_nodes(cluster, attempt);
      Cluster edited = edited_cluster(cluster, nodes);
      Cycle cycle(profile, edited, attempt.pod);
      refusal = cycle.pre_filter() ? cycle.pre_filter() : cycle.filter_with_nominated(*edited.find_node(attempt.node.name()));
    } else {
      Cycle cycle(profile, cluster, attempt.pod);
      refusal = cycle.pre_filter() ? cycle.pre_filter() : cycle.filter_with_nominated(state);
    }
    if (!refusal) return attempt;
    if (!fix(attempt, *refusal)) {
      why = std::string(plugin_name(refusal->plugin)) + (refusal->reasons.empty() ? "" : ": " + refusal->reasons[0]);
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// Nodes that differ in nothing that a pod can ask for need the same fixes: one of each kind is enough.
bool alike(const Node& a, const Node& b) {
  Labels first = a.meta.labels, second = b.meta.labels;
  first.erase(kHostnameLabel);
  second.erase(kHostnameLabel);
  return first == second && a.taints == b.taints && a.unschedulable == b.unschedulable && a.allocatable == b.allocatable;
}

}  // namespace

SmallestChangeAnswer smallest_change(const Profile& profile, const Cluster& cluster, const Pod& pod, const std::string& architecture) {
  SmallestChangeAnswer answer;
  answer.why = "the cluster has no nodes";
  std::optional<Attempt> best;
  auto consider = [&](std::optional<Attempt> attempt) {
    if (attempt && (!best || attempt->fixes.size() < best->fixes.size())) best = std::move(attempt);
  };
  Cycle as_it_is(profile, cluster, pod);
  auto fits_as_it_is = [&](const NodeState& state) { return !as_it_is.pre_filter() && !as_it_is.filter_with_nominated(state); };
  auto of_architecture = [&](const NodeState& state) { return state.node->architecture() == architecture; };
  const std::vector<NodeState>& all = cluster.nodes();
  // The first that takes it as it is needs no fix; where there is none, the first that takes one fix is as good as any.
  auto fitting = std::find_if(all.begin(), all.end(), [&](const NodeState& state) { return of_architecture(state) && fits_as_it_is(state); });
  size_t fewest = fitting == all.end() ? 1 : 0;
  std::vector<const NodeState*> tried;
  for (const NodeState& state : all) {
    if (!of_architecture(state) || (fewest == 0 && &state != &*fitting)) continue;
    bool fits = fewest == 0;
    // A kind of node is tried once, and once more for each node of it that the pod does not fit for want of room.
    bool seen = std::any_of(tried.begin(), tried.end(), [&](const NodeState* each) { return alike(*each->node, *state.node); });
    if (!fits && seen && tried.size() > 64) continue;
    tried.push_back(&state);
    consider(make_fit(profile, cluster, pod, state, false, answer.why));
    if (best && best->fixes.size() <= fewest) break;
  }
  // Without a node of the architecture: what if a node like one of the others were of it?
  std::vector<Node> imagined;
  for (const NodeState& state : cluster.nodes()) {
    if (!tried.empty() || std::any_of(imagined.begin(), imagined.end(), [&](const Node& each) { return alike(each, *state.node); })) continue;
    Node node = *state.node;
    imagined.push_back(*state.node);
    node.meta.name = architecture + "-node";
    node.meta.labels.set(kHostnameLabel, node.meta.name);
    node.meta.labels.set(kArchitectureLabel, architecture);
    node.meta.labels.set("beta.kubernetes.io/arch", architecture);
    NodeState empty;
    empty.node = &node;
    consider(make_fit(profile, cluster, pod, empty, true, answer.why));
  }
  if (!best) return answer;
  std::vector<Node> nodes = edited_nodes(cluster, *best);
  answer.why.clear();
  answer.change = SmallestChange{std::move(best->fixes), best->node.name(), std::move(best->pod), std::move(nodes)};
  return answer;
}

std::optional<OutweighedPreference> outweighed_preference(const Cluster& cluster, const Pod& pod, const Decision& decision) {
  std::vector<kube::PreferredNodeTerm> wishes;
  for (const kube::PreferredNodeTerm& each : pod.spec->node_affinity.preferred) {
    bool of_architecture = std::any_of(each.term.expressions.begin(), each.term.expressions.end(),
                                       [](const kube::Requirement& one) { return one.key == "kubernetes.io/arch" || one.key == "beta.kubernetes.io/arch"; });
    if (of_architecture) wishes.push_back(each);
  }
  if (wishes.empty() || !decision.chosen) return std::nullopt;
  auto wished = [&](uint32_t index) {
    const Node& node = *cluster.nodes()[index].node;
    return kube::preference_score(wishes, node.name(), node.meta.labels) > 0;
  };
  if (wished(*decision.chosen)) return std::nullopt;
  std::optional<uint32_t> best;
  for (uint32_t i = 0; i < decision.nodes.size(); ++i) {
    if (decision.nodes[i].refusal || !wished(i)) continue;
    bool better = !best || decision.nodes[i].total > decision.nodes[*best].total ||
                  (decision.nodes[i].total == decision.nodes[*best].total && cluster.nodes()[i].node->name() < cluster.nodes()[*best].node->name());
    if (better) best = i;
  }
  if (!best) return std::nullopt;
  const NodeAnswer &has = decision.nodes[*decision.chosen], &lacks = decision.nodes[*best];
  OutweighedPreference answer{cluster.nodes()[*best].node->name(), cluster.nodes()[*decision.chosen].node->name(), has.total - lacks.total, {}};
  for (size_t slot = 0; slot < kScorers.size(); ++slot) {
    int64_t more = has.scores[slot] - lacks.scores[slot];
    if (decision.scorers[slot] && more != 0) answer.plugins.push_back({kScorers[slot], more});
  }
  std::stable_sort(answer.plugins.begin(), answer.plugins.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return answer;
}

}  // namespace archway::scheduler
