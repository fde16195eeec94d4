#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kube/meta.h"
#include "kube/node_affinity.h"
#include "kube/resources.h"
#include "kube/selector.h"
#include "kube/taint.h"

namespace archway::kube {

struct HostPort {
  std::string ip, protocol;  // "0.0.0.0" and "TCP" where not given
  int32_t port = 0;
  bool operator==(const HostPort&) const = default;
};

struct Container {
  std::string name, image;
  ResourceList requests;
  bool restarts = false;  // an init container with restartPolicy Always: a sidecar
  std::vector<HostPort> ports;
  bool operator==(const Container&) const = default;
};

// A term of pod affinity or anti-affinity.
struct PodAffinityTerm {
  int64_t weight = 0;  // of preferred terms
  std::vector<std::string> namespaces;  // sorted; the pod's own where the term names none
  Selector namespace_selector = Selector::nothing();
  Selector selector;
  std::string topology_key;
  bool operator==(const PodAffinityTerm&) const = default;
};

struct PodAffinity {
  std::vector<PodAffinityTerm> required, preferred;
  bool present = false;  // the API object has the member, perhaps empty
  bool operator==(const PodAffinity&) const = default;
};

struct SpreadConstraint {
  int64_t max_skew = 1, min_domains = 1;
  std::string topology_key;
  bool required = true;  // whenUnsatisfiable: DoNotSchedule
  Selector selector;     // matchLabelKeys are part of it
  bool honor_affinity = true, honor_taints = false;
  bool operator==(const SpreadConstraint&) const = default;
};

// A volume as far as placement asks.
struct PodVolume {
  std::string name;
  std::string claim;       // of a PersistentVolumeClaim; "<pod>-<volume>" of a generic ephemeral one
  bool ephemeral = false;
  std::string disk;        // of a legacy disk in the pod itself: "gce-pd NAME", "aws-ebs ID", "rbd ...", "iscsi ..."
  bool disk_read_only = false;
  bool operator==(const PodVolume&) const = default;
};

struct PodSpec {
  std::vector<Container> containers, init_containers;
  ResourceList overhead, pod_requests;  // spec.resources.requests
  Labels node_selector;
  NodeAffinity node_affinity;
  bool has_node_selector = false;
  PodAffinity affinity, anti_affinity;
  std::vector<Toleration> tolerations;
  std::vector<SpreadConstraint> spread;
  std::vector<std::string> scheduling_gates;
  std::vector<PodVolume> volumes;
  std::optional<int64_t> priority;
  std::string priority_class;
  bool never_preempts = false;
  bool uses_resource_claims = false;
  bool host_network = false;
  std::string scheduler_name;
  bool operator==(const PodSpec&) const = default;

  std::vector<HostPort> host_ports() const;
  bool has_pod_affinity() const { return affinity.present || anti_affinity.present; }
};

// What a pod asks for, by the scheduler's three ways of counting (component-helpers/resource, PodRequests).
struct PodRequests {
  Resources real;
  int64_t nonzero_cpu = 0, nonzero_memory = 0;  // what it weighs on its node: 100m and 200Mi where a container is silent
  int64_t score_cpu = 0, score_memory = 0;      // what the incoming pod itself weighs when nodes are scored
  bool operator==(const PodRequests&) const = default;
};

// Requests that a running container reports in its status, which in-place resizing lets differ from the spec.
struct ContainerStatusResources {
  std::string name;
  ResourceList requests, allocated;
  bool operator==(const ContainerStatusResources&) const = default;
};

struct Pod {
  ObjectMeta meta;
  std::shared_ptr<const PodSpec> spec;
  PodRequests requests;
  std::string node_name, nominated_node;
  std::string phase;
  std::optional<Time> started;
  bool preempted = false;  // has the condition DisruptionTarget by the scheduler

  int64_t priority() const { return spec->priority.value_or(0); }
  bool terminating() const { return meta.deleted.has_value(); }
  bool finished() const { return phase == "Succeeded" || phase == "Failed"; }
};

PodRequests count_requests(const PodSpec& spec, const std::vector<ContainerStatusResources>& status, bool resize_infeasible);

inline constexpr size_t kMaxContainers = 1024;
inline constexpr size_t kMaxTerms = 1024;  // of any list in a pod's affinity, tolerations or spread

Result<Pod> read_pod(const Json& object);
// A pod of a workload's template: {metadata: {labels}, spec}.
struct PodTemplate {
  Labels labels;
  std::shared_ptr<const PodSpec> spec;
};
Result<PodTemplate> read_pod_template(const Json& object, const std::string& name_space, const std::string& pod_name);

}  // namespace archway::kube
