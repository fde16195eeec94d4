#include "scheduler/plan.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "scheduler/instance_types.h"

namespace archway::scheduler {

namespace {

constexpr int64_t kMostNodesPerGroup = 5000;
constexpr size_t kMostTrials = 60;  // simulations per node group; candidates beyond are ruled out by their least possible cost, or not tried

// Labels that a node has by itself; the others come from its group.
bool is_own_label(std::string_view key) {
  constexpr std::string_view exact[] = {"kubernetes.io/arch", "beta.kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/os", "kubernetes.io/hostname",
                                        "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
                                        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"};
  return std::find(std::begin(exact), std::end(exact), key) != std::end(exact);
}

// The most frequent value; the first of equally frequent ones.
std::string most_common(const std::map<std::string, size_t>& counts) {
  std::string best;
  size_t most = 0;
  for (const auto& [value, count] : counts) {
    if (count > most && !value.empty()) best = value, most = count;
  }
  return best;
}

struct Site {
  std::string cloud, region;
  std::vector<std::string> zones;
};

Site site_of(const Inventory& inventory, const Bill& bill, const PlanOptions& options) {
  std::map<std::string, size_t> clouds, regions;
  for (const BillLine& line : bill.lines) {
    clouds[line.cloud] += line.count;
    regions[line.region] += line.count;
  }
  Site site{options.cloud.empty() ? most_common(clouds) : options.cloud, options.region.empty() ? most_common(regions) : options.region, {}};
  std::set<std::string> zones;
  for (const Node& node : inventory.nodes) {
    std::string zone = node.label(kZoneLabel);
    if (!zone.empty()) zones.insert(zone);
  }
  site.zones.assign(zones.begin(), zones.end());
  return site;
}

struct CandidateType {
  Machine machine;
  int64_t price = 0;
  bool priced = false;
  // What choices go by: money, and among types without a price processors.
  __int128_t rank(int64_t nodes) const { return static_cast<__int128_t>(priced ? price : machine.vcpu) * nodes; }
};

// Machines that only now and then have all of their processors; no like-for-like replacement for others.
bool is_burstable(std::string_view type) {
  auto [family, size] = cut(type, '.');
  if (size && family.size() >= 2 && family[0] == 't' && family[1] >= '0' && family[1] <= '9') return true;
  return type.starts_with("Standard_B");
}

Result<std::vector<CandidateType>> candidates(const PriceTable& prices, const Site& site, const Bill& today, const PlanOptions& options) {
  std::vector<CandidateType> found;
  for (const std::string& type : options.types) {
    auto machine = find_machine(type, prices);
    if (!machine) return Error{Code::NotFound, "the size of type " + type + " is not known", "add it to a price file (--prices)"};
    if (machine->architecture != options.architecture) return Error{Code::Invalid, "type " + type + " is " + machine->architecture + ", not " + options.architecture};
    const Price* price = prices.find(site.cloud, site.region, type);
    found.push_back({*machine, price ? price->on_demand : 0, price != nullptr});
  }
  if (!options.types.empty()) return found;
  bool burstable = std::any_of(today.lines.begin(), today.lines.end(), [](const BillLine& line) { return is_burstable(line.type); });
  for (const Price* price : prices.of_region(site.cloud, site.region)) {
    auto machine = find_machine(price->type, prices);
    if (is_burstable(price->type) && !burstable) continue;
    if (machine && machine->architecture == options.architecture) found.push_back({*machine, price->on_demand, true});
  }
  // Without prices a plan still has nodes, and says that it has no bill.
  std::set<std::string> seen;
  for (const std::string& region : found.empty() ? prices.regions(site.cloud) : std::vector<std::string>()) {
    for (const Price* price : prices.of_region(site.cloud, region)) {
      auto machine = find_machine(price->type, prices);
      if (!machine || machine->architecture != options.architecture || (is_burstable(price->type) && !burstable)) continue;
      if (seen.insert(price->type).second) found.push_back({*machine, 0, false});
    }
  }
  if (found.empty()) {
    std::string where = site.cloud.empty() && site.region.empty() ? "an unknown place" : site.cloud + " " + site.region;
    return Error{Code::NotFound, "no " + options.architecture + " type with a price is known for " + where, "add some with --prices, or name --region, or types with --type"};
  }
  return found;
}

// Pods that need one kind of node besides its size: the labels of a group that they ask for.
struct Pool {
  Labels labels;
  std::vector<std::string> workloads;
  std::vector<const Pod*> pods;
};

// Labels of the pod's own node that it names in its selector or required affinity.
Labels wanted_labels(const Pod& pod, const Node* node) {
  Labels labels;
  auto want = [&](const std::string& key) {
    const std::string* value = node && !is_own_label(key) ? node->meta.labels.find(key) : nullptr;
    if (value) labels.set(key, *value);
  };
  for (const auto& [key, value] : pod.spec->node_selector) {
    if (!node && !is_own_label(key)) labels.set(key, value);
    want(key);
  }
  if (pod.spec->node_affinity.required) {
    for (const kube::NodeSelectorTerm& term : *pod.spec->node_affinity.required) {
      for (const kube::Requirement& each : term.expressions) want(each.key);
    }
  }
  return labels;
}

class Planner {
 public:
  Planner(const Inventory& inventory, const Profile& profile, const ImageKnowledge& images, const PriceTable& prices, const PlanFacts& facts, const PlanOptions& options)
      : inventory_(inventory), profile_(profile), images_(images), prices_(prices), facts_(facts), options_(options) {
    for (const Node& node : inventory_.nodes) nodes_[node.name()] = &node;
  }

  Result<MigrationPlan> run() {
    if (inventory_.nodes.empty()) return Error{Code::Invalid, "the cluster has no nodes", "add the output of kubectl get nodes,pods,deployments,... -A -o json"};
    plan_.today = bill_of(inventory_.nodes, prices_, facts_, options_);
    plan_.workloads = classify_workloads(inventory_, images_, options_);
    plan_.daemons = classify_daemons(inventory_, images_, options_);
    plan_.problems = inventory_.problems;
    site_ = site_of(inventory_, plan_.today, options_);
    candidates_ = TRY(candidates(prices_, site_, plan_.today, options_));
    options_.cloud = site_.cloud;
    options_.region = site_.region;
    pairs();
    Outcome whole = evaluate(PlanWorkload::State::Moves, false);
    plan_.groups = whole.groups;
    plan_.removed_nodes = whole.removed;
    plan_.tomorrow = whole.bill;
    plan_.unplaced = whole.unplaced;
    name_pools(whole.pools);
    plan_.tidied = tidied();
    bool blocked = std::any_of(plan_.workloads.begin(), plan_.workloads.end(), [](const PlanWorkload& each) { return each.state == PlanWorkload::State::Blocked; });
    if (blocked) plan_.blocked_saving = plan_.tomorrow.nano_per_month - evaluate(PlanWorkload::State::Moves, true).bill.nano_per_month;
    steps();
    notes();
    return std::move(plan_);
  }

 private:
  struct Outcome {
    std::vector<PlanGroup> groups;
    std::vector<Pool> pools;
    std::vector<std::string> removed, unplaced;
    __int128_t arm_nano = 0;
    Bill bill;
  };

  bool moves(const std::string& workload, PlanWorkload::State state, bool blocked_too) const {
    for (const PlanWorkload& each : plan_.workloads) {
      if (each.name == workload) return each.state == state || (blocked_too && each.state == PlanWorkload::State::Blocked);
    }
    return false;
  }

  // The cluster with the toleration in every DaemonSet that can follow, and those that cannot kept away.
  Inventory prepared() const {
    Inventory copy = inventory_;
    for (kube::Workload& each : copy.workloads) {
      if (each.kind != "DaemonSet" || !each.pod) continue;
      for (const PlanWorkload& daemon : plan_.daemons) {
        if (daemon.name != "DaemonSet " + each.meta.key()) continue;
        auto spec = std::make_shared<kube::PodSpec>(*each.pod->spec);
        if (daemon.state == PlanWorkload::State::Moves) {
          if (!kube::tolerated(options_.taint, spec->tolerations)) spec->tolerations.push_back({options_.taint.key, "Exists", "", options_.taint.effect});
        } else {
          kube::Requirement away{"kubernetes.io/arch", kube::SelectorOperator::NotIn, {options_.architecture}};
          if (!spec->node_affinity.required) spec->node_affinity.required.emplace(1);
          for (kube::NodeSelectorTerm& term : *spec->node_affinity.required) term.expressions.push_back(away);
        }
        each.pod->spec = std::move(spec);
      }
    }
    return copy;
  }

  std::vector<Pool> pools(const std::vector<const Pod*>& pods) const {
    std::vector<Pool> found;
    for (const Pod* pod : pods) {
      auto node = nodes_.find(pod->node_name);
      Labels labels = wanted_labels(*pod, node == nodes_.end() ? nullptr : node->second);
      auto same = std::find_if(found.begin(), found.end(), [&](const Pool& each) { return each.labels == labels; });
      if (same == found.end()) same = found.insert(found.end(), Pool{labels, {}, {}});
      same->pods.push_back(pod);
      std::string workload = workload_name(inventory_, *pod);
      if (same->workloads.empty() || same->workloads.back() != workload) same->workloads.push_back(workload);
    }
    return found;
  }

  std::vector<NodeGroup> groups_for(const CandidateType& type, const Pool& pool, const std::string& name) const {
    std::vector<NodeGroup> groups;
    std::vector<std::string> zones = site_.zones.empty() ? std::vector<std::string>{""} : site_.zones;
    for (size_t i = 0; i < zones.size(); ++i) {
      NodeGroup group;
      group.name = group.id = name + (zones.size() > 1 ? "-" + zones[i] : "");
      group.provider = site_.cloud;
      group.region = site_.region;
      group.types = {type.machine.type};
      if (!zones[i].empty()) group.zones = {zones[i]};
      group.max = kMostNodesPerGroup;
      group.labels = pool.labels;
      group.taints = {options_.taint};
      group.declares_nodes = true;
      // Planned with what nodes really leave to pods, not with what the autoscaler takes them for.
      kube::Resources real = estimated_allocatable(type.machine.vcpu, type.machine.memory_gib);
      group.milli_cpu = real.milli_cpu;
      group.memory = real.memory;
      group.pods = real.pods;
      groups.push_back(std::move(group));
    }
    return groups;
  }

  // Copies of pods as they will be, waiting for a place.
  std::vector<Pod> moved_pods(const std::vector<const Pod*>& pods) const {
    std::vector<Pod> moved;
    std::map<const kube::PodSpec*, std::shared_ptr<const kube::PodSpec>> specs;
    for (const Pod* pod : pods) {
      auto& spec = specs[pod->spec.get()];
      if (!spec) spec = moved_spec(*pod->spec, options_);
      Pod copy = *pod;
      copy.spec = spec;
      copy.node_name.clear();
      copy.nominated_node.clear();
      copy.meta.deleted.reset();
      copy.started.reset();
      moved.push_back(std::move(copy));
    }
    return moved;
  }

  // Nodes that are there take what they have room for, as in life; then lets the autoscaler fill nodes of this type until every pod has
  // a place, or none more gets one.
  struct Trial {
    std::map<std::string, int64_t> sizes;  // by zone; "" where there are none
    int64_t nodes = 0;
    size_t unplaced = 0;
  };
  Trial trial(World& world, const CandidateType& type, const Pool& pool, const std::string& name) const {
    AutoscalerOptions options;
    options.balance_similar = true;
    Autoscaler autoscaler(options, groups_for(type, pool, name), prices_, std::nullopt, "");
    world.schedule();
    for (int round = 0; round < 1000 && !world.pending().empty(); ++round) {
      ScaleUp up = autoscaler.scale_up(world);
      bool grew = false;
      for (const Growth& growth : up.growth) {
        for (int64_t i = growth.from; i < growth.to; ++i) {
          auto node = autoscaler.make_node(growth.group);
          if (!node.ok()) continue;
          world.add_node(std::move(*node));
          grew = true;
        }
      }
      if (!grew) break;
      size_t before = world.pending().size();
      world.schedule();
      if (world.pending().size() == before) break;
    }
    Trial result;
    for (const GroupState& state : autoscaler.groups()) {
      int64_t used = 0;
      for (const std::string& node : state.nodes) {
        auto pods = world.pods_on(node);
        used += std::any_of(pods.begin(), pods.end(), [](const WorldPod* pod) { return !pod->daemon; });
      }
      result.sizes[state.group.zones.empty() ? "" : state.group.zones[0]] = used;
      result.nodes += used;
    }
    result.unplaced = world.pending().size();
    return result;
  }

  // No packing can do with less than this many nodes.
  static int64_t least_nodes(const CandidateType& type, const std::vector<Pod>& pods) {
    kube::Resources have = estimated_allocatable(type.machine.vcpu, type.machine.memory_gib);
    int64_t cpu = 0, memory = 0;
    for (const Pod& pod : pods) {
      if (pod.requests.real.milli_cpu > have.milli_cpu || pod.requests.real.memory > have.memory) return -1;
      cpu += pod.requests.real.milli_cpu;
      memory += pod.requests.real.memory;
    }
    auto share = [](int64_t want, int64_t size) { return size > 0 ? (want + size - 1) / size : 0; };
    return std::max<int64_t>({1, share(cpu, have.milli_cpu), share(memory, have.memory), share(static_cast<int64_t>(pods.size()), have.pods)});
  }

  // Everything else in its place, the pods of this pool waiting.
  World world_without(const std::vector<const Pod*>& leaving, const std::vector<Pod>& coming, const std::vector<Node>& new_nodes, const std::vector<Pod>& settled) const {
    Inventory copy = prepared();
    std::set<std::string> gone;
    for (const Pod* pod : leaving) gone.insert(pod->meta.key());
    std::erase_if(copy.pods, [&](const Pod& pod) { return gone.contains(pod.meta.key()) || (pod.node_name.empty() && !pod.finished()); });
    for (const Node& node : new_nodes) copy.nodes.push_back(node);
    for (const Pod& pod : settled) copy.pods.push_back(pod);
    for (const Pod& pod : coming) copy.pods.push_back(pod);
    return World(std::move(copy), profile_);
  }

  PlanGroup choose(const Pool& pool, const std::string& name, const std::vector<const Pod*>& leaving, Outcome& outcome, std::vector<Node>& new_nodes, std::vector<Pod>& settled) const {
    std::vector<Pod> coming = moved_pods(pool.pods);
    struct Bound {
      const CandidateType* type;
      int64_t nodes;
      __int128_t cost;
    };
    std::vector<Bound> bounds;
    for (const CandidateType& type : candidates_) {
      int64_t nodes = least_nodes(type, coming);
      if (nodes > 0) bounds.push_back({&type, nodes, type.rank(nodes)});
    }
    // What has no price comes last: it is only used where nothing else is known.
    std::stable_sort(bounds.begin(), bounds.end(), [](const Bound& a, const Bound& b) {
      return a.type->priced != b.type->priced ? a.type->priced : a.cost != b.cost ? a.cost < b.cost : a.nodes != b.nodes ? a.nodes < b.nodes : a.type->machine.type < b.type->machine.type;
    });
    PlanGroup group;
    group.name = name;
    group.labels = pool.labels;
    group.pods = pool.pods.size();
    if (World world = world_without(leaving, coming, new_nodes, settled); room_is_there(world)) {
      keep(world, {}, coming, outcome, new_nodes, settled);
      return group;
    }
    const Bound* best = nullptr;
    Trial best_trial;
    size_t trials = 0;
    for (const Bound& bound : bounds) {
      auto cost = [&](const Trial& each, const Bound& of) { return of.type->rank(each.nodes); };
      bool hopeless = best && best_trial.unplaced == 0 && (bound.cost > cost(best_trial, *best) || (best->type->priced && !bound.type->priced));
      if (hopeless || ++trials > kMostTrials) break;
      World world = world_without(leaving, coming, new_nodes, settled);
      Trial tried = trial(world, *bound.type, pool, name);
      std::string said = std::to_string(tried.nodes) + (tried.nodes == 1 ? " node" : " nodes");
      if (bound.type->priced) said += ", $" + usd(cost(tried, bound) * kHoursPerMonth) + " a month";
      if (tried.unplaced > 0) said += ", " + std::to_string(tried.unplaced) + " pods without a place";
      group.others.push_back({bound.type->machine.type, said});
      bool better = !best || tried.unplaced < best_trial.unplaced || (tried.unplaced == best_trial.unplaced && cost(tried, bound) < cost(best_trial, *best));
      if (!better) continue;
      best = &bound;
      best_trial = tried;
    }
    if (!best) {
      for (const Pod& pod : coming) outcome.unplaced.push_back(pod.meta.key());
      return group;
    }
    group.type = best->type->machine.type;
    if (best->type->priced) group.price = best->type->price;
    group.count = best_trial.nodes;
    for (const auto& [zone, count] : best_trial.sizes) {
      if (count > 0 && !zone.empty()) group.zones.push_back(zone + "=" + std::to_string(count));
    }
    settle(*best->type, pool, name, leaving, coming, outcome, new_nodes, settled);
    return group;
  }

  static bool room_is_there(World& world) {
    world.schedule();
    return world.pending().empty();
  }

  // Puts the chosen nodes and their pods where the trial had them, for the pools that follow.
  void settle(const CandidateType& type, const Pool& pool, const std::string& name, const std::vector<const Pod*>& leaving, const std::vector<Pod>& coming, Outcome& outcome,
              std::vector<Node>& new_nodes, std::vector<Pod>& settled) const {
    World world = world_without(leaving, coming, new_nodes, settled);
    std::set<std::string> old;
    for (const auto& [node_name, node] : world.nodes()) old.insert(node_name);
    trial(world, type, pool, name);
    std::vector<Node> used;
    for (const auto& [node_name, node] : world.nodes()) {
      auto pods = world.pods_on(node_name);
      bool holds = std::any_of(pods.begin(), pods.end(), [](const WorldPod* pod) { return !pod->daemon; });
      if (!old.contains(node_name) && holds) used.push_back(node);
    }
    keep(world, used, coming, outcome, new_nodes, settled);
  }

  static void keep(World& world, const std::vector<Node>& used, const std::vector<Pod>& coming, Outcome& outcome, std::vector<Node>& new_nodes, std::vector<Pod>& settled) {
    new_nodes.insert(new_nodes.end(), used.begin(), used.end());
    std::set<std::string> mine;
    for (const Pod& pod : coming) mine.insert(pod.meta.key());
    for (const WorldPod& pod : world.pods()) {
      if (pod.gone || !mine.contains(pod.pod.meta.key())) continue;
      Pod copy = pod.pod;
      copy.node_name = pod.node;
      if (pod.node.empty()) {
        outcome.unplaced.push_back(copy.meta.key());
      } else {
        settled.push_back(std::move(copy));
      }
    }
  }

  Outcome evaluate(PlanWorkload::State state, bool blocked_too) const {
    Outcome outcome;
    std::vector<const Pod*> leaving;
    for (const Pod& pod : inventory_.pods) {
      const kube::OwnerReference* owner = pod.meta.controller();
      if (pod.finished() || (owner && owner->kind == "DaemonSet")) continue;
      auto node = nodes_.find(pod.node_name);
      if (node != nodes_.end() && node->second->architecture() == options_.architecture) continue;
      if (moves(workload_name(inventory_, pod), state, blocked_too)) leaving.push_back(&pod);
    }
    std::vector<Node> new_nodes;
    std::vector<Pod> settled;
    outcome.pools = pools(leaving);
    for (size_t i = 0; i < outcome.pools.size(); ++i) {
      std::string name = options_.architecture + (outcome.pools.size() > 1 ? "-" + std::to_string(i + 1) : "");
      outcome.groups.push_back(choose(outcome.pools[i], name, leaving, outcome, new_nodes, settled));
    }
    // What is left on the old nodes is moved together, and the empty ones go.
    World world = world_without(leaving, {}, new_nodes, settled);
    std::set<std::string> removed = emptied(world);
    outcome.removed.assign(removed.begin(), removed.end());
    std::vector<Node> left = new_nodes;
    for (const Node& node : inventory_.nodes) {
      if (!removed.contains(node.name())) left.push_back(node);
    }
    outcome.bill = bill_of(left, prices_, facts_, options_);
    return outcome;
  }

  // Old nodes of other architectures that could go, the least used first.
  std::set<std::string> emptied(World& world) const {
    std::vector<std::pair<double, std::string>> order;
    std::map<std::string, int64_t> spare = {{"", static_cast<int64_t>(inventory_.nodes.size())}};
    for (const Node& node : inventory_.nodes) {
      if (node.architecture() == options_.architecture) continue;
      const NodeState* state = world.cluster().find_node(node.name());
      if (!state) continue;
      double cpu = node.allocatable.milli_cpu > 0 ? static_cast<double>(state->requested.milli_cpu) / static_cast<double>(node.allocatable.milli_cpu) : 0;
      double memory = node.allocatable.memory > 0 ? static_cast<double>(state->requested.memory) / static_cast<double>(node.allocatable.memory) : 0;
      order.push_back({std::max(cpu, memory), node.name()});
    }
    std::sort(order.begin(), order.end());
    std::vector<NodeToEmpty> nodes;
    for (const auto& [use, name] : order) nodes.push_back({name, ""});
    // Draining moves system pods and throws local storage away; whoever does it sees to that.
    std::set<std::string> gone;
    for (const ScaleDown& each : empty_nodes(world, nodes, spare, {2.0, false, false}, facts_.pods)) {
      if (each.removable) gone.insert(each.node);
    }
    return gone;
  }

  __int128_t tidied() const {
    Inventory copy = inventory_;
    std::erase_if(copy.pods, [](const Pod& pod) { return pod.node_name.empty(); });
    World world(std::move(copy), profile_);
    std::set<std::string> gone = emptied(world);
    std::vector<Node> left;
    for (const Node& node : inventory_.nodes) {
      if (!gone.contains(node.name())) left.push_back(node);
    }
    return bill_of(left, prices_, facts_, options_).nano_per_month;
  }

  void name_pools(const std::vector<Pool>& pools) {
    for (size_t i = 0; i < pools.size(); ++i) {
      for (PlanWorkload& each : plan_.workloads) {
        if (std::find(pools[i].workloads.begin(), pools[i].workloads.end(), each.name) != pools[i].workloads.end()) each.pool = plan_.groups[i].name;
      }
    }
  }

  void pairs() {
    for (const BillLine& line : plan_.today.lines) {
      auto machine = find_machine(line.type, prices_);
      const Price* price = prices_.find(line.cloud, line.region, line.type);
      if (!machine || !price || line.architecture == options_.architecture) continue;
      std::optional<PlanPair> best;
      for (const CandidateType& type : candidates_) {
        if (!type.priced || type.machine.vcpu < machine->vcpu || type.machine.memory_gib < machine->memory_gib) continue;
        if (!best || type.price < best->other_price) best = PlanPair{line.type, type.machine.type, price->on_demand, type.price};
      }
      bool known = std::any_of(plan_.pairs.begin(), plan_.pairs.end(), [&](const PlanPair& each) { return each.type == line.type; });
      if (best && !known) plan_.pairs.push_back(*best);
    }
  }

  Json group_json(const PlanGroup& group) const {
    Json labels = Json::object();
    for (const auto& [key, value] : group.labels) labels.set(key, value);
    Json json = Json::object({{"name", group.name}, {"provider", site_.cloud}, {"region", site_.region}, {"type", group.type}, {"min", 0}, {"max", group.count}});
    if (!site_.zones.empty()) json.set("zones", Json(site_.zones));
    if (labels.size() > 0) json.set("labels", std::move(labels));
    json.set("taints", Json(std::vector<std::string>{options_.taint.str()}));
    return json;
  }

  Json priority_json() const {
    std::string text = "50:\n";
    for (const PlanGroup& group : plan_.groups) {
      if (group.count > 0) text += "  - '" + group.name + "'\n";
    }
    text += "10:\n  - '.*'\n";
    return Json::object({{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", Json::object({{"name", kPriorityConfigMap}, {"namespace", options_.name_space}})},
                         {"data", Json::object({{kPriorityKey, text}})}});
  }

  void steps() {
    __int128_t today = plan_.today.nano_per_month, arm = 0;
    for (const PlanGroup& group : plan_.groups) arm += static_cast<__int128_t>(group.price.value_or(0)) * group.count * kHoursPerMonth;
    if (plan_.groups.empty()) return;
    PlanStep taint{"taint", "make the node groups, empty, with the taint " + options_.taint.str() + ": whatever does not tolerate it stays away", today, today, {}, {}};
    for (const PlanGroup& group : plan_.groups) {
      if (group.count > 0) taint.patches.push_back({"node group " + group.name, "", group_json(group)});
    }
    PlanStep tolerate{"tolerations", "let the workloads whose images have " + options_.architecture + " tolerate it, and the DaemonSets that must follow", today, today, {}, {}};
    PlanStep move{"move", "send them there; groups grow as pods wait", today, today + arm, {}, {}};
    for (const PlanWorkload& each : plan_.daemons) {
      if (each.tolerate) tolerate.patches.push_back(*each.tolerate);
    }
    for (const PlanWorkload& each : plan_.workloads) {
      if (each.tolerate) tolerate.patches.push_back(*each.tolerate);
      if (each.move) move.patches.push_back(*each.move);
    }
    PlanStep priority{"priority", "let the autoscaler prefer the new groups (--expander=priority,least-waste)", today, today, {{"ConfigMap " + options_.name_space + "/" + std::string(kPriorityConfigMap), "kubectl apply -f -", priority_json()}}, {}};
    PlanStep remove{"remove", plan_.removed_nodes.empty() ? "no old node becomes empty" : "drain the nodes that are no longer needed; their group then gives them back", today + arm, plan_.tomorrow.nano_per_month, {}, {}};
    for (const std::string& node : plan_.removed_nodes) remove.commands.push_back("kubectl drain " + node + " --ignore-daemonsets --delete-emptydir-data");
    bool grows = !taint.patches.empty();
    if (grows) plan_.steps.push_back(std::move(taint));
    plan_.steps.push_back(std::move(tolerate));
    if (grows) plan_.steps.push_back(std::move(priority));
    plan_.steps.push_back(std::move(move));
    plan_.steps.push_back(std::move(remove));
  }

  void notes() {
    plan_.notes.push_back("prices are lists' on-demand prices for machines alone, at " + std::to_string(kHoursPerMonth) +
                          " hours a month: no discounts, disks, traffic or licences; a processor of one kind does not do the same work as one of another");
    if (!plan_.today.complete()) plan_.notes.push_back("some of today's nodes have no known price; the bills leave them out, and so does the saving");
    bool spot = std::any_of(plan_.today.lines.begin(), plan_.today.lines.end(), [](const BillLine& line) { return line.spot; });
    if (spot) plan_.notes.push_back("some of today's nodes are spot machines; the new ones are counted on demand");
    size_t waiting = static_cast<size_t>(std::count_if(inventory_.pods.begin(), inventory_.pods.end(), [](const Pod& pod) { return pod.node_name.empty() && !pod.finished(); }));
    if (waiting > 0) plan_.notes.push_back(std::to_string(waiting) + " pods are pending today; those that can move count as pods to place, the others are left out");
  }

  const Inventory& inventory_;
  const Profile& profile_;
  const ImageKnowledge& images_;
  const PriceTable& prices_;
  const PlanFacts& facts_;
  PlanOptions options_;
  std::map<std::string, const Node*> nodes_;
  Site site_;
  std::vector<CandidateType> candidates_;
  MigrationPlan plan_;
};

}  // namespace

Result<MigrationPlan> make_plan(const Inventory& inventory, const Profile& profile, const ImageKnowledge& images, const PriceTable& prices, const PlanFacts& facts,
                                const PlanOptions& options) {
  return Planner(inventory, profile, images, prices, facts, options).run();
}

}  // namespace archway::scheduler
