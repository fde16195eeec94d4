#include "kube/client.h"

namespace archway::kube {

std::string Resource::path(const std::string& name_space, const std::string& name, const std::string& subresource) const {
  std::string path = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (namespaced && !name_space.empty()) path += "/namespaces/" + percent_encode(name_space);
  path += "/" + plural;
  if (!name.empty()) path += "/" + percent_encode(name);
  if (!subresource.empty()) path += "/" + subresource;
  return path;
}

namespace resources {
namespace {

constexpr bool kNamespaced = true, kCluster = false;

Resource core(std::string plural, std::string kind, bool namespaced = kNamespaced) { return {"", "v1", std::move(plural), std::move(kind), namespaced}; }
Resource apps(std::string plural, std::string kind) { return {"apps", "v1", std::move(plural), std::move(kind), kNamespaced}; }
Resource storage(std::string plural, std::string kind) { return {"storage.k8s.io", "v1", std::move(plural), std::move(kind), kCluster}; }

}  // namespace

Resource pods() { return core("pods", "Pod"); }
Resource nodes() { return core("nodes", "Node", kCluster); }
Resource namespaces() { return core("namespaces", "Namespace", kCluster); }
Resource secrets() { return core("secrets", "Secret"); }
Resource service_accounts() { return core("serviceaccounts", "ServiceAccount"); }
Resource config_maps() { return core("configmaps", "ConfigMap"); }
Resource events() { return core("events", "Event"); }
Resource services() { return core("services", "Service"); }
Resource replication_controllers() { return core("replicationcontrollers", "ReplicationController"); }
Resource persistent_volumes() { return core("persistentvolumes", "PersistentVolume", kCluster); }
Resource persistent_volume_claims() { return core("persistentvolumeclaims", "PersistentVolumeClaim"); }
Resource deployments() { return apps("deployments", "Deployment"); }
Resource replica_sets() { return apps("replicasets", "ReplicaSet"); }
Resource stateful_sets() { return apps("statefulsets", "StatefulSet"); }
Resource daemon_sets() { return apps("daemonsets", "DaemonSet"); }
Resource jobs() { return {"batch", "v1", "jobs", "Job", kNamespaced}; }
Resource cron_jobs() { return {"batch", "v1", "cronjobs", "CronJob", kNamespaced}; }
Resource pod_disruption_budgets() { return {"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", kNamespaced}; }
Resource priority_classes() { return {"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", kCluster}; }
Resource leases() { return {"coordination.k8s.io", "v1", "leases", "Lease", kNamespaced}; }
Resource storage_classes() { return storage("storageclasses", "StorageClass"); }
Resource csi_nodes() { return storage("csinodes", "CSINode"); }
Resource mutating_webhook_configurations() {
  return {"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", kCluster};
}
Resource custom_resource_definitions() { return {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", kCluster}; }

}  // namespace resources
}  // namespace archway::kube
