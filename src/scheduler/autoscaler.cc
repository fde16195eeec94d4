#include "scheduler/autoscaler.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kConditionTaints[] = {
    "node.kubernetes.io/not-ready",       "node.kubernetes.io/unreachable",          "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/memory-pressure", "node.kubernetes.io/disk-pressure",        "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/pid-pressure",    "node.cloudprovider.kubernetes.io/uninitialized", "node.cloudprovider.kubernetes.io/shutdown",
    "cloud.google.com/impending-node-termination", "NodeWithImpairedVolumes",        "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler"};
constexpr std::string_view kStartupPrefixes[] = {"ignore-taint.cluster-autoscaler.kubernetes.io/", "startup-taint.cluster-autoscaler.kubernetes.io/",
                                                 "status-taint.cluster-autoscaler.kubernetes.io/"};

bool passing(const kube::Taint& taint) {
  auto same = [&](std::string_view key) { return taint.key == key; };
  auto begins = [&](std::string_view prefix) { return taint.key.starts_with(prefix); };
  return std::any_of(std::begin(kConditionTaints), std::end(kConditionTaints), same) || std::any_of(std::begin(kStartupPrefixes), std::end(kStartupPrefixes), begins);
}

// A node that is there, as the model of one that is not.
NodeTemplate as_model(const Node& node, const kube::Resources& capacity, const std::string& source) {
  NodeTemplate model{node, capacity, source};
  std::erase_if(model.node.taints, passing);
  model.node.unschedulable = false;
  model.node.images.clear();
  return model;
}

std::string reasons_of(const Refusal& refusal) { return refusal.reasons.empty() ? std::string(plugin_name(refusal.plugin)) : join(refusal.reasons, "; "); }

// Labels by which groups of one kind differ (compare_nodegroups.go, aws_nodegroups.go).
constexpr std::string_view kIgnoredLabels[] = {
    "kubernetes.io/hostname",       "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",  "topology.kubernetes.io/region",          "beta.kubernetes.io/fluentd-ds-ready",
    "kops.k8s.io/instancegroup"};
constexpr std::string_view kIgnoredAwsLabels[] = {
    "alpha.eksctl.io/instance-id", "alpha.eksctl.io/nodegroup-name", "eks.amazonaws.com/nodegroup", "k8s.amazonaws.com/eniConfig",
    "lifecycle",                   "topology.ebs.csi.aws.com/zone",  "topology.k8s.aws/zone-id"};
constexpr double kMemoryTolerance = 0.015, kAllocatableTolerance = 0.05, kFreeTolerance = 0.05;

bool within(int64_t a, int64_t b, double tolerance) {
  double larger = static_cast<double>(std::max(a, b)), smaller = static_cast<double>(std::min(a, b));
  return larger - smaller <= larger * tolerance;
}

bool within(const kube::Resources& a, const kube::Resources& b, double tolerance) {
  if (a.scalars.size() != b.scalars.size()) return false;
  for (size_t i = 0; i < a.scalars.size(); ++i) {
    if (a.scalars[i].first != b.scalars[i].first || !within(a.scalars[i].second, b.scalars[i].second, tolerance)) return false;
  }
  return within(a.milli_cpu, b.milli_cpu, tolerance) && within(a.memory, b.memory, tolerance) && within(a.ephemeral_storage, b.ephemeral_storage, tolerance);
}

}  // namespace

// A group that could grow, with what its next node is taken for and which pods that node would take.
struct Autoscaler::Candidate {
  const GroupState* state = nullptr;
  NodeTemplate node;
  std::vector<Pod> companions;
  kube::Resources free;
  std::vector<PodGroup> fits;
};

Autoscaler::Autoscaler(AutoscalerOptions options, std::vector<NodeGroup> groups, const PriceTable& prices, std::optional<PriorityConfig> priorities, std::string why_none)
    : options_(std::move(options)), prices_(&prices), priorities_(std::move(priorities)), why_none_(std::move(why_none)) {
  std::stable_sort(groups.begin(), groups.end(), [](const NodeGroup& a, const NodeGroup& b) { return a.name < b.name; });
  for (NodeGroup& group : groups) {
    GroupState state;
    state.current = group.current;
    state.group = std::move(group);
    groups_.push_back(std::move(state));
  }
  expander_.emplace(options_.expanders, priorities_ ? &*priorities_ : nullptr, why_none_, 0, options_.seed);
}

GroupState* Autoscaler::find(const std::string& name) {
  auto at = std::find_if(groups_.begin(), groups_.end(), [&](const GroupState& state) { return state.group.name == name; });
  return at == groups_.end() ? nullptr : &*at;
}

void Autoscaler::claim_nodes(const World& world, const std::map<std::string, std::string>& provider_ids, const std::map<std::string, kube::Resources>& capacities) {
  capacities_ = capacities;
  std::set<std::string> taken;
  for (GroupState& state : groups_) {
    std::set<std::string> instances(state.group.instances.begin(), state.group.instances.end());
    for (const auto& [name, node] : world.nodes()) {
      auto id = provider_ids.find(name);
      bool by_id = id != provider_ids.end() && instances.contains(id->second.substr(id->second.rfind('/') + 1));
      if (!by_id && !state.group.nodes.matches(node.meta.labels)) continue;
      if (taken.insert(name).second) state.nodes.insert(name);
    }
    // A size that the file leaves open is what is there.
    state.current = std::max<int64_t>(state.current, static_cast<int64_t>(state.nodes.size()));
  }
}

Result<NodeTemplate> Autoscaler::template_for(const GroupState& state, const World& world) const {
  for (const std::string& name : state.nodes) {
    auto at = world.nodes().find(name);
    if (at == world.nodes().end()) continue;
    auto capacity = capacities_.find(name);
    return as_model(at->second, capacity == capacities_.end() ? at->second.allocatable : capacity->second, "as node " + name);
  }
  if (state.remembered) return *state.remembered;
  return autoscaler_template(state.group, *prices_);
}

Result<Node> Autoscaler::make_node(const std::string& name) {
  GroupState* state = find(name);
  if (!state) return Error{Code::NotFound, "no node group " + name};
  NodeTemplate real = TRY(real_node(state->group, *prices_, static_cast<size_t>(state->made)));
  Node node = std::move(real.node);
  node.meta.name = state->group.name + "-new-" + std::to_string(++state->made);
  node.meta.labels.set(kHostnameLabel, node.meta.name);
  // It answers to the group's selector, if that asks for labels' values.
  for (const kube::Requirement& requirement : state->group.nodes.requirements()) {
    if (requirement.op == kube::SelectorOperator::In && requirement.values.size() == 1) node.meta.labels.set(requirement.key, requirement.values[0]);
  }
  capacities_[node.meta.name] = real.capacity;
  state->nodes.insert(node.meta.name);
  return node;
}

std::optional<std::string> Autoscaler::over_limits(const World& world, const NodeTemplate& node, int64_t nodes) const {
  int64_t cores = 0, memory = 0;
  for (const auto& [name, each] : world.nodes()) {
    auto capacity = capacities_.find(name);
    const kube::Resources& size = capacity == capacities_.end() ? each.allocatable : capacity->second;
    cores += size.milli_cpu / 1000;
    memory += size.memory;
  }
  if (options_.max_cores > 0 && cores + nodes * (node.capacity.milli_cpu / 1000) > options_.max_cores) return "max cluster cpu limit reached";
  if (options_.max_memory_gib > 0 && memory + nodes * node.capacity.memory > (options_.max_memory_gib << 30)) return "max cluster memory limit reached";
  return std::nullopt;
}

std::vector<Autoscaler::Candidate> Autoscaler::candidates(World& world, const std::vector<PodGroup>& groups, ScaleUp& result) const {
  std::vector<Candidate> found;
  for (const GroupState& state : groups_) {
    auto skip = [&](const std::string& why) { result.skipped.push_back({state.group.name, why}); };
    if (state.current >= state.group.max) {
      skip("max size reached (" + std::to_string(state.group.max) + ")");
      continue;
    }
    auto model = template_for(state, world);
    if (!model.ok()) {
      skip("no node template: " + model.error().message);
      continue;
    }
    if (auto over = over_limits(world, *model, 1)) {
      skip(*over);
      continue;
    }
    Candidate candidate;
    candidate.state = &state;
    candidate.node = std::move(*model);
    candidate.companions = world.daemons_for(candidate.node.node);
    candidate.free = candidate.node.node.allocatable;
    for (const Pod& pod : candidate.companions) candidate.free.add(pod.requests.real, -1);
    Packing packing(world.profile(), world.cluster(), candidate.node.node, candidate.companions, Packing::needs_care(world.profile(), world.cluster(), groups));
    size_t empty = packing.add_node();
    for (const PodGroup& group : groups) {
      auto refusal = packing.check(group.sample(), empty);
      if (!refusal) {
        candidate.fits.push_back(group);
      } else {
        result.rejections.push_back({group.sample().meta.key(), state.group.name, reasons_of(*refusal), group.pods.size()});
      }
    }
    found.push_back(std::move(candidate));
  }
  return found;
}

bool Autoscaler::similar(const Candidate& a, const Candidate& b) const {
  const kube::Resources &first = a.node.capacity, &second = b.node.capacity;
  if (first.milli_cpu != second.milli_cpu || first.pods != second.pods || first.ephemeral_storage != second.ephemeral_storage || first.scalars != second.scalars) return false;
  if (!within(first.memory, second.memory, kMemoryTolerance)) return false;
  if (!within(a.node.node.allocatable, b.node.node.allocatable, kAllocatableTolerance) || !within(a.free, b.free, kFreeTolerance)) return false;
  bool aws = a.state->group.provider == "aws";
  auto ignored = [&](const std::string& key) {
    auto same = [&](std::string_view each) { return key == each; };
    return std::any_of(std::begin(kIgnoredLabels), std::end(kIgnoredLabels), same) || (aws && std::any_of(std::begin(kIgnoredAwsLabels), std::end(kIgnoredAwsLabels), same)) ||
           std::find(options_.ignored_labels.begin(), options_.ignored_labels.end(), key) != options_.ignored_labels.end();
  };
  auto kept = [&](const Labels& labels) {
    std::vector<Labels::Entry> entries;
    for (const auto& [key, value] : labels) {
      if (!ignored(key)) entries.push_back({key, value});
    }
    return entries;
  };
  return kept(a.node.node.meta.labels) == kept(b.node.node.meta.labels);
}

// Groups alike that would take every pod that this one takes.
std::vector<size_t> Autoscaler::similar_to(const std::vector<Candidate>& candidates, size_t of) const {
  std::vector<size_t> found;
  if (!options_.balance_similar) return found;
  std::set<const Pod*> samples;
  for (size_t other = 0; other < candidates.size(); ++other) {
    if (other == of || !similar(candidates[of], candidates[other])) continue;
    std::set<const Pod*> theirs;
    for (const PodGroup& group : candidates[other].fits) theirs.insert(&group.sample());
    bool all = std::all_of(candidates[of].fits.begin(), candidates[of].fits.end(), [&](const PodGroup& group) { return theirs.contains(&group.sample()); });
    if (all) found.push_back(other);
  }
  return found;
}

// The least of the static limit, what the group and those alike may still grow, and what the cluster may (estimator/*_threshold.go).
int64_t Autoscaler::most_new_nodes(const std::vector<Candidate>& candidates, size_t of, int64_t existing) const {
  auto room = [](const GroupState& state) { return std::max<int64_t>(0, state.group.max - state.current); };
  int64_t capacity = room(*candidates[of].state);
  for (size_t other : similar_to(candidates, of)) capacity += room(*candidates[other].state);
  int64_t most = options_.max_nodes_per_scale_up > 0 ? std::min(options_.max_nodes_per_scale_up, capacity) : capacity;
  if (options_.max_nodes_total > 0) most = std::min(most, std::max<int64_t>(0, options_.max_nodes_total - existing));
  return most;
}

int64_t Autoscaler::cap(const World& world, const NodeTemplate& node, int64_t nodes, int64_t existing, ScaleUp& result) const {
  if (options_.max_nodes_total > 0 && nodes + existing > options_.max_nodes_total) {
    nodes = std::max<int64_t>(0, options_.max_nodes_total - existing);
    result.notes.push_back("capped to " + std::to_string(nodes) + " by the most nodes of the cluster, " + std::to_string(options_.max_nodes_total));
  }
  int64_t allowed = nodes;
  while (allowed > 0 && over_limits(world, node, allowed)) --allowed;
  if (allowed < nodes) result.notes.push_back("capped to " + std::to_string(allowed) + ": " + *over_limits(world, node, nodes));
  return allowed;
}

// balancing_processor.go: the smallest group first; one that is full leaves.
std::vector<Growth> Autoscaler::balance(std::vector<const GroupState*> groups, int64_t nodes) const {
  struct Share {
    const GroupState* state;
    int64_t size;
  };
  std::vector<Share> shares;
  int64_t capacity = 0;
  for (const GroupState* state : groups) {
    if (state->current == state->group.max) continue;
    capacity += std::max<int64_t>(0, state->group.max - state->current);
    shares.push_back({state, state->current});
  }
  nodes = std::min(nodes, capacity);
  std::stable_sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    return a.state->current != b.state->current ? a.state->current < b.state->current : a.state->group.name < b.state->group.name;
  });
  size_t start = 0, at = 0;
  while (nodes > 0) {
    int64_t size = 0;
    if (shares[at].size < shares[at].state->group.max) {
      size = ++shares[at].size;
      --nodes;
    } else {
      size = shares[at].size;
      std::swap(shares[start], shares[at]);
      ++start;
    }
    at = at + 1 < shares.size() && size > shares[at + 1].size ? at + 1 : start;
  }
  std::vector<Growth> growth;
  for (const Share& share : shares) {
    if (share.size != share.state->current) growth.push_back({share.state->group.name, share.state->current, share.size});
  }
  std::sort(growth.begin(), growth.end(), [](const Growth& a, const Growth& b) { return a.group < b.group; });
  return growth;
}

ScaleUp Autoscaler::scale_up(World& world, const std::map<std::string, int64_t>& upcoming) {
  ScaleUp result;
  std::vector<const Pod*> pending = world.pending();
  int64_t existing = static_cast<int64_t>(world.nodes().size());
  // What is on its way takes its share first: pods that will fit there make nothing grow.
  for (const auto& [name, count] : upcoming) {
    existing += count;
    GroupState* state = find(name);
    auto model = state ? template_for(*state, world) : Result<NodeTemplate>(Error{});
    if (!model.ok() || pending.empty()) continue;
    std::vector<Pod> companions = world.daemons_for(model->node);
    std::vector<PodGroup> groups = group_pods(pending);
    Packing packing(world.profile(), world.cluster(), model->node, companions, Packing::needs_care(world.profile(), world.cluster(), groups));
    for (int64_t i = 0; i < count; ++i) packing.add_node();
    std::vector<const Pod*> left;
    for (const PodGroup& group : groups) {
      packing.alike(group);
      for (const Pod* pod : group.pods) {
        if (!packing.place_on_any(*pod)) left.push_back(pod);
      }
    }
    pending = std::move(left);
  }
  result.pending = pending.size();
  if (pending.empty()) return result;
  std::vector<PodGroup> groups = group_pods(pending);
  std::vector<Candidate> found = candidates(world, groups, result);
  std::vector<Option> options;
  std::vector<size_t> of_option;
  for (size_t i = 0; i < found.size(); ++i) {
    const Candidate& candidate = found[i];
    if (candidate.fits.empty()) continue;
    Estimate estimated = estimate(world.profile(), world.cluster(), candidate.node, candidate.companions, candidate.fits, most_new_nodes(found, i, existing));
    if (estimated.nodes == 0 || estimated.pods.empty()) continue;
    result.options.push_back({candidate.state->group.name, candidate.node.source, estimated.nodes, estimated.pods.size(), estimated.limited});
    options.push_back({&candidate.state->group, &candidate.node, estimated.nodes, std::move(estimated.pods), price_of(candidate.state->group, *prices_)});
    of_option.push_back(i);
  }
  if (options.empty()) return result;
  expander_->set_cluster_size(world.nodes().size());
  auto chosen = expander_->choose(options, result.steps);
  if (!chosen) {
    result.notes.push_back("the expanders left no option");
    return result;
  }
  const Candidate& best = found[of_option[*chosen]];
  result.chosen = best.state->group.name;
  result.wanted = options[*chosen].nodes;
  result.pods = options[*chosen].pods;
  int64_t nodes = cap(world, best.node, result.wanted, existing, result);
  std::vector<const GroupState*> sharing = {best.state};
  for (size_t other : similar_to(found, of_option[*chosen])) sharing.push_back(found[other].state);
  if (nodes > 0) result.growth = balance(std::move(sharing), nodes);
  int64_t grown = 0;
  for (const Growth& each : result.growth) grown += each.to - each.from;
  if (grown < nodes) result.notes.push_back("only " + std::to_string(grown) + " of " + std::to_string(nodes) + " nodes: the groups' largest sizes allow no more");
  for (const Growth& each : result.growth) find(each.group)->current = each.to;
  return result;
}

}  // namespace archway::scheduler
