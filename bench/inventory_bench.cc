// How fast a dump of a cluster is read: inventory_bench FILE, after inventory_bench --write FILE [PODS NODES], which makes one as
// `kubectl get pods,nodes -A -o json` writes it, about seven kilobytes a pod; every pod has a specification of its own.
#include <fcntl.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/fd.h"
#include "scheduler/explain.h"
#include "scheduler/inventory.h"

using namespace archway;

namespace {

Json managed_fields() {
  Json fields = Json::object();
  for (const char* name : {"f:containers"}) {
    fields.set(name, Json::object({{".", Json::object()}, {"f:resources", Json::object({{"f:limits", Json::object()}, {"f:requests", Json::object()}})}}));
  }
  Json list = Json::array();
  for (const char* manager : {"kube-controller-manager", "kubelet"}) {
    list.push(Json::object({{"apiVersion", "v1"}, {"fieldsType", "FieldsV1"}, {"fieldsV1", Json::object({{"f:metadata", fields}, {"f:spec", fields}})}, {"manager", manager}}));
  }
  return list;
}

Json container(int index) {
  Json env = Json::array();
  for (int i = 0; i < 4; ++i) env.push(Json::object({{"name", "SETTING_" + std::to_string(i)}, {"value", "value of \"setting\" " + std::to_string(i)}}));
  Json probe = Json::object({{"failureThreshold", 3}, {"httpGet", Json::object({{"path", "/healthz"}, {"port", 8080}, {"scheme", "HTTP"}})}, {"periodSeconds", 10}});
  Json requests = Json::object({{"cpu", std::to_string(50 + index % 1000) + "m"}, {"memory", std::to_string(64 + index % 777) + "Mi"}});
  return Json::object({{"env", env}, {"image", "registry.example.org/team/app-" + std::to_string(index) + ":1.0"}, {"imagePullPolicy", "IfNotPresent"}, {"livenessProbe", probe},
                       {"name", "app"}, {"readinessProbe", probe}, {"resources", Json::object({{"limits", requests}, {"requests", requests}})}});
}

Json pod(int index, int nodes) {
  std::string app = "app-" + std::to_string(index), node = "node-" + std::to_string(index % nodes);
  Json metadata = Json::object({{"creationTimestamp", "2026-01-02T03:04:05Z"}, {"labels", Json::object({{"app", app}, {"pod-template-hash", "5d4f8c7b9"}})},
                                {"managedFields", managed_fields()}, {"name", app + "-x7k2p"}, {"namespace", index % 2 ? "default" : "prod"},
                                {"ownerReferences", Json(Json::Array{Json::object({{"apiVersion", "apps/v1"}, {"controller", true}, {"kind", "ReplicaSet"}, {"name", app}, {"uid", "u"}})})},
                                {"resourceVersion", std::to_string(1000 + index)}, {"uid", "0d9a1f2e-" + std::to_string(index)}});
  Json spec = Json::object({{"containers", Json(Json::Array{container(index)})}, {"nodeName", node}, {"priority", 0}, {"schedulerName", "default-scheduler"}});
  if (index % 5 < 2) {
    Json term = Json::object({{"matchExpressions", Json(Json::Array{Json::object({{"key", "kubernetes.io/arch"}, {"operator", "In"}, {"values", Json(Json::Array{"amd64", "arm64"})}})})}});
    spec.set("affinity", Json::object({{"nodeAffinity", Json::object({{"requiredDuringSchedulingIgnoredDuringExecution", Json::object({{"nodeSelectorTerms", Json(Json::Array{term})}})}})}}));
  }
  Json conditions = Json::array();
  for (const char* type : {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}) {
    conditions.push(Json::object({{"lastProbeTime", nullptr}, {"lastTransitionTime", "2026-01-02T03:04:06Z"}, {"status", "True"}, {"type", type}}));
  }
  Json status = Json::object({{"conditions", conditions}, {"phase", "Running"}, {"startTime", "2026-01-02T03:04:05Z"},
                              {"containerStatuses", Json(Json::Array{Json::object({{"name", "app"}, {"imageID", "registry.example.org/team/app@sha256:" + std::string(64, '0')}, {"ready", true}})})}});
  return Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", metadata}, {"spec", spec}, {"status", status}});
}

Json node(int index) {
  std::string name = "node-" + std::to_string(index);
  Json labels = Json::object({{"kubernetes.io/arch", index % 3 ? "amd64" : "arm64"}, {"kubernetes.io/hostname", name}, {"topology.kubernetes.io/zone", "zone-" + std::to_string(index % 3)}});
  Json allocatable = Json::object({{"cpu", "64"}, {"memory", "256Gi"}, {"pods", "110"}});
  return Json::object({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", Json::object({{"labels", labels}, {"name", name}})}, {"status", Json::object({{"allocatable", allocatable}})}});
}

int write_dump(const char* path, int pods, int nodes) {
  FILE* file = std::fopen(path, "w");
  if (!file) return 1;
  std::fputs("{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n", file);
  for (int i = 0; i < nodes + pods; ++i) {
    std::string text = to_json(i < nodes ? node(i) : pod(i - nodes, nodes), {.indent = 4});
    std::fprintf(file, "%s%s", i ? ",\n" : "", text.c_str());
  }
  std::fputs("\n    ],\n    \"kind\": \"List\",\n    \"metadata\": {\"resourceVersion\": \"\"}\n}\n", file);
  return std::fclose(file) == 0 ? 0 : 1;
}

// What `archway explain pod` does once all is read.
double explain_seconds(const scheduler::Inventory& inventory) {
  auto begin = std::chrono::steady_clock::now();
  scheduler::Cluster cluster(inventory.nodes, inventory.objects);
  for (const kube::Pod& pod : inventory.pods) {
    const scheduler::NodeState* node = cluster.find_node(pod.node_name);
    if (node && &pod != &inventory.pods[0]) cluster.bind(pod, node->index);
  }
  kube::Pod pod = inventory.pods.at(0);
  pod.node_name.clear();
  scheduler::Profile profile;
  scheduler::Decision decision = decide(profile, cluster, pod);
  scheduler::SmallestChangeAnswer change = smallest_change(profile, cluster, pod, "arm64");
  return decision.chosen || change.change ? std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() : -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::string(argv[1]) == "--write") return write_dump(argv[2], argc > 3 ? std::atoi(argv[3]) : 150'000, argc > 4 ? std::atoi(argv[4]) : 5000);
  if (argc != 2) return 64;
  auto begin = std::chrono::steady_clock::now();
  auto fd = open_file(argv[1], O_RDONLY);
  if (!fd.ok()) return 1;
  FdSource source(std::move(*fd));
  scheduler::Inventory inventory;
  auto added = scheduler::add_json(inventory, source);
  if (!added.ok()) std::fprintf(stderr, "%s\n", added.error().message.c_str());
  inventory.settle();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto of = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  std::printf("%zu pods, %zu nodes, %zu problems: %.2f s, %.2f s of processors, %ld MB\n", inventory.pods.size(), inventory.nodes.size(), inventory.problems.size(), seconds,
              of(usage.ru_utime) + of(usage.ru_stime), usage.ru_maxrss / 1024);
  if (!inventory.pods.empty()) std::printf("one explained: %.2f s\n", explain_seconds(inventory));
  return 0;
}
