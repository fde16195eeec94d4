#include "scheduler/simulation.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "scheduler/daemon_set.h"
#include "scheduler/instance_types.h"

namespace archway::scheduler {

struct Simulation::SimulatedPod {
  Pod pod;
  std::string before, now;
  std::string reason;
  std::string workload;
  bool is_new = false, gone = false, lost = false;
  bool placed_here = false;  // by this simulation
  std::vector<std::string> preempted;
};

namespace {

// A pod that found no place is tried again while others still find theirs, as the scheduler's queue does it.
constexpr int kMaxPasses = 16;

bool is_daemon_pod(const Pod& pod) {
  const kube::OwnerReference* owner = pod.meta.controller();
  return owner && owner->kind == "DaemonSet";
}

// A pod that the kubelet runs from a file.
bool is_static_pod(const Pod& pod) {
  const kube::OwnerReference* owner = pod.meta.controller();
  return owner && owner->kind == "Node";
}

struct Size {
  kube::Resources allocatable;
  std::string source;
};

Result<Size> size_of(const AddNodes& change, const std::vector<Node>& nodes) {
  Size size;
  for (const Node& node : nodes) {
    if (change.type.empty() || node.label("node.kubernetes.io/instance-type") != change.type) continue;
    size = {node.allocatable, "as node " + node.name()};
    break;
  }
  const InstanceType* type = find_instance_type(change.type);
  if (size.source.empty() && type) size = {estimated_allocatable(type->vcpu, type->memory_gib), "by the table of types"};
  if (type && type->architecture != change.architecture) {
    return Error{Code::Invalid, "--add-nodes " + change.architecture + ": " + change.type + " is " + std::string(type->architecture)};
  }
  if (size.source.empty() && !(change.cpu && change.memory)) {
    return Error{Code::Invalid, "--add-nodes " + change.architecture + ": the size of type \"" + change.type + "\" is not known",
                 "give cpu= and memory=, or a type that the cluster has or the table knows"};
  }
  if (size.source.empty()) size = {estimated_allocatable(0, 0), "as given"};
  if (change.cpu) size.allocatable.milli_cpu = change.cpu->milli_value();
  if (change.memory) size.allocatable.memory = change.memory->value();
  if (change.pods) size.allocatable.pods = change.pods->value();
  return size;
}

Node make_node(const AddNodes& change, const Size& size, const std::string& name, const std::string& zone) {
  Node node;
  node.meta.name = name;
  node.allocatable = size.allocatable;
  node.taints = change.taints;
  Labels& labels = node.meta.labels;
  labels.set("kubernetes.io/arch", change.architecture);
  labels.set("beta.kubernetes.io/arch", change.architecture);
  labels.set("kubernetes.io/os", "linux");
  labels.set(kHostnameLabel, name);
  if (!change.type.empty()) labels.set("node.kubernetes.io/instance-type", change.type);
  if (!zone.empty()) labels.set(kZoneLabel, zone);
  for (const auto& [key, value] : change.labels) labels.set(key, value);
  return node;
}

NodeOutcome describe_node(const Node& node) {
  NodeOutcome outcome;
  outcome.name = node.name();
  outcome.architecture = node.architecture();
  outcome.type = node.label("node.kubernetes.io/instance-type");
  outcome.zone = node.label(kZoneLabel);
  outcome.allocatable = node.allocatable;
  outcome.taints = node.taints;
  return outcome;
}

bool same_template(const kube::Workload& a, const kube::Workload& b) {
  if (!a.pod || !b.pod) return a.pod.has_value() == b.pod.has_value();
  return a.pod->labels == b.pod->labels && *a.pod->spec == *b.pod->spec;
}

}  // namespace

std::string_view fate_name(Fate fate) {
  constexpr std::string_view names[] = {"stays", "moved", "placed", "pending", "gated", "lost", "gone", "foreign"};
  return names[static_cast<size_t>(fate)];
}

std::string unavailable_message(const Decision& decision, size_t node_count) {
  std::string message = "0/" + std::to_string(node_count) + " nodes are available:";
  if (decision.pre_filter) {
    for (const std::string& reason : decision.pre_filter->reasons) message += " " + reason + ".";
    return message;
  }
  std::map<std::string, int> counts;
  for (const NodeAnswer& answer : decision.nodes) {
    if (!answer.refusal) continue;
    for (const std::string& reason : answer.refusal->reasons) ++counts[reason];
  }
  std::set<std::string> lines;
  for (const auto& [reason, count] : counts) lines.insert(std::to_string(count) + " " + reason);
  std::string list;
  for (const std::string& line : lines) list += (list.empty() ? " " : ", ") + line;
  return message + (list.empty() ? " there are no nodes." : list + ".");
}

size_t SimulationResult::unplaced() const {
  return static_cast<size_t>(std::count_if(pods.begin(), pods.end(), [](const PodOutcome& pod) { return pod.fate == Fate::Pending || pod.fate == Fate::Lost; }));
}

size_t SimulationResult::crashing() const {
  return static_cast<size_t>(std::count_if(pods.begin(), pods.end(), [](const PodOutcome& pod) {
    return (pod.fate == Fate::Moved || pod.fate == Fate::Placed) && crashes(pod.run.verdict);
  }));
}

Simulation::Simulation(Inventory inventory, Profile profile, ImageKnowledge images, std::optional<uint64_t> seed, EngineKind engine)
    : inventory_(std::move(inventory)), profile_(std::move(profile)), images_(std::move(images)), seed_(seed), engine_kind_(engine) {
  for (const Node& node : inventory_.nodes) {
    seen_nodes_[node.name()] = describe_node(node);
    seen_nodes_[node.name()].existed = true;
  }
  for (Pod& pod : inventory_.pods) {
    if (pod.finished()) continue;
    if (!pod.node_name.empty() && !seen_nodes_.contains(pod.node_name)) continue;
    std::string before = pod.node_name;
    add_pod(std::move(pod), before, false).now = before;
  }
  inventory_.pods.clear();
}

Simulation::~Simulation() = default;

Node* Simulation::find_node(const std::string& name) {
  for (Node& node : inventory_.nodes) {
    if (node.name() == name) return &node;
  }
  return nullptr;
}

std::string Simulation::workload_of(const Pod& pod) const {
  const kube::OwnerReference* owner = pod.meta.controller();
  if (!owner) return {};
  std::string key = pod.meta.name_space + "/" + owner->name;
  const kube::Workload* workload = inventory_.find_workload(owner->kind, key);
  const kube::OwnerReference* above = workload ? workload->meta.controller() : nullptr;
  if (above) return above->kind + " " + pod.meta.name_space + "/" + above->name;
  return owner->kind + " " + key;
}

Simulation::SimulatedPod& Simulation::add_pod(Pod pod, const std::string& before, bool is_new) {
  auto added = std::make_unique<SimulatedPod>();
  added->pod = std::move(pod);
  added->pod.node_name.clear();  // `now` holds it; a pending pod must not ask for one node by name
  added->before = before;
  added->is_new = is_new;
  added->workload = workload_of(added->pod);
  pods_.push_back(std::move(added));
  return *pods_.back();
}

// Takes a pod off its node. Its controller makes another, which waits for a place; a bare pod is lost.
void Simulation::evict(SimulatedPod& pod, const std::string& why) {
  pod.now.clear();
  pod.placed_here = false;
  pod.pod.nominated_node.clear();
  if (is_static_pod(pod.pod)) {
    pod.gone = true;
    pod.reason = why;
  } else if (!pod.pod.meta.controller()) {
    pod.gone = pod.lost = true;
    pod.reason = why + "; nothing creates a bare pod again";
  } else {
    pod.pod.meta.deleted.reset();
    pod.pod.started.reset();
  }
}

Result<void> Simulation::apply(const AddNodes& change) {
  Size size = TRY(size_of(change, inventory_.nodes));
  for (int i = 0; i < change.count; ++i) {
    std::string name;
    do {
      name = "new-" + change.architecture + "-" + std::to_string(++counters_[change.architecture]);
    } while (seen_nodes_.contains(name));
    std::string zone = change.zones.empty() ? "" : change.zones[static_cast<size_t>(i) % change.zones.size()];
    Node node = make_node(change, size, name, zone);
    seen_nodes_[name] = describe_node(node);
    seen_nodes_[name].source = size.source;
    inventory_.nodes.push_back(std::move(node));
  }
  return {};
}

Result<void> Simulation::apply(const RemoveNodes& change) {
  std::set<std::string> removed;
  for (const Node& node : inventory_.nodes) {
    if (change.selector.matches(node.meta.labels)) removed.insert(node.name());
  }
  std::erase_if(inventory_.nodes, [&](const Node& node) { return removed.contains(node.name()); });
  for (auto& pod : pods_) {
    bool pinned = is_daemon_pod(pod->pod) && removed.contains(pod->now.empty() ? daemon_target(pod->pod) : pod->now);
    if (pinned) {
      pod->gone = true;
      pod->now.clear();
      pod->reason = "its node was removed";
    } else if (removed.contains(pod->now)) {
      evict(*pod, "node " + pod->now + " was removed");
    }
  }
  return {};
}

Result<void> Simulation::apply(const TaintNodes& change) {
  for (Node& node : inventory_.nodes) {
    if (!change.selector.matches(node.meta.labels)) continue;
    std::erase_if(node.taints, [&](const kube::Taint& each) { return each.key == change.taint.key && each.effect == change.taint.effect; });
    if (!change.remove) node.taints.push_back(change.taint);
    if (change.remove || change.taint.effect != kube::kNoExecute) continue;
    for (auto& pod : pods_) {
      if (pod->now != node.name() || kube::tolerated(change.taint, pod->pod.spec->tolerations)) continue;
      bool daemon = is_daemon_pod(pod->pod);
      evict(*pod, "it does not tolerate " + change.taint.str());
      pod->gone = pod->gone || daemon;
    }
  }
  return {};
}

Result<void> Simulation::apply(const LabelNodes& change) {
  for (Node& node : inventory_.nodes) {
    if (!change.selector.matches(node.meta.labels)) continue;
    if (change.value) {
      node.meta.labels.set(change.key, *change.value);
    } else {
      node.meta.labels.erase(change.key);
    }
  }
  return {};
}

Result<void> Simulation::apply(const Recreate& change) {
  for (auto& pod : pods_) {
    if (pod->gone || pod->now.empty() || is_static_pod(pod->pod) || !change.selector.matches(pod->pod.meta.labels)) continue;
    pod->now.clear();
    pod->pod.meta.deleted.reset();
    pod->pod.started.reset();
  }
  return {};
}

// The end of a rollout: the old pods are gone, as many new ones as the workload wants look for a place.
void Simulation::roll_out(const kube::Workload& workload) {
  std::string identity = workload.kind + " " + workload.meta.key();
  for (auto& pod : pods_) {
    if (pod->gone || pod->workload != identity) continue;
    pod->gone = true;
    pod->now.clear();
    pod->reason = "replaced by the rollout of " + identity;
  }
  if (!workload.pod || workload.kind == "DaemonSet" || workload.kind == "CronJob") return;
  std::string owner_kind = workload.kind, owner_name = workload.meta.name;
  Labels labels = workload.pod->labels;
  if (workload.kind == "Deployment") {
    // The ReplicaSet that the Deployment's controller makes; spreading by owner goes by its selector.
    kube::Workload set = workload;
    set.kind = owner_kind = "ReplicaSet";
    set.meta.name = owner_name = workload.meta.name + "-new";
    set.meta.owners = {{"apps/v1", "Deployment", workload.meta.name, workload.meta.uid, true}};
    labels.set("pod-template-hash", "new");
    set.selector.add({"pod-template-hash", kube::SelectorOperator::In, {"new"}});
    inventory_.objects.add_owner(set);
    std::erase_if(inventory_.workloads, [&](const kube::Workload& each) { return each.kind == "ReplicaSet" && each.meta.key() == set.meta.key(); });
    inventory_.workloads.push_back(std::move(set));
  }
  for (int64_t i = 0; i < workload.replicas; ++i) {
    Pod pod;
    pod.meta.name = owner_name + "-" + std::to_string(i);
    pod.meta.name_space = workload.meta.name_space;
    pod.meta.labels = labels;
    pod.meta.owners.push_back({workload.kind == "Job" ? "batch/v1" : "apps/v1", owner_kind, owner_name, "", true});
    pod.spec = workload.pod->spec;
    pod.requests = kube::count_requests(*pod.spec, {}, false);
    auto admitted = admit_priority(pod, inventory_.priority_classes);
    if (!admitted.ok()) inventory_.problems.push_back({identity, admitted.error().message});
    add_pod(std::move(pod), "", true);
  }
}

Result<void> Simulation::apply(const ApplyManifests& change) {
  Inventory delta;
  for (const Json& object : change.objects) delta.add(object);
  for (Problem& problem : delta.problems) inventory_.problems.push_back(std::move(problem));
  delta.problems.clear();
  for (const Json& object : change.objects) {
    // Everything but nodes, pods and workloads simply replaces what was there.
    const std::string& kind = object["kind"].string();
    if (kind != "Node" && kind != "Pod" && !kind.ends_with("List")) {
      size_t workloads = inventory_.workloads.size();
      size_t problems = inventory_.problems.size();
      inventory_.add(object);
      inventory_.workloads.resize(workloads);
      inventory_.problems.resize(problems);
    }
  }
  for (Node& node : delta.nodes) {
    seen_nodes_.try_emplace(node.name(), describe_node(node)).first->second.source = "as given";
    if (Node* there = find_node(node.name())) {
      *there = std::move(node);
    } else {
      inventory_.nodes.push_back(std::move(node));
    }
  }
  for (Pod& pod : delta.pods) {
    auto admitted = admit_priority(pod, inventory_.priority_classes);
    if (!admitted.ok()) inventory_.problems.push_back({"Pod " + pod.meta.key(), admitted.error().message});
    for (auto& old : pods_) {
      if (old->gone || old->pod.meta.key() != pod.meta.key()) continue;
      old->gone = true;
      old->now.clear();
      old->reason = "replaced by a changed manifest";
    }
    std::string node = pod.node_name;
    add_pod(std::move(pod), "", true).now = find_node(node) ? node : "";
  }
  for (kube::Workload& workload : delta.workloads) {
    const kube::Workload* there = inventory_.find_workload(workload.kind, workload.meta.key());
    bool unchanged = there && same_template(*there, workload) && there->replicas == workload.replicas;
    std::string identity = workload.kind + " " + workload.meta.key();
    std::erase_if(inventory_.workloads, [&](const kube::Workload& each) { return each.kind + " " + each.meta.key() == identity; });
    inventory_.workloads.push_back(workload);
    if (!unchanged) roll_out(workload);
  }
  return {};
}

void Simulation::run_daemon_sets() {
  std::set<std::pair<std::string, std::string>> served;  // DaemonSet, node
  for (auto& pod : pods_) {
    if (pod->gone || !is_daemon_pod(pod->pod)) continue;
    std::string target = pod->now.empty() ? daemon_target(pod->pod) : pod->now;
    const Node* node = find_node(target);
    const kube::Workload* owner = inventory_.find_workload("DaemonSet", pod->pod.meta.name_space + "/" + pod->pod.meta.controller()->name);
    if (owner && owner->pod && node && !daemon_verdict(*owner, *node).may_continue) {
      pod->gone = true;
      pod->now.clear();
      pod->reason = "its DaemonSet does not run on node " + target + " any more";
      continue;
    }
    served.insert({pod->workload, target});
  }
  for (const kube::Workload& workload : inventory_.workloads) {
    if (workload.kind != "DaemonSet") continue;
    for (const Node& node : inventory_.nodes) {
      if (!daemon_verdict(workload, node).should_run || served.contains({"DaemonSet " + workload.meta.key(), node.name()})) continue;
      Pod pod = daemon_pod(workload, node);
      auto admitted = admit_priority(pod, inventory_.priority_classes);
      if (!admitted.ok()) inventory_.problems.push_back({"DaemonSet " + workload.meta.key(), admitted.error().message});
      add_pod(std::move(pod), "", true);
    }
  }
}

Simulation::SimulatedPod& Simulation::owner_of(const Pod& pod) {
  for (size_t i = by_pod_.size(); i < pods_.size(); ++i) by_pod_[&pods_[i]->pod] = pods_[i].get();
  return *by_pod_.at(&pod);
}

bool Simulation::preempt_for(Cluster& cluster, SimulatedPod& pod, const Cycle& cycle, const Decision& decision) {
  if (!profile_.preempts) return false;
  Preemption preemption = preempt(cycle, decision);
  if (preemption.selected.empty()) return false;
  uint32_t node = preemption.selected.front();
  for (const PreemptionCandidate& candidate : preemption.candidates) {
    if (candidate.node != node) continue;
    for (const Pod* victim : candidate.victims) {
      SimulatedPod& evicted = owner_of(*victim);
      cluster.unbind(*victim, node);
      if (engine_) engine_->unbound(*victim, node);
      pod.preempted.push_back(victim->meta.key());
      evict(evicted, "preempted by " + pod.pod.meta.key());
    }
  }
  put(cluster, pod, node);
  return true;
}

void Simulation::put(Cluster& cluster, SimulatedPod& pod, uint32_t node) {
  const Node& place = *cluster.nodes()[node].node;
  cluster.forget_nomination(pod.pod);
  cluster.bind(pod.pod, node);
  if (engine_) engine_->bound(pod.pod, node);
  bind_claims(cluster.mutable_objects(), pod.pod, place);
  pod.now = place.name();
  pod.placed_here = true;
  pod.reason.clear();
}

// SplitMix64: the next number of the seed's sequence.
uint32_t Simulation::pick(const std::vector<uint32_t>& best) {
  if (!seed_) return best.front();
  uint64_t mixed = *seed_ += 0x9e3779b97f4a7c15;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return best[(mixed ^ (mixed >> 31)) % best.size()];
}

bool Simulation::try_place(Cluster& cluster, SimulatedPod& pod, bool last_try) {
  QuickEngine::Answer answer = engine_ ? engine_->find(pod.pod, sample_.get()) : QuickEngine::Answer::AskPlain;
  if (answer == QuickEngine::Answer::Found) {
    put(cluster, pod, seed_ ? pick(engine_->best()) : engine_->first());
    return true;
  }
  // Where nobody could make room for it, the reason can wait: a pass in which nobody is placed changes nothing.
  bool hopeless = answer == QuickEngine::Answer::Nowhere && !engine_->holds_less_important(pod.pod.priority());
  if (hopeless && !last_try) {
    unexplained_.push_back(&pod);
    return false;
  }
  return place_plainly(cluster, pod);
}

bool Simulation::place_plainly(Cluster& cluster, SimulatedPod& pod) {
  // Nominations and a nominated node of its own make a pod special.
  bool repeatable = engine_ && pod.pod.nominated_node.empty() && !cluster.has_nominations();
  if (repeatable) {
    auto failed = failures_.find(engine_->kind_of(pod.pod));
    if (failed != failures_.end() && failed->second.version == engine_->version()) {
      pod.reason = failed->second.reason;
      return false;
    }
  }
  Cycle cycle(profile_, cluster, pod.pod);
  Decision decision = decide(cycle, sample_.get());
  if (decision.chosen) {
    put(cluster, pod, pick(decision.best));
    return true;
  }
  pod.reason = unavailable_message(decision, cluster.nodes().size());
  if (decision.pre_filter && decision.pre_filter->verdict == Verdict::Gated) return false;
  if (preempt_for(cluster, pod, cycle, decision)) return true;
  if (repeatable) failures_[engine_->kind_of(pod.pod)] = {engine_->version(), pod.reason};
  return false;
}

// Nothing changed since these pods found no place, and nobody could be preempted for them.
void Simulation::explain_failures(Cluster& cluster) {
  for (SimulatedPod* pod : unexplained_) {
    uint32_t kind = engine_->kind_of(pod->pod);
    auto known = failures_.find(kind);
    if (known == failures_.end() || known->second.version != engine_->version()) {
      auto refused = engine_->refusals(pod->pod);
      if (!refused) {
        CHECK(!place_plainly(cluster, *pod));
        continue;
      }
      known = failures_.insert_or_assign(kind, Failure{engine_->version(), unavailable_message(*refused, cluster.nodes().size())}).first;
    }
    pod->reason = known->second.reason;
  }
  unexplained_.clear();
}

void Simulation::schedule() {
  Cluster cluster(inventory_.nodes, inventory_.objects);
  for (auto& pod : pods_) {
    if (pod->gone || pod->now.empty()) continue;
    const NodeState* node = cluster.find_node(pod->now);
    if (node) cluster.bind(pod->pod, node->index);
  }
  if (engine_kind_ == EngineKind::Quick) engine_ = std::make_unique<QuickEngine>(profile_, cluster);
  sample_ = std::make_unique<NodeSample>(profile_, cluster);
  if (!sample_->active()) sample_.reset();
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    std::vector<SimulatedPod*> queue;
    for (auto& pod : pods_) {
      if (pod->gone || !pod->now.empty() || pod->pod.spec->scheduler_name != profile_.scheduler_name) continue;
      queue.push_back(pod.get());
      const NodeState* nominated = pod->pod.nominated_node.empty() ? nullptr : cluster.find_node(pod->pod.nominated_node);
      if (nominated) cluster.nominate(pod->pod, nominated->index);
    }
    std::stable_sort(queue.begin(), queue.end(), [](const SimulatedPod* a, const SimulatedPod* b) { return a->pod.priority() > b->pod.priority(); });
    bool progress = false;
    unexplained_.clear();
    for (SimulatedPod* pod : queue) {
      if (pod->gone || !pod->now.empty()) continue;
      progress = try_place(cluster, *pod, pass + 1 == kMaxPasses) || progress;
    }
    if (!progress) break;
  }
  explain_failures(cluster);
  engine_.reset();
  sample_.reset();
  failures_.clear();
  inventory_.objects = cluster.objects();
}

Result<void> Simulation::run(const ScenarioStep& step) {
  for (const Change& change : step.changes) {
    TRY(std::visit([this](const auto& each) { return apply(each); }, change));
  }
  run_daemon_sets();
  schedule();
  return {};
}

SimulationResult Simulation::result() const {
  SimulationResult result;
  std::map<std::string, const Node*> nodes;
  for (const Node& node : inventory_.nodes) nodes[node.name()] = &node;
  std::map<std::string, NodeOutcome> outcomes = seen_nodes_;
  for (auto& [name, outcome] : outcomes) {
    auto at = nodes.find(name);
    outcome.exists = at != nodes.end();
    if (outcome.exists) outcome.taints = at->second->taints;
  }
  for (const auto& pod : pods_) {
    PodOutcome outcome;
    outcome.name = pod->pod.meta.key();
    outcome.workload = pod->workload;
    outcome.before = pod->before;
    outcome.after = pod->now;
    outcome.reason = pod->reason;
    outcome.is_new = pod->is_new;
    outcome.preempted = pod->preempted;
    if (pod->lost) {
      outcome.fate = Fate::Lost;
    } else if (pod->gone) {
      outcome.fate = Fate::Gone;
    } else if (pod->now.empty()) {
      bool foreign = pod->pod.spec->scheduler_name != profile_.scheduler_name;
      outcome.fate = foreign ? Fate::Foreign : pod->pod.spec->scheduling_gates.empty() ? Fate::Pending : Fate::Gated;
      if (foreign) outcome.reason = "it is left to the scheduler " + pod->pod.spec->scheduler_name;
      if (outcome.fate == Fate::Gated) outcome.reason = "waits for its scheduling gates";
    } else {
      outcome.fate = pod->now == pod->before ? Fate::Stays : pod->before.empty() ? Fate::Placed : Fate::Moved;
      outcome.run = run_verdict(images_, pod->pod, *nodes.at(pod->now));
      NodeOutcome& node = outcomes.at(pod->now);
      node.used.add(pod->pod.requests.real, 1);
      ++node.used.pods;
    }
    result.pods.push_back(std::move(outcome));
  }
  std::stable_sort(result.pods.begin(), result.pods.end(), [](const PodOutcome& a, const PodOutcome& b) { return a.name < b.name; });
  for (auto& [name, outcome] : outcomes) result.nodes.push_back(std::move(outcome));
  result.problems = inventory_.problems;
  bool claims = std::any_of(pods_.begin(), pods_.end(), [](const auto& pod) { return pod->pod.spec->uses_resource_claims; });
  bool volumes = std::any_of(pods_.begin(), pods_.end(), [](const auto& pod) { return !pod->pod.spec->volumes.empty(); });
  if (claims) result.notes.push_back("dynamic resource allocation (spec.resourceClaims) is not modelled; those pods are placed as if they had none");
  if (volumes) result.notes.push_back("volumes are modelled by claim, topology and limit; storage capacity is not");
  return result;
}

}  // namespace archway::scheduler
