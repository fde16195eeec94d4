#include "scheduler/autoscaler_world.h"

#include <algorithm>

#include "scheduler/daemon_set.h"
#include "scheduler/preemption.h"
#include "scheduler/simulation.h"
#include "scheduler/volumes.h"

namespace archway::scheduler {

namespace {

constexpr int kMaxPasses = 16;

bool owned_by(const Pod& pod, std::string_view kind) {
  const kube::OwnerReference* owner = pod.meta.controller();
  return owner && owner->kind == kind;
}

}  // namespace

World::World(Inventory inventory, Profile profile) : inventory_(std::move(inventory)), profile_(std::move(profile)) {
  for (const Node& node : inventory_.nodes) nodes_[node.name()] = node;
  for (Pod& pod : inventory_.pods) {
    if (pod.finished() || (!pod.node_name.empty() && !nodes_.contains(pod.node_name))) continue;
    std::string node = pod.node_name;
    bool daemon = owned_by(pod, "DaemonSet") || owned_by(pod, "Node");
    WorldPod& added = add_pod(std::move(pod));
    added.node = node;
    added.daemon = daemon;
  }
  inventory_.pods.clear();
  inventory_.nodes.clear();
}

World::~World() = default;

// Nodes change: what was known of them goes, and what volumes were bound to stays.
void World::drop_cluster() {
  if (cluster_) inventory_.objects = cluster_->objects();
  engine_.reset();
  cluster_.reset();
  failures_.clear();
}

Cluster& World::cluster() {
  if (cluster_) return *cluster_;
  snapshot_.clear();
  for (const auto& [name, node] : nodes_) snapshot_.push_back(node);
  cluster_ = std::make_unique<Cluster>(snapshot_, inventory_.objects);
  for (const WorldPod& pod : pods_) {
    const NodeState* node = pod.gone || pod.node.empty() ? nullptr : cluster_->find_node(pod.node);
    if (node) cluster_->bind(pod.pod, node->index);
  }
  return *cluster_;
}

WorldPod& World::add_pod(Pod pod) {
  pods_.push_back({});
  WorldPod& added = pods_.back();
  added.pod = std::move(pod);
  added.pod.node_name.clear();  // a waiting pod must not ask for one node by name
  by_pod_[&added.pod] = &added;
  return added;
}

void World::remove_pod(WorldPod& pod) {
  if (!pod.node.empty() && cluster_) {
    uint32_t node = cluster_->find_node(pod.node)->index;
    cluster_->unbind(pod.pod, node);
    if (engine_) engine_->unbound(pod.pod, node);
  }
  pod.gone = true;
  pod.node.clear();
}

void World::add_node(Node node) {
  drop_cluster();
  auto [at, is_new] = nodes_.insert_or_assign(node.name(), node);
  if (is_new) add_daemons(at->second);
}

void World::remove_node(const std::string& name) {
  drop_cluster();
  nodes_.erase(name);
  for (WorldPod& pod : pods_) {
    if (pod.gone || pod.node != name) continue;
    pod.node.clear();
    pod.gone = pod.daemon || !pod.pod.meta.controller();
    pod.reason = "its node was removed";
  }
}

std::vector<Pod> World::daemons_for(const Node& node) const {
  std::vector<Pod> pods;
  for (const kube::Workload& workload : inventory_.workloads) {
    if (workload.kind != "DaemonSet" || !daemon_verdict(workload, node).should_run) continue;
    Pod pod = daemon_pod(workload, node);
    (void)admit_priority(pod, inventory_.priority_classes).ok();  // an unknown class is reported with the workload's own pods
    pods.push_back(std::move(pod));
  }
  return pods;
}

void World::add_daemons(const Node& node) {
  for (Pod& pod : daemons_for(node)) add_pod(std::move(pod)).daemon = true;
}

std::vector<const WorldPod*> World::pods_on(const std::string& node) const {
  std::vector<const WorldPod*> found;
  for (const WorldPod& pod : pods_) {
    if (!pod.gone && pod.node == node) found.push_back(&pod);
  }
  return found;
}

bool World::waits(const WorldPod& pod) const { return !pod.gone && pod.node.empty() && pod.pod.spec->scheduler_name == profile_.scheduler_name; }

std::vector<const Pod*> World::pending() const {
  std::vector<const Pod*> found;
  for (const WorldPod& pod : pods_) {
    if (waits(pod) && !pod.daemon && pod.pod.spec->scheduling_gates.empty() && pod.pod.priority() >= kExpendablePriority) found.push_back(&pod.pod);
  }
  std::sort(found.begin(), found.end(), [](const Pod* a, const Pod* b) { return a->meta.key() < b->meta.key(); });
  return found;
}

const WorldPod* World::find(const Pod& pod) const {
  auto at = by_pod_.find(&pod);
  return at == by_pod_.end() ? nullptr : at->second;
}

void World::put(WorldPod& pod, uint32_t node) {
  const Node& place = *cluster_->nodes()[node].node;
  cluster_->forget_nomination(pod.pod);
  cluster_->bind(pod.pod, node);
  if (engine_) engine_->bound(pod.pod, node);
  bind_claims(cluster_->mutable_objects(), pod.pod, place);
  pod.node = place.name();
  pod.reason.clear();
  placed_.push_back(&pod);
}

bool World::preempt_for(WorldPod& pod, const Cycle& cycle, const Decision& decision) {
  if (!profile_.preempts || pod.pod.spec->never_preempts) return false;
  Preemption preemption = preempt(cycle, decision);
  if (preemption.selected.empty()) return false;
  uint32_t node = preemption.selected.front();
  for (const PreemptionCandidate& candidate : preemption.candidates) {
    if (candidate.node != node) continue;
    for (const Pod* victim : candidate.victims) {
      WorldPod& evicted = *by_pod_.at(victim);
      cluster_->unbind(*victim, node);
      if (engine_) engine_->unbound(*victim, node);
      evicted.node.clear();
      evicted.gone = !victim->meta.controller();
      evicted.reason = "preempted by " + pod.pod.meta.key();
    }
  }
  put(pod, node);
  return true;
}

bool World::try_place(WorldPod& pod) {
  if (auto quick = engine_->choose(pod.pod)) {
    put(pod, *quick);
    return true;
  }
  bool repeatable = pod.pod.nominated_node.empty() && !cluster_->has_nominations();
  if (repeatable) {
    auto failed = failures_.find(engine_->kind_of(pod.pod));
    if (failed != failures_.end() && failed->second.first == engine_->version()) {
      pod.reason = failed->second.second;
      return false;
    }
  }
  Cycle cycle(profile_, *cluster_, pod.pod);
  Decision decision = decide(cycle);
  if (decision.chosen) {
    put(pod, *decision.chosen);
    return true;
  }
  pod.reason = unavailable_message(decision, cluster_->nodes().size());
  if (decision.pre_filter && decision.pre_filter->verdict == Verdict::Gated) return false;
  if (preempt_for(pod, cycle, decision)) return true;
  if (repeatable) failures_[engine_->kind_of(pod.pod)] = {engine_->version(), pod.reason};
  return false;
}

std::vector<WorldPod*> World::schedule() {
  cluster();
  placed_.clear();
  if (!engine_) engine_ = std::make_unique<QuickEngine>(profile_, *cluster_);
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    std::vector<WorldPod*> queue;
    for (WorldPod& pod : pods_) {
      if (waits(pod)) queue.push_back(&pod);
    }
    std::stable_sort(queue.begin(), queue.end(), [](const WorldPod* a, const WorldPod* b) { return a->pod.priority() > b->pod.priority(); });
    bool progress = false;
    for (WorldPod* pod : queue) {
      if (pod->node.empty() && !pod->gone) progress = try_place(*pod) || progress;
    }
    if (!progress) break;
  }
  std::vector<WorldPod*> placed;
  std::set<WorldPod*> seen;
  for (WorldPod* pod : placed_) {
    if (!pod->node.empty() && seen.insert(pod).second) placed.push_back(pod);
  }
  return placed;
}

}  // namespace archway::scheduler
