#include "kube/pod.h"

#include <algorithm>

namespace archway::kube {

namespace {

Error too_many(std::string_view what, size_t limit) {
  return {Code::Invalid, std::string(what) + ": more than " + std::to_string(limit) + " entries"};
}

std::string at(std::string_view list, size_t index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

Result<HostPort> read_port(const Json& object, bool host_network) {
  HostPort port{object["hostIP"].string_or("0.0.0.0"), object["protocol"].string_or("TCP"), 0};
  if (port.ip.empty()) port.ip = "0.0.0.0";
  // On the host's network every port is the host's, which the API server writes into hostPort.
  int64_t number = object["hostPort"].integer(host_network ? object["containerPort"].integer() : 0);
  if (number < 0 || number > 65535) return Error{Code::Invalid, "hostPort: " + std::to_string(number) + " is not between 1 and 65535"};
  port.port = static_cast<int32_t>(number);
  return port;
}

Result<Container> read_container(const Json& object, bool host_network) {
  Container container;
  container.name = object["name"].string();
  container.image = object["image"].string();
  container.restarts = object["restartPolicy"].string() == "Always";
  // A limit without a request is a request too: the API server's defaulting.
  container.requests = TRY(read_resources(object["resources"]["limits"]).context("resources.limits"));
  auto requests = TRY(read_resources(object["resources"]["requests"]).context("resources.requests"));
  for (const auto& [name, amount] : requests) container.requests.set(name, amount);
  for (const auto& [name, amount] : container.requests) {
    if (amount < 0) return Error{Code::Invalid, "resources.requests." + name + ": must not be negative"};
  }
  size_t index = 0;
  for (const Json& item : object["ports"].items()) {
    auto port = TRY(read_port(item, host_network).context(at("ports", index++)));
    if (port.port > 0) container.ports.push_back(std::move(port));
  }
  return container;
}

Result<std::vector<Container>> read_containers(const Json& list, std::string_view name, bool host_network) {
  std::vector<Container> containers;
  if (list.size() > kMaxContainers) return too_many(name, kMaxContainers);
  for (const Json& item : list.items()) {
    containers.push_back(TRY(read_container(item, host_network).context(at(name, containers.size()))));
  }
  return containers;
}

// The values that the pod itself has for `keys`, as requirements with `op`: matchLabelKeys and mismatchLabelKeys.
void add_own_labels(Selector& selector, const Json& keys, const Labels& own, SelectorOperator op) {
  if (selector.is_nothing()) return;
  for (const std::string& key : keys.strings()) {
    const std::string* value = own.find(key);
    if (value) selector.add({key, op, {*value}});
  }
}

Result<PodAffinityTerm> read_affinity_term(const Json& object, const std::string& name_space, const Labels& own) {
  PodAffinityTerm term;
  term.selector = TRY(read_label_selector(object["labelSelector"]).context("labelSelector"));
  add_own_labels(term.selector, object["matchLabelKeys"], own, SelectorOperator::In);
  add_own_labels(term.selector, object["mismatchLabelKeys"], own, SelectorOperator::NotIn);
  term.namespace_selector = TRY(read_label_selector(object["namespaceSelector"]).context("namespaceSelector"));
  term.namespaces = object["namespaces"].strings();
  if (term.namespaces.empty() && object["namespaceSelector"].is_null()) term.namespaces.push_back(name_space);
  std::sort(term.namespaces.begin(), term.namespaces.end());
  term.topology_key = object["topologyKey"].string();
  if (!valid_label_key(term.topology_key)) return Error{Code::Invalid, "topologyKey: \"" + term.topology_key + "\" is no label key"};
  return term;
}

Result<PodAffinity> read_pod_affinity(const Json& object, const std::string& name_space, const Labels& own) {
  PodAffinity affinity;
  affinity.present = !object.is_null();
  constexpr std::string_view required = "requiredDuringSchedulingIgnoredDuringExecution";
  constexpr std::string_view preferred = "preferredDuringSchedulingIgnoredDuringExecution";
  if (object[required].size() > kMaxTerms) return too_many(required, kMaxTerms);
  if (object[preferred].size() > kMaxTerms) return too_many(preferred, kMaxTerms);
  for (const Json& item : object[required].items()) {
    affinity.required.push_back(TRY(read_affinity_term(item, name_space, own).context(at(required, affinity.required.size()))));
  }
  for (const Json& item : object[preferred].items()) {
    std::string where = at(preferred, affinity.preferred.size());
    auto term = TRY(read_affinity_term(item["podAffinityTerm"], name_space, own).context(where + ".podAffinityTerm"));
    term.weight = item["weight"].integer();
    if (term.weight < 1 || term.weight > 100) return Error{Code::Invalid, where + ".weight: must be between 1 and 100"};
    affinity.preferred.push_back(std::move(term));
  }
  return affinity;
}

Result<SpreadConstraint> read_spread(const Json& object, const Labels& own) {
  SpreadConstraint spread;
  spread.max_skew = object["maxSkew"].integer();
  if (spread.max_skew < 1) return Error{Code::Invalid, "maxSkew: must be greater than zero"};
  spread.topology_key = object["topologyKey"].string();
  if (!valid_label_key(spread.topology_key)) return Error{Code::Invalid, "topologyKey: \"" + spread.topology_key + "\" is no label key"};
  const std::string& otherwise = object["whenUnsatisfiable"].string();
  if (otherwise != "DoNotSchedule" && otherwise != "ScheduleAnyway") {
    return Error{Code::Invalid, "whenUnsatisfiable: \"" + otherwise + "\" is not DoNotSchedule or ScheduleAnyway"};
  }
  spread.required = otherwise == "DoNotSchedule";
  spread.selector = TRY(read_label_selector(object["labelSelector"]).context("labelSelector"));
  add_own_labels(spread.selector, object["matchLabelKeys"], own, SelectorOperator::In);
  spread.min_domains = object["minDomains"].integer(1);
  if (spread.min_domains < 1) return Error{Code::Invalid, "minDomains: must be greater than zero"};
  spread.honor_affinity = object["nodeAffinityPolicy"].string_or("Honor") == "Honor";
  spread.honor_taints = object["nodeTaintsPolicy"].string_or("Ignore") == "Honor";
  return spread;
}

PodVolume read_volume(const Json& object, const std::string& pod_name) {
  PodVolume volume;
  volume.name = object["name"].string();
  volume.claim = object["persistentVolumeClaim"]["claimName"].string();
  if (!object["ephemeral"].is_null()) {
    volume.ephemeral = true;
    volume.claim = pod_name + "-" + volume.name;
  }
  if (const Json* disk = object.find("gcePersistentDisk")) {
    volume.disk = "gce-pd " + (*disk)["pdName"].string();
    volume.disk_read_only = (*disk)["readOnly"].boolean();
  } else if (const Json* ebs = object.find("awsElasticBlockStore")) {
    volume.disk = "aws-ebs " + (*ebs)["volumeID"].string();  // read-only or not: one node only
  } else if (const Json* iscsi = object.find("iscsi")) {
    volume.disk = "iscsi " + (*iscsi)["iqn"].string();
    volume.disk_read_only = (*iscsi)["readOnly"].boolean();
  }
  return volume;
}

Result<std::shared_ptr<const PodSpec>> read_spec(const Json& from, const std::string& name_space, const std::string& pod_name, const Labels& own) {
  auto spec = std::make_shared<PodSpec>();
  spec->host_network = from["hostNetwork"].boolean();
  spec->containers = TRY(read_containers(from["containers"], "containers", spec->host_network));
  if (spec->containers.empty()) return Error{Code::Invalid, "containers: must not be empty"};
  spec->init_containers = TRY(read_containers(from["initContainers"], "initContainers", spec->host_network));
  spec->overhead = TRY(read_resources(from["overhead"]).context("overhead"));
  spec->pod_requests = TRY(read_resources(from["resources"]["requests"]).context("resources.requests"));
  spec->has_node_selector = !from["nodeSelector"].is_null();
  spec->node_selector = TRY(read_labels(from["nodeSelector"]).context("nodeSelector"));
  const Json& affinity = from["affinity"];
  spec->node_affinity = TRY(read_node_affinity(affinity["nodeAffinity"]).context("affinity.nodeAffinity"));
  spec->affinity = TRY(read_pod_affinity(affinity["podAffinity"], name_space, own).context("affinity.podAffinity"));
  spec->anti_affinity = TRY(read_pod_affinity(affinity["podAntiAffinity"], name_space, own).context("affinity.podAntiAffinity"));
  if (from["tolerations"].size() > kMaxTerms) return too_many("tolerations", kMaxTerms);
  for (const Json& item : from["tolerations"].items()) {
    spec->tolerations.push_back(TRY(read_toleration(item).context(at("tolerations", spec->tolerations.size()))));
  }
  if (from["topologySpreadConstraints"].size() > kMaxTerms) return too_many("topologySpreadConstraints", kMaxTerms);
  for (const Json& item : from["topologySpreadConstraints"].items()) {
    spec->spread.push_back(TRY(read_spread(item, own).context(at("topologySpreadConstraints", spec->spread.size()))));
  }
  for (const Json& item : from["schedulingGates"].items()) spec->scheduling_gates.push_back(item["name"].string());
  for (const Json& item : from["volumes"].items()) {
    PodVolume volume = read_volume(item, pod_name);
    if (!volume.claim.empty() || !volume.disk.empty()) spec->volumes.push_back(std::move(volume));
  }
  if (from.has("priority")) {
    if (!from["priority"].is_int()) return Error{Code::Invalid, "priority: must be a whole number"};
    spec->priority = from["priority"].integer();
  }
  spec->priority_class = from["priorityClassName"].string();
  spec->never_preempts = from["preemptionPolicy"].string() == "Never";
  spec->uses_resource_claims = from["resourceClaims"].size() > 0;
  spec->scheduler_name = from["schedulerName"].string_or("default-scheduler");
  return std::shared_ptr<const PodSpec>(std::move(spec));
}

Result<std::vector<ContainerStatusResources>> read_statuses(const Json& status) {
  std::vector<ContainerStatusResources> statuses;
  for (std::string_view list : {"containerStatuses", "initContainerStatuses"}) {
    size_t index = 0;
    for (const Json& item : status[list].items()) {
      std::string where = at(list, index++);
      if (item["resources"].is_null()) continue;
      ContainerStatusResources each;
      each.name = item["name"].string();
      each.requests = TRY(read_resources(item["resources"]["requests"]).context(where + ".resources.requests"));
      each.allocated = TRY(read_resources(item["allocatedResources"]).context(where + ".allocatedResources"));
      statuses.push_back(std::move(each));
    }
  }
  return statuses;
}

const Json& condition(const Json& status, std::string_view type) {
  static const Json none;
  for (const Json& item : status["conditions"].items()) {
    if (item["type"].string() == type) return item;
  }
  return none;
}

}  // namespace

std::vector<HostPort> PodSpec::host_ports() const {
  std::vector<HostPort> ports;
  for (const Container& each : init_containers) {
    if (each.restarts) ports.insert(ports.end(), each.ports.begin(), each.ports.end());
  }
  for (const Container& each : containers) ports.insert(ports.end(), each.ports.begin(), each.ports.end());
  return ports;
}

Result<Pod> read_pod(const Json& object) {
  Pod pod;
  pod.meta = TRY(read_meta(object, Scope::Namespaced));
  const Json& spec = object["spec"];
  const Json& status = object["status"];
  pod.spec = TRY(read_spec(spec, pod.meta.name_space, pod.meta.name, pod.meta.labels).context("spec"));
  pod.node_name = spec["nodeName"].string();
  pod.nominated_node = status["nominatedNodeName"].string();
  pod.phase = status["phase"].string();
  if (!status["startTime"].is_null()) {
    pod.started = parse_rfc3339(status["startTime"].string());
    if (!pod.started) return Error{Code::Invalid, "status.startTime: \"" + status["startTime"].string() + "\" is no RFC 3339 time"};
  }
  const Json& disruption = condition(status, "DisruptionTarget");
  pod.preempted = disruption["status"].string() == "True" && disruption["reason"].string() == "PreemptionByScheduler";
  bool infeasible = condition(status, "PodResizePending")["reason"].string() == "Infeasible";
  auto statuses = TRY(read_statuses(status).context("status"));
  pod.requests = count_requests(*pod.spec, statuses, infeasible);
  return pod;
}

Result<PodTemplate> read_pod_template(const Json& object, const std::string& name_space, const std::string& pod_name) {
  PodTemplate result;
  result.labels = TRY(read_labels(object["metadata"]["labels"]).context("metadata.labels"));
  result.spec = TRY(read_spec(object["spec"], name_space, pod_name, result.labels).context("spec"));
  return result;
}

}  // namespace archway::kube
