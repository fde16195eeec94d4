#include "kube/objects.h"

#include <algorithm>

namespace archway::kube {

namespace {

Result<int64_t> read_count(const Json& object, std::string_view key, int64_t fallback) {
  if (object[key].is_null()) return fallback;
  int64_t count = object[key].integer(-1);
  if (count < 0) return Error{Code::Invalid, std::string(key) + ": must be a whole number, not negative"};
  return count;
}

Result<Nanos> read_quantity(const Json& value, std::string_view where) {
  if (value.is_null()) return Nanos(0);
  auto quantity = TRY(Quantity::parse(value.is_string() ? value.string() : to_json(value)).context(where));
  return quantity.nanos();
}

constexpr std::string_view kLegacyClass = "volume.beta.kubernetes.io/storage-class";

}  // namespace

std::string Node::label(std::string_view key) const {
  const std::string* value = meta.labels.find(key);
  return value ? *value : std::string();
}

bool PersistentVolumeClaim::read_write_once_pod() const {
  return std::find(access_modes.begin(), access_modes.end(), "ReadWriteOncePod") != access_modes.end();
}

Result<Node> read_node(const Json& object) {
  Node node;
  node.meta = TRY(read_meta(object, Scope::Cluster));
  node.unschedulable = object["spec"]["unschedulable"].boolean();
  for (const Json& item : object["spec"]["taints"].items()) {
    node.taints.push_back(TRY(read_taint(item).context("spec.taints[" + std::to_string(node.taints.size()) + "]")));
  }
  // What is allocatable defaults to the capacity, as the API server does it.
  const Json& status = object["status"];
  bool has_allocatable = !status["allocatable"].is_null();
  std::string_view from = has_allocatable ? "allocatable" : "capacity";
  node.allocatable = to_resources(TRY(read_resources(status[from]).context("status." + std::string(from))));
  for (const Json& item : status["images"].items()) {
    node.images.push_back({item["names"].strings(), item["sizeBytes"].integer()});
  }
  return node;
}

Result<Namespace> read_namespace(const Json& object) { return Namespace{TRY(read_meta(object, Scope::Cluster))}; }

Result<Service> read_service(const Json& object) {
  Service service;
  service.meta = TRY(read_meta(object, Scope::Namespaced));
  const Json& selector = object["spec"]["selector"];
  if (!selector.is_null()) service.selector = TRY(read_labels(selector).context("spec.selector"));
  return service;
}

Result<Workload> read_workload(const Json& object) {
  Workload workload;
  workload.kind = object["kind"].string();
  workload.api_version = object["apiVersion"].string();
  workload.meta = TRY(read_meta(object, Scope::Namespaced));
  const Json& spec = object["spec"];
  const Json* tmpl = &spec["template"];
  if (workload.kind == "ReplicationController") {
    workload.selector = Selector::from_labels(TRY(read_labels(spec["selector"]).context("spec.selector")));
  } else if (workload.kind != "CronJob") {
    workload.selector = TRY(read_label_selector(spec["selector"]).context("spec.selector"));
  }
  if (workload.kind == "CronJob") tmpl = &spec["jobTemplate"]["spec"]["template"];
  if (workload.kind == "Job" || workload.kind == "CronJob") {
    const Json& job = workload.kind == "Job" ? spec : spec["jobTemplate"]["spec"];
    workload.replicas = TRY(read_count(job, "parallelism", 1).context("spec"));
    workload.replicas = std::min(workload.replicas, TRY(read_count(job, "completions", workload.replicas).context("spec")));
    if (spec["suspend"].boolean()) workload.replicas = 0;
  } else {
    workload.replicas = TRY(read_count(spec, "replicas", 1).context("spec"));
  }
  if ((*tmpl)["spec"]["containers"].size() > 0) {
    workload.pod = TRY(read_pod_template(*tmpl, workload.meta.name_space, workload.meta.name).context("spec.template"));
  }
  return workload;
}

Result<PodDisruptionBudget> read_budget(const Json& object) {
  PodDisruptionBudget budget;
  budget.meta = TRY(read_meta(object, Scope::Namespaced));
  budget.selector = TRY(read_label_selector(object["spec"]["selector"]).context("spec.selector"));
  budget.disruptions_allowed = object["status"]["disruptionsAllowed"].integer();
  for (const JsonMember& member : object["status"]["disruptedPods"].members()) budget.disrupted.push_back(member.key);
  return budget;
}

Result<PriorityClass> read_priority_class(const Json& object) {
  PriorityClass result;
  result.meta = TRY(read_meta(object, Scope::Cluster));
  if (!object["value"].is_int()) return Error{Code::Invalid, "value: must be a whole number"};
  result.value = object["value"].integer();
  result.global_default = object["globalDefault"].boolean();
  result.never_preempts = object["preemptionPolicy"].string() == "Never";
  return result;
}

Result<PersistentVolumeClaim> read_claim(const Json& object) {
  PersistentVolumeClaim claim;
  claim.meta = TRY(read_meta(object, Scope::Namespaced));
  const Json& spec = object["spec"];
  const Json& annotations = object["metadata"]["annotations"];
  claim.volume = spec["volumeName"].string();
  claim.storage_class = annotations.has(kLegacyClass) ? annotations[kLegacyClass].string() : spec["storageClassName"].string();
  claim.phase = object["status"]["phase"].string();
  claim.selected_node = annotations["volume.kubernetes.io/selected-node"].string();
  // The binder trusts a volume name only with this mark; dumps without annotations say it by their phase.
  claim.bound = !claim.volume.empty() && (annotations.has("pv.kubernetes.io/bind-completed") || claim.phase == "Bound");
  claim.request = TRY(read_quantity(spec["resources"]["requests"]["storage"], "spec.resources.requests.storage"));
  claim.access_modes = spec["accessModes"].strings();
  return claim;
}

Result<PersistentVolume> read_volume_object(const Json& object) {
  PersistentVolume volume;
  volume.meta = TRY(read_meta(object, Scope::Cluster));
  const Json& spec = object["spec"];
  const Json& required = spec["nodeAffinity"]["required"];
  if (!required.is_null()) volume.required = TRY(read_node_selector_terms(required).context("spec.nodeAffinity.required"));
  const Json& claim = spec["claimRef"];
  if (!claim.is_null()) volume.claim = claim["namespace"].string() + "/" + claim["name"].string();
  volume.storage_class = spec["storageClassName"].string();
  volume.phase = object["status"]["phase"].string();
  volume.csi_driver = spec["csi"]["driver"].string();
  volume.capacity = TRY(read_quantity(spec["capacity"]["storage"], "spec.capacity.storage"));
  volume.access_modes = spec["accessModes"].strings();
  return volume;
}

Result<StorageClass> read_storage_class(const Json& object) {
  StorageClass result;
  result.meta = TRY(read_meta(object, Scope::Cluster));
  result.wait_for_consumer = object["volumeBindingMode"].string() == "WaitForFirstConsumer";
  result.provisioner = object["provisioner"].string();
  for (const Json& item : object["allowedTopologies"].items()) {
    std::vector<Requirement> term;
    for (const Json& expression : item["matchLabelExpressions"].items()) {
      Requirement requirement{expression["key"].string(), SelectorOperator::In, expression["values"].strings()};
      std::sort(requirement.values.begin(), requirement.values.end());
      term.push_back(std::move(requirement));
    }
    result.allowed_topologies.push_back(std::move(term));
  }
  return result;
}

Result<CsiNode> read_csi_node(const Json& object) {
  CsiNode node;
  node.meta = TRY(read_meta(object, Scope::Cluster));
  for (const Json& driver : object["spec"]["drivers"].items()) {
    const Json& count = driver["allocatable"]["count"];
    if (count.is_int()) node.limits.emplace_back(driver["name"].string(), count.integer());
  }
  return node;
}

std::string describe(const Json& object) {
  std::string kind = object["kind"].string_or("object");
  const Json& meta = object["metadata"];
  std::string name = meta["name"].string_or("(without a name)");
  return kind + " " + (meta["namespace"].string().empty() ? "" : meta["namespace"].string() + "/") + name;
}

}  // namespace archway::kube
