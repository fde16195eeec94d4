#include "scheduler/inventory.h"

#include <algorithm>
#include <unordered_set>

#include "format/json_stream.h"

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

Problem problem_of(const Json& object, const std::string& kind, const Error& error) {
  Json typed = Json::object({{"kind", kind}, {"metadata", object["metadata"]}});
  return {kube::describe(typed), error.message};
}

// Members of any object that placement does not ask for, and that make up most of a dump.
std::vector<JsonPath> unread_members() {
  std::vector<JsonPath> paths = {{"metadata", "managedFields"}, {"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
                                 {"data"}, {"binaryData"}, {"stringData"}, {"spec", "versions"},
                                 {"status", "podIPs"}, {"status", "hostIPs"}, {"status", "nodeInfo"}, {"status", "ephemeralContainerStatuses"}};
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    for (const char* member : {"state", "lastState", "image", "imageID", "containerID", "volumeMounts", "user"}) paths.push_back({"status", list, member});
  }
  const JsonPath pods[] = {{"spec"}, {"spec", "template", "spec"}, {"spec", "jobTemplate", "spec", "template", "spec"}};
  for (const JsonPath& pod : pods) {
    auto add = [&](std::initializer_list<const char*> below) {
      JsonPath path = pod;
      path.insert(path.end(), below.begin(), below.end());
      paths.push_back(std::move(path));
    };
    for (const char* list : {"containers", "initContainers"}) {
      for (const char* member : {"env", "envFrom", "volumeMounts", "volumeDevices", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "command", "args",
                                 "securityContext", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy"}) {
        add({list, member});
      }
    }
    for (const char* member : {"projected", "configMap", "secret", "downwardAPI", "emptyDir", "hostPath"}) add({"volumes", member});
    for (const char* member : {"ephemeralContainers", "securityContext", "hostAliases", "dnsConfig"}) add({member});
  }
  return paths;
}

size_t hash_of(const kube::PodSpec& spec) {
  size_t hash = spec.containers.size() * 31 + spec.tolerations.size();
  auto mix = [&](const std::string& text) { hash ^= std::hash<std::string>()(text) + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2); };
  for (const kube::Container& each : spec.containers) {
    mix(each.name);
    mix(each.image);
    for (const auto& [name, amount] : each.requests) hash = hash * 31 + static_cast<size_t>(amount);
  }
  for (const auto& [key, value] : spec.node_selector) mix(value);
  for (const kube::PodVolume& each : spec.volumes) mix(each.claim);
  if (spec.node_affinity.required) {
    for (const kube::NodeSelectorTerm& term : *spec.node_affinity.required) {
      for (const auto* list : {&term.expressions, &term.fields}) {
        for (const kube::Requirement& each : *list) std::for_each(each.values.begin(), each.values.end(), mix);
      }
    }
  }
  for (const auto* affinity : {&spec.affinity, &spec.anti_affinity}) {
    for (const auto* terms : {&affinity->required, &affinity->preferred}) {
      for (const kube::PodAffinityTerm& term : *terms) {
        for (const kube::Requirement& each : term.selector.requirements()) std::for_each(each.values.begin(), each.values.end(), mix);
      }
    }
  }
  for (const kube::SpreadConstraint& each : spec.spread) {
    for (const kube::Requirement& requirement : each.selector.requirements()) std::for_each(requirement.values.begin(), requirement.values.end(), mix);
  }
  return hash;
}

}  // namespace

void Inventory::add(const Json& document) {
  const std::string& kind = document["kind"].string();
  if (!kind.ends_with(kListSuffix) || !document["items"].is_array()) return add_object(document, kind);
  // Items of a typed list leave their kind out.
  std::string of_items = kind.substr(0, kind.size() - kListSuffix.size());
  for (const Json& item : document["items"].items()) add_object(item, item["kind"].string_or(of_items));
}

Inventory::Object Inventory::read(Json object, std::string kind) {
  Object read;
  read.kind = std::move(kind);
  if (read.kind != "Pod") {
    read.json = std::move(object);
    return read;
  }
  auto pod = kube::read_pod(object);
  if (pod.ok()) {
    read.pod = std::move(*pod);
    read.spec_hash = hash_of(*read.pod->spec);
  } else {
    read.problem = problem_of(object, read.kind, pod.error());
  }
  return read;
}

void Inventory::add(Object object) {
  if (object.problem) {
    problems.push_back(std::move(*object.problem));
  } else if (object.pod) {
    add_pod(std::move(*object.pod), object.spec_hash);
  } else if (object.kind.ends_with(kListSuffix)) {
    add(object.json);
  } else {
    add_object(object.json, object.kind);
  }
}

void Inventory::add_pod(Pod pod, size_t spec_hash) {
  auto [begin, end] = specs_.equal_range(spec_hash);
  auto same = std::find_if(begin, end, [&](const auto& each) { return *each.second == *pod.spec; });
  if (same != end) {
    pod.spec = same->second;
  } else {
    specs_.emplace(spec_hash, pod.spec);
  }
  pods.push_back(std::move(pod));
}

void Inventory::add_object(const Json& object, const std::string& kind) {
  auto take = [&](auto result, const auto& keep) {
    if (result.ok()) {
      keep(std::move(*result));
    } else {
      problems.push_back(problem_of(object, kind, result.error()));
    }
  };
  if (kind == "Node") {
    take(kube::read_node(object), [&](Node node) { nodes.push_back(std::move(node)); });
  } else if (kind == "Pod") {
    take(kube::read_pod(object), [&](Pod pod) {
      size_t hash = hash_of(*pod.spec);
      add_pod(std::move(pod), hash);
    });
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

Result<void> add_json(Inventory& inventory, Source& source) {
  JsonStreamOptions options;
  options.skip = unread_members();
  return read_json_batches(source, options, [&inventory](std::vector<JsonItem> items) -> JsonCommit {
    auto objects = std::make_shared<std::vector<Inventory::Object>>();
    objects->reserve(items.size());
    for (JsonItem& item : items) {
      std::string kind = item.kind();
      objects->push_back(Inventory::read(std::move(item.value), std::move(kind)));
    }
    return [&inventory, objects]() -> Result<void> {
      for (Inventory::Object& object : *objects) inventory.add(std::move(object));
      return {};
    };
  });
}

void Inventory::settle() {
  // Later duplicates win; the order of first appearance stays.
  auto unique_by = [](auto& list, const auto& key_of) {
    std::unordered_map<std::string, size_t> last;
    last.reserve(list.size());
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
  specs_.clear();
  std::unordered_set<std::string> known;
  for (const Node& node : nodes) known.insert(node.name());
  for (Pod& pod : pods) {
    auto admitted = admit_priority(pod, priority_classes);
    if (!admitted.ok()) problems.push_back({"Pod " + pod.meta.key(), admitted.error().message});
    // Every namespace carries its own name as a label.
    if (!objects.namespaces.contains(pod.meta.name_space)) {
      objects.namespaces.emplace(pod.meta.name_space, Labels({{"kubernetes.io/metadata.name", pod.meta.name_space}}));
    }
    if (!pod.node_name.empty() && !pod.finished() && !known.contains(pod.node_name)) {
      problems.push_back({"Pod " + pod.meta.key(), "spec.nodeName: no Node is named \"" + pod.node_name + "\"; the pod is left out"});
    }
  }
}

}  // namespace archway::scheduler
