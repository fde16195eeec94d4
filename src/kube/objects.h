#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kube/pod.h"

// The kinds that placement reads, each reduced to what it asks. One read_... per kind; errors name the field.
namespace archway::kube {

struct NodeImage {
  std::vector<std::string> names;
  int64_t size_bytes = 0;
};

struct Node {
  ObjectMeta meta;
  std::vector<Taint> taints;
  bool unschedulable = false;
  Resources allocatable;
  std::vector<NodeImage> images;

  const std::string& name() const { return meta.name; }
  std::string label(std::string_view key) const;  // "" where absent
  std::string architecture() const { return label("kubernetes.io/arch"); }
};

struct Namespace {
  ObjectMeta meta;
};

struct Service {
  ObjectMeta meta;
  std::optional<Labels> selector;  // none: endpoints are managed by hand
};

// Deployment, ReplicaSet, ReplicationController, StatefulSet, DaemonSet, Job, CronJob.
struct Workload {
  std::string kind, api_version;
  ObjectMeta meta;
  int64_t replicas = 1;
  Selector selector = Selector::nothing();
  std::optional<PodTemplate> pod;  // none where the object has no usable template (a reduced test object)
};

struct PodDisruptionBudget {
  ObjectMeta meta;
  Selector selector = Selector::nothing();
  int64_t disruptions_allowed = 0;
  std::vector<std::string> disrupted;  // names already being evicted
};

struct PriorityClass {
  ObjectMeta meta;
  int64_t value = 0;
  bool global_default = false, never_preempts = false;
};

struct PersistentVolumeClaim {
  ObjectMeta meta;
  std::string volume, storage_class, phase, selected_node;
  bool lost() const { return phase == "Lost"; }
  bool bound = false;  // has a volume, and the controller says so
  Nanos request = 0;
  std::vector<std::string> access_modes;
  bool read_write_once_pod() const;
};

struct PersistentVolume {
  ObjectMeta meta;
  std::optional<std::vector<NodeSelectorTerm>> required;  // spec.nodeAffinity
  std::string claim, storage_class, phase, csi_driver;
  Nanos capacity = 0;
  std::vector<std::string> access_modes;
};

struct StorageClass {
  ObjectMeta meta;
  bool wait_for_consumer = false;
  std::string provisioner;
  // Alternatives; within one, each label must have one of the values.
  std::vector<std::vector<Requirement>> allowed_topologies;
};

struct CsiNode {
  ObjectMeta meta;
  std::vector<std::pair<std::string, int64_t>> limits;  // volumes per driver
};

Result<Node> read_node(const Json& object);
Result<Namespace> read_namespace(const Json& object);
Result<Service> read_service(const Json& object);
Result<Workload> read_workload(const Json& object);
Result<PodDisruptionBudget> read_budget(const Json& object);
Result<PriorityClass> read_priority_class(const Json& object);
Result<PersistentVolumeClaim> read_claim(const Json& object);
Result<PersistentVolume> read_volume_object(const Json& object);
Result<StorageClass> read_storage_class(const Json& object);
Result<CsiNode> read_csi_node(const Json& object);

// "Pod default/web", for messages about an object that may be broken.
std::string describe(const Json& object);

}  // namespace archway::kube
