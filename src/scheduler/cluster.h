#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kube/objects.h"

namespace archway::scheduler {

using kube::Labels;
using kube::Node;
using kube::Pod;

inline constexpr std::string_view kHostnameLabel = "kubernetes.io/hostname";
inline constexpr std::string_view kZoneLabel = "topology.kubernetes.io/zone";

// Objects that placement reads besides nodes and pods.
struct ClusterObjects {
  std::map<std::string, Labels, std::less<>> namespaces;
  std::map<std::string, std::vector<kube::Service>, std::less<>> services;  // by namespace
  // What may own pods and tell which of them belong together: "ReplicaSet ns/name", with the API group checked.
  std::map<std::string, kube::Selector, std::less<>> owner_selectors;
  std::vector<kube::PodDisruptionBudget> budgets;
  std::map<std::string, kube::PersistentVolumeClaim, std::less<>> claims;  // by "ns/name"
  std::map<std::string, kube::PersistentVolume, std::less<>> volumes;
  std::map<std::string, kube::StorageClass, std::less<>> storage_classes;
  std::map<std::string, kube::CsiNode, std::less<>> csi_nodes;

  void add_owner(const kube::Workload& workload);
};

// A node and the pods on it, with what they use summed up. Copied for a dry run.
struct NodeState {
  const Node* node = nullptr;
  uint32_t index = 0;
  std::vector<const Pod*> pods;  // in order of arrival
  kube::Resources requested;
  int64_t nonzero_cpu = 0, nonzero_memory = 0;
  std::vector<kube::HostPort> ports;  // in use; one entry per user
  size_t with_affinity = 0, with_required_anti_affinity = 0;  // pods that have something to say about others

  void add(const Pod& pod);
  bool remove(const Pod& pod);  // the last one takes its place, as in kube-scheduler's cache
};

// An image as the scheduler's cache knows it: the size that the first node reported, and where it is.
struct ImageState {
  int64_t size_bytes = 0;
  std::vector<uint32_t> nodes;  // rising
};

// Nodes, bound pods and all else, as one scheduling cycle sees them. Borrows nodes and pods.
// Used by one thread at a time.
class Cluster {
 public:
  Cluster(const std::vector<Node>& nodes, ClusterObjects objects);

  const std::vector<NodeState>& nodes() const { return nodes_; }
  const ClusterObjects& objects() const { return objects_; }
  ClusterObjects& mutable_objects() { return objects_; }  // for claims that get bound
  const NodeState* find_node(std::string_view name) const;

  void bind(const Pod& pod, uint32_t node);
  void unbind(const Pod& pod, uint32_t node);
  // A pod that preemption promised a place on a node.
  void nominate(const Pod& pod, uint32_t node);
  void forget_nomination(const Pod& pod);
  const std::vector<const Pod*>& nominated(uint32_t node) const;
  bool has_nominations() const { return !nominated_.empty(); }

  const ImageState* image(uint32_t node, const std::string& name) const;  // null where the node lacks it
  const ImageState* image(const std::string& name) const;                 // null where every node lacks it
  const Labels& namespace_labels(std::string_view name) const;
  // Pods anywhere that use this claim.
  size_t claim_users(const std::string& claim_key) const;

 private:
  std::vector<NodeState> nodes_;
  ClusterObjects objects_;
  std::unordered_map<std::string, uint32_t> index_;
  std::unordered_map<std::string, ImageState> images_;
  std::map<uint32_t, std::vector<const Pod*>> nominated_;
  std::unordered_map<std::string, size_t> claim_users_;
};

}  // namespace archway::scheduler
