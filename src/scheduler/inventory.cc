#include "scheduler/inventory.h"

#include <algorithm>

namespace archway::scheduler {

namespace {

constexpr std::string_view kListSuffix = "List";

// Classes that every cluster has.
constexpr std::pair<std::string_view, int64_t> kSystemClasses[] = {{"system-cluster-critical", 2'000'000'000}, {"system-node-critical", 2'000'001'000}};

bool is_workload(std::string_view kind) {
  constexpr std::string_view kinds[] = {"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job", "CronJob"};
  return std::find(std::begin(kinds), std::end(kinds), kind) != std::end(kinds);
}

template <class T>
void replace_or_append(std::vector<T>& list, T value, const auto& same) {
  auto at = std::find_if(list.begin(), list.end(), same);
  if (at == list.end()) {
    list.push_back(std::move(value));
  } else {
    *at = std::move(value);
  }
}

}  // namespace

void Inventory::report(const Json& object, const std::string& kind, const Error& error) {
  Json typed = Json::object({{"kind", kind}, {"metadata", object["metadata"]}});
  problems.push_back({kube::describe(typed), error.message});
}

void Inventory::add(const Json& document) {
  const std::string& kind = document["kind"].string();
  if (!kind.ends_with(kListSuffix) || !document["items"].is_array()) return add_object(document, kind);
  // Items of a typed list leave their kind out.
  std::string of_items = kind.substr(0, kind.size() - kListSuffix.size());
  for (const Json& item : document["items"].items()) add_object(item, item["kind"].string_or(of_items));
}

void Inventory::add_object(const Json& object, const std::string& kind) {
  auto take = [&](auto result, const auto& keep) {
    if (result.ok()) {
      keep(std::move(*result));
    } else {
      report(object, kind, result.error());
    }
  };
  if (kind == "Node") {
    take(kube::read_node(object), [&](Node node) { nodes.push_back(std::move(node)); });
  } else if (kind == "Pod") {
    take(kube::read_pod(object), [&](Pod pod) { pods.push_back(std::move(pod)); });
  } else if (kind == "Namespace") {
    take(kube::read_namespace(object), [&](kube::Namespace value) { objects.namespaces[value.meta.name] = value.meta.labels; });
  } else if (kind == "Service") {
    take(kube::read_service(object), [&](kube::Service value) {
      auto same = [key = value.meta.key()](const kube::Service& each) { return each.meta.key() == key; };
      auto& list = objects.services[value.meta.name_space];
      replace_or_append(list, std::move(value), same);
    });
  } else if (is_workload(kind)) {
    Json typed = object;
    typed.set("kind", kind);
    take(kube::read_workload(typed), [&](kube::Workload value) {
      objects.add_owner(value);
      workloads.push_back(std::move(value));
    });
  } else if (kind == "PodDisruptionBudget") {
    take(kube::read_budget(object), [&](kube::PodDisruptionBudget value) {
      auto same = [key = value.meta.key()](const kube::PodDisruptionBudget& each) { return each.meta.key() == key; };
      replace_or_append(objects.budgets, std::move(value), same);
    });
  } else if (kind == "PriorityClass") {
    take(kube::read_priority_class(object), [&](kube::PriorityClass value) { priority_classes[value.meta.name] = value; });
  } else if (kind == "PersistentVolumeClaim") {
    take(kube::read_claim(object), [&](kube::PersistentVolumeClaim value) { objects.claims[value.meta.key()] = value; });
  } else if (kind == "PersistentVolume") {
    take(kube::read_volume_object(object), [&](kube::PersistentVolume value) { objects.volumes[value.meta.name] = value; });
  } else if (kind == "StorageClass") {
    take(kube::read_storage_class(object), [&](kube::StorageClass value) { objects.storage_classes[value.meta.name] = value; });
  } else if (kind == "CSINode") {
    take(kube::read_csi_node(object), [&](kube::CsiNode value) { objects.csi_nodes[value.meta.name] = value; });
  } else if (kind.empty()) {
    problems.push_back({kube::describe(object), "kind: must not be empty"});
  }
}

const kube::Workload* Inventory::find_workload(std::string_view kind, std::string_view key) const {
  for (const kube::Workload& each : workloads) {
    if (each.kind == kind && each.meta.key() == key) return &each;
  }
  return nullptr;
}

Result<void> admit_priority(Pod& pod, const std::map<std::string, kube::PriorityClass, std::less<>>& classes) {
  if (pod.spec->priority) return {};
  std::optional<int64_t> priority;
  bool never = false;
  const std::string& wanted = pod.spec->priority_class;
  for (const auto& [name, value] : kSystemClasses) {
    if (name == wanted) priority = value;
  }
  for (const auto& [name, each] : classes) {
    if (wanted.empty() ? each.global_default : name == wanted) {
      priority = each.value;
      never = each.never_preempts;
    }
  }
  if (!priority && !wanted.empty()) return Error{Code::Invalid, "spec.priorityClassName: no PriorityClass is named \"" + wanted + "\""};
  if (!priority) return {};
  auto spec = std::make_shared<kube::PodSpec>(*pod.spec);
  spec->priority = priority;
  spec->never_preempts = spec->never_preempts || never;
  pod.spec = std::move(spec);
  return {};
}

void Inventory::settle() {
  // Later duplicates win; the order of first appearance stays.
  auto unique_by = [](auto& list, const auto& key_of) {
    std::map<std::string, size_t> last;
    for (size_t i = 0; i < list.size(); ++i) last[key_of(list[i])] = i;
    if (last.size() == list.size()) return;
    std::remove_reference_t<decltype(list)> kept;
    for (size_t i = 0; i < list.size(); ++i) {
      if (last[key_of(list[i])] == i) kept.push_back(std::move(list[i]));
    }
    list = std::move(kept);
  };
  unique_by(nodes, [](const Node& each) { return each.name(); });
  unique_by(pods, [](const Pod& each) { return each.meta.key(); });
  unique_by(workloads, [](const kube::Workload& each) { return each.kind + " " + each.meta.key(); });
  std::map<std::string, int, std::less<>> known;
  for (const Node& node : nodes) known[node.name()] = 1;
  for (Pod& pod : pods) {
    auto admitted = admit_priority(pod, priority_classes);
    if (!admitted.ok()) problems.push_back({"Pod " + pod.meta.key(), admitted.error().message});
    // Every namespace carries its own name as a label.
    objects.namespaces.try_emplace(pod.meta.name_space, Labels({{"kubernetes.io/metadata.name", pod.meta.name_space}}));
    if (!pod.node_name.empty() && !pod.finished() && !known.contains(pod.node_name)) {
      problems.push_back({"Pod " + pod.meta.key(), "spec.nodeName: no Node is named \"" + pod.node_name + "\"; the pod is left out"});
    }
  }
}

}  // namespace archway::scheduler
