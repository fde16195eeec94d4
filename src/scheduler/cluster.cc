#include "scheduler/cluster.h"

#include <algorithm>

#include "base/check.h"

namespace archway::scheduler {

void ClusterObjects::add_owner(const kube::Workload& workload) {
  bool known = (workload.kind == "ReplicaSet" || workload.kind == "StatefulSet" || workload.kind == "ReplicationController");
  if (known) owner_selectors[workload.kind + " " + workload.meta.key()] = workload.selector;
}

void NodeState::add(const Pod& pod) {
  pods.push_back(&pod);
  requested.add(pod.requests.real, 1);
  nonzero_cpu += pod.requests.nonzero_cpu;
  nonzero_memory += pod.requests.nonzero_memory;
  for (kube::HostPort& port : pod.spec->host_ports()) ports.push_back(std::move(port));
  with_affinity += pod.spec->has_pod_affinity();
  with_required_anti_affinity += !pod.spec->anti_affinity.required.empty();
}

bool NodeState::remove(const Pod& pod) {
  auto at = std::find(pods.begin(), pods.end(), &pod);
  if (at == pods.end()) return false;
  *at = pods.back();
  pods.pop_back();
  requested.add(pod.requests.real, -1);
  nonzero_cpu -= pod.requests.nonzero_cpu;
  nonzero_memory -= pod.requests.nonzero_memory;
  with_affinity -= pod.spec->has_pod_affinity();
  with_required_anti_affinity -= !pod.spec->anti_affinity.required.empty();
  for (const kube::HostPort& port : pod.spec->host_ports()) {
    auto used = std::find(ports.begin(), ports.end(), port);
    if (used != ports.end()) ports.erase(used);
  }
  return true;
}

Cluster::Cluster(const std::vector<Node>& nodes, ClusterObjects objects) : objects_(std::move(objects)) {
  nodes_.reserve(nodes.size());
  for (const Node& node : nodes) {
    uint32_t index = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back({});
    nodes_.back().node = &node;
    nodes_.back().index = index;
    index_.emplace(node.name(), index);
    for (const kube::NodeImage& image : node.images) {
      for (const std::string& name : image.names) {
        ImageState& state = images_.try_emplace(name, ImageState{image.size_bytes, {}}).first->second;
        if (state.nodes.empty() || state.nodes.back() != index) state.nodes.push_back(index);
      }
    }
  }
}

const NodeState* Cluster::find_node(std::string_view name) const {
  auto at = index_.find(std::string(name));
  return at == index_.end() ? nullptr : &nodes_[at->second];
}

void Cluster::bind(const Pod& pod, uint32_t node) {
  nodes_[node].add(pod);
  for (const kube::PodVolume& volume : pod.spec->volumes) {
    if (!volume.claim.empty()) ++claim_users_[pod.meta.name_space + "/" + volume.claim];
  }
}

void Cluster::unbind(const Pod& pod, uint32_t node) {
  CHECK(nodes_[node].remove(pod));
  for (const kube::PodVolume& volume : pod.spec->volumes) {
    if (!volume.claim.empty()) --claim_users_[pod.meta.name_space + "/" + volume.claim];
  }
}

void Cluster::nominate(const Pod& pod, uint32_t node) {
  forget_nomination(pod);
  nominated_[node].push_back(&pod);
}

void Cluster::forget_nomination(const Pod& pod) {
  for (auto at = nominated_.begin(); at != nominated_.end();) {
    std::erase(at->second, &pod);
    at = at->second.empty() ? nominated_.erase(at) : std::next(at);
  }
}

const std::vector<const Pod*>& Cluster::nominated(uint32_t node) const {
  static const std::vector<const Pod*> none;
  auto at = nominated_.find(node);
  return at == nominated_.end() ? none : at->second;
}

const ImageState* Cluster::image(uint32_t node, const std::string& name) const {
  const ImageState* state = image(name);
  return state && std::binary_search(state->nodes.begin(), state->nodes.end(), node) ? state : nullptr;
}

const ImageState* Cluster::image(const std::string& name) const {
  auto at = images_.find(name);
  return at == images_.end() ? nullptr : &at->second;
}

const Labels& Cluster::namespace_labels(std::string_view name) const {
  static const Labels none;
  auto at = objects_.namespaces.find(name);
  return at == objects_.namespaces.end() ? none : at->second;
}

size_t Cluster::claim_users(const std::string& claim_key) const {
  auto at = claim_users_.find(claim_key);
  return at == claim_users_.end() ? 0 : at->second;
}

}  // namespace archway::scheduler
