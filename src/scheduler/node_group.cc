#include "scheduler/node_group.h"

#include <algorithm>

#include "scheduler/cluster.h"
#include "scheduler/instance_types.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kArchLabel = "kubernetes.io/arch";
constexpr std::string_view kTypeLabel = "node.kubernetes.io/instance-type";
constexpr std::string_view kRegionLabel = "topology.kubernetes.io/region";
constexpr int64_t kMiB = 1024 * 1024;
constexpr int64_t kTemplatePods = 110;  // aws_manager.go, buildNodeFromTemplate

struct Size {
  kube::Resources capacity;
  std::string source;
};

Result<Size> size_of(const NodeGroup& group, const PriceTable& prices) {
  Size size;
  auto machine = find_machine(group.first_type(), prices);
  if (machine) {
    size.capacity.milli_cpu = machine->vcpu * 1000LL;
    size.capacity.memory = static_cast<int64_t>(machine->memory_gib * 1024) * kMiB;
    size.source = "type " + machine->type;
  }
  if (group.types.empty() && group.by_requirements) {
    if (group.least_vcpu) size.capacity.milli_cpu = *group.least_vcpu * 1000;
    if (group.least_memory_mib) size.capacity.memory = *group.least_memory_mib * kMiB;
    size.source = "its instance requirements";
  }
  if (group.milli_cpu) size.capacity.milli_cpu = *group.milli_cpu;
  if (group.memory) size.capacity.memory = *group.memory;
  if (group.milli_cpu && group.memory) size.source = "as given";
  size.capacity.scalars = group.extended;
  size.capacity.pods = group.pods.value_or(kTemplatePods);
  if (size.capacity.milli_cpu <= 0 || size.capacity.memory <= 0) {
    std::string type = group.first_type();
    return Error{Code::NotFound, "node group " + group.name + ": " + (type.empty() ? "its machine type is not known" : "the size of type " + type + " is not known"),
                 "add the type to a price file (--prices), or give cpu and memory"};
  }
  return size;
}

void set_default_labels(const NodeGroup& group, const std::string& zone, const std::string& architecture, Labels& labels) {
  if (!architecture.empty()) labels.set(kArchLabel, architecture);
  labels.set("kubernetes.io/os", "linux");
  if (!group.first_type().empty()) labels.set(kTypeLabel, group.first_type());
  std::string region = group.region.empty() ? region_of_zone(group.provider, zone) : group.region;
  if (!region.empty()) labels.set(kRegionLabel, region);
  if (!zone.empty()) labels.set(kZoneLabel, zone);
  if (!zone.empty() && group.provider == "aws") labels.set("topology.ebs.csi.aws.com/zone", zone);
}

// What knows nothing better takes every machine for amd64.
std::string believed_architecture(const NodeGroup& group, const PriceTable& prices) {
  std::string architecture = architecture_of_type(group.first_type(), prices);
  constexpr std::string_view blind[] = {"alicloud", "huaweicloud", "tencentcloud", "volcengine", "coreweave", "clusterapi"};
  bool is_blind = std::find(std::begin(blind), std::end(blind), group.provider) != std::end(blind);
  if (is_blind || (architecture.empty() && group.provider == "aws")) return "amd64";
  return architecture;
}

void apply_resource_tags(const TemplateTags& tags, kube::Resources& capacity) {
  for (const auto& [name, amount] : tags.resources) {
    if (name == "cpu") {
      capacity.milli_cpu = kube::milli_units(amount);
    } else if (name == "memory") {
      capacity.memory = kube::whole_units(amount);
    } else if (name == "pods") {
      capacity.pods = kube::whole_units(amount);
    } else if (name == "ephemeral-storage") {
      capacity.ephemeral_storage = kube::whole_units(amount);
    } else if (kube::is_scalar_resource(name)) {
      std::erase_if(capacity.scalars, [&name = name](const auto& each) { return each.first == name; });
      capacity.scalars.push_back({name, kube::whole_units(amount)});
      std::sort(capacity.scalars.begin(), capacity.scalars.end());
    }
  }
}

void name_node(Node& node, const std::string& name) {
  node.meta.name = name;
  node.meta.labels.set(kHostnameLabel, name);
}

}  // namespace

std::string_view group_form_name(GroupForm form) {
  switch (form) {
    case GroupForm::Own: return "node group";
    case GroupForm::Asg: return "Auto Scaling Group";
    case GroupForm::Eksctl: return "eksctl nodeGroup";
    case GroupForm::EksctlManaged: return "eksctl managedNodeGroup";
    case GroupForm::Terraform: return "Terraform Auto Scaling Group";
    case GroupForm::EksManaged: return "EKS node group";
  }
  return "";
}

Result<NodeTemplate> autoscaler_template(const NodeGroup& group, const PriceTable& prices) {
  NodeTemplate result;
  Size size = TRY(size_of(group, prices));
  result.capacity = size.capacity;
  result.source = "its template, " + size.source;
  name_node(result.node, "template-node-for-" + group.name);
  Labels& labels = result.node.meta.labels;
  set_default_labels(group, group.zones.empty() ? "" : group.zones[0], believed_architecture(group, prices), labels);
  TemplateTags tags = read_template_tags(group.tags);
  for (const auto& [key, value] : tags.labels) labels.set(key, value);
  result.node.taints = tags.taints;
  bool told = group.form == GroupForm::Own || group.managed() || group.propagates_tags;
  if (told) {
    for (const auto& [key, value] : group.template_labels.value_or(group.labels)) labels.set(key, value);
    for (const kube::Taint& taint : group.template_taints.value_or(group.taints)) {
      if (std::find(result.node.taints.begin(), result.node.taints.end(), taint) == result.node.taints.end()) result.node.taints.push_back(taint);
    }
  }
  // A taint that is there only while a node starts is no part of the template (utils/taints).
  std::erase_if(result.node.taints, [](const kube::Taint& taint) {
    return taint.key.starts_with("startup-taint.cluster-autoscaler.kubernetes.io/") || taint.key.starts_with("ignore-taint.cluster-autoscaler.kubernetes.io/") ||
           taint.key.starts_with("status-taint.cluster-autoscaler.kubernetes.io/");
  });
  apply_resource_tags(tags, result.capacity);
  result.node.allocatable = result.capacity;
  result.node.allocatable.ephemeral_storage = std::max<int64_t>(result.capacity.ephemeral_storage, 0);
  return result;
}

Result<NodeTemplate> real_node(const NodeGroup& group, const PriceTable& prices, size_t zone_index) {
  NodeTemplate result;
  Size size = TRY(size_of(group, prices));
  result.capacity = size.capacity;
  result.source = size.source;
  bool given = group.milli_cpu && group.memory;
  result.node.allocatable = given ? size.capacity : estimated_allocatable(static_cast<int>(size.capacity.milli_cpu / 1000), static_cast<double>(size.capacity.memory) / (1024.0 * kMiB));
  if (group.pods) result.node.allocatable.pods = *group.pods;
  if (group.declares_nodes) result.node.allocatable.scalars = size.capacity.scalars;
  Labels& labels = result.node.meta.labels;
  set_default_labels(group, group.zones.empty() ? "" : group.zones[zone_index % group.zones.size()], architecture_of_type(group.first_type(), prices), labels);
  if (group.declares_nodes) {
    for (const auto& [key, value] : group.labels) labels.set(key, value);
    result.node.taints = group.taints;
    for (const kube::Taint& taint : group.boot_taints) {
      if (std::find(group.taints.begin(), group.taints.end(), taint) == group.taints.end()) result.node.taints.push_back(taint);
    }
  } else {
    // Nothing tells what the launch template makes of its nodes; that it agrees with the tags is what their author says.
    TemplateTags tags = read_template_tags(group.tags);
    for (const auto& [key, value] : tags.labels) {
      if (key != kArchLabel || labels.find(kArchLabel) == nullptr) labels.set(key, value);
    }
    for (const kube::Taint& taint : tags.taints) result.node.taints.push_back(taint);
    for (const auto& [name, amount] : result.capacity.scalars) result.node.allocatable.scalars.push_back({name, amount});
    kube::Resources tagged;
    apply_resource_tags(tags, tagged);
    for (const auto& scalar : tagged.scalars) result.node.allocatable.scalars.push_back(scalar);
  }
  if (const std::string* arch = labels.find(kArchLabel)) labels.set("beta.kubernetes.io/arch", std::string(*arch));
  return result;
}

std::optional<int64_t> price_of(const NodeGroup& group, const PriceTable& prices) {
  if (group.price) return group.price;
  std::string region = group.region;
  if (region.empty() && !group.zones.empty()) region = region_of_zone(group.provider, group.zones[0]);
  const Price* price = prices.find(group.provider, region, group.first_type());
  if (!price) return std::nullopt;
  return group.spot ? price->spot : std::optional<int64_t>(price->on_demand);
}

std::string architecture_of(const NodeGroup& group, const PriceTable& prices) {
  if (const std::string* label = group.labels.find(kArchLabel)) return *label;
  std::string by_type = architecture_of_type(group.first_type(), prices);
  if (!by_type.empty()) return by_type;
  TemplateTags tags = read_template_tags(group.tags);
  auto label = tags.labels.find(std::string(kArchLabel));
  return label == tags.labels.end() ? "" : label->second;
}

std::vector<std::string> architectures_of(const NodeGroup& group, const PriceTable& prices) {
  std::vector<std::string> found;
  for (const std::string& type : group.types) {
    std::string architecture = architecture_of_type(type, prices);
    if (!architecture.empty() && std::find(found.begin(), found.end(), architecture) == found.end()) found.push_back(std::move(architecture));
  }
  return found;
}

}  // namespace archway::scheduler
