#include "scheduler/autoscaler_config.h"

#include <set>

#include "base/text.h"
#include "format/yaml.h"
#include "scheduler/node_group.h"
#include "scheduler/priority_config.h"

namespace archway::scheduler {

namespace {

constexpr int64_t kFirst = 50, kSecond = 10;  // priorities, and weights of NodePools; room between them for what comes later
constexpr std::string_view kArch = "kubernetes.io/arch";

// A name as a regular expression that matches nothing else.
std::string literally(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (std::string_view(".+*?()|[]{}^$\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string pattern_for(const ConfigRequest& request, const ConfigGroup& group) {
  // EKS calls the Auto Scaling Group of a managed node group eks-NAME-UUID.
  return request.target == ConfigTarget::Eks ? "^eks-" + literally(group.name) + "-[0-9a-f]{8}-" : "^" + literally(group.name) + "$";
}

ConfigFile priority_map(const ConfigRequest& request) {
  std::string text;
  for (const auto& [priority, groups] : {std::pair{kFirst, &request.arm64}, std::pair{kSecond, &request.amd64}}) {
    text += std::to_string(priority) + ":\n";
    for (const ConfigGroup& group : *groups) text += "  - '" + pattern_for(request, group) + "'\n";
  }
  std::string content = "# arm64 first, amd64 as fallback. Run cluster-autoscaler with --expander=priority,least-waste\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " +
                        std::string(kPriorityConfigMap) + "\n  namespace: " + request.name_space + "\ndata:\n  priorities: |-\n";
  for (const std::string& line : split(std::string_view(text).substr(0, text.size() - 1), '\n')) content += "    " + line + "\n";
  return {"priority-expander.yaml", content};
}

// What every Deployment needs that may run on both.
ConfigFile workload_patch(const ConfigRequest& request) {
  Json toleration = Json::object({{"key", request.taint.key}, {"operator", request.taint.value.empty() ? "Exists" : "Equal"}});
  if (!request.taint.value.empty()) toleration.set("value", request.taint.value);
  toleration.set("effect", request.taint.effect);
  Json list = Json::array();
  list.push(std::move(toleration));
  Json spec = Json::object({{"tolerations", std::move(list)}});
  Json json = Json::object({{"spec", Json::object({{"template", Json::object({{"spec", std::move(spec)}})}})}});
  return {"workload-patch.yaml", "# For workloads whose images run on arm64 too:\n#   kubectl patch deployment NAME --patch-file workload-patch.yaml\n# A patch replaces the list: keep the tolerations that are there.\n" + to_yaml(json)};
}

Json labels_of(const char* architecture) { return Json::object({{"workload-arch", architecture}}); }

Json tag_map(const ConfigRequest& request, bool arm) {
  Json tags = Json::object({{std::string(kLabelTag) + std::string(kArch), arm ? "arm64" : "amd64"}});
  if (arm) tags.set(std::string(kTaintTag) + request.taint.key, request.taint.value + ":" + request.taint.effect);
  return tags;
}

ConfigFile eksctl_file(const ConfigRequest& request) {
  Json groups = Json::array();
  for (bool arm : {true, false}) {
    for (const ConfigGroup& group : arm ? request.arm64 : request.amd64) {
      Json json = Json::object({{"name", group.name}, {"instanceTypes", Json(group.types)}, {"minSize", request.min}, {"desiredCapacity", request.min}, {"maxSize", request.max}});
      if (!request.zones.empty()) json.set("availabilityZones", Json(request.zones));
      json.set("labels", labels_of(arm ? "arm64" : "amd64"));
      if (arm) {
        Json taints = Json::array();
        taints.push(Json::object({{"key", request.taint.key}, {"value", request.taint.value}, {"effect", request.taint.effect}}));
        json.set("taints", std::move(taints));
      }
      // Labels and taints become tags of the Auto Scaling Group: what the autoscaler knows of it at zero.
      json.set("propagateASGTags", true);
      json.set("tags", tag_map(request, arm));
      groups.push(std::move(json));
    }
  }
  Json file = Json::object({{"apiVersion", "eksctl.io/v1alpha5"}, {"kind", "ClusterConfig"},
                            {"metadata", Json::object({{"name", request.cluster}, {"region", request.region}})}, {"managedNodeGroups", std::move(groups)}});
  return {"eksctl.yaml", "# eksctl create nodegroup -f eksctl.yaml\n" + to_yaml(file)};
}

// Input of `aws autoscaling create-or-update-tags --cli-input-json file://...`.
ConfigFile asg_tags(const ConfigRequest& request) {
  Json tags = Json::array();
  auto add = [&](const std::string& group, std::string_view key, std::string_view value) {
    tags.push(Json::object({{"ResourceId", group}, {"ResourceType", "auto-scaling-group"}, {"Key", key}, {"Value", value}, {"PropagateAtLaunch", true}}));
  };
  for (bool arm : {true, false}) {
    for (const ConfigGroup& group : arm ? request.arm64 : request.amd64) {
      add(group.name, kEnabledTag, "true");
      add(group.name, "k8s.io/cluster-autoscaler/" + request.cluster, "owned");
      const Json tags_of_group = tag_map(request, arm);
      for (const JsonMember& tag : tags_of_group.members()) add(group.name, tag.key, tag.value.string());
      // An empty group has no node to learn its type's label from.
      add(group.name, std::string(kLabelTag) + "workload-arch", arm ? "arm64" : "amd64");
    }
  }
  return {"asg-tags.json", to_json(Json::object({{"Tags", std::move(tags)}}), {.indent = 2}) + "\n"};
}

// User data for nodeadm (Amazon Linux 2023), one part of several: flags of the kubelet.
ConfigFile node_config(const ConfigRequest& request, const ConfigGroup& group, bool arm) {
  Json flags = Json::array();
  flags.push(std::string("--node-labels=workload-arch=") + (arm ? "arm64" : "amd64"));
  if (arm) flags.push("--register-with-taints=" + request.taint.str());
  Json file = Json::object({{"apiVersion", "node.eks.aws/v1alpha1"}, {"kind", "NodeConfig"},
                            {"spec", Json::object({{"kubelet", Json::object({{"flags", std::move(flags)}})}})}});
  return {group.name + "-nodeconfig.yaml", "# A part of the user data of group " + group.name + "'s launch template; types: " + join(group.types, ", ") + "\n" + to_yaml(file)};
}

Json requirement(std::string_view key, const std::vector<std::string>& values) { return Json::object({{"key", key}, {"operator", "In"}, {"values", Json(values)}}); }

ConfigFile node_pool(const ConfigRequest& request, const ConfigGroup& group, bool arm) {
  Json requirements = Json::array();
  requirements.push(requirement(kArch, {arm ? "arm64" : "amd64"}));
  requirements.push(requirement("kubernetes.io/os", {"linux"}));
  requirements.push(requirement("karpenter.sh/capacity-type", {"on-demand"}));
  if (!group.types.empty()) requirements.push(requirement("node.kubernetes.io/instance-type", group.types));
  if (!request.zones.empty()) requirements.push(requirement("topology.kubernetes.io/zone", request.zones));
  Json spec = Json::object({{"requirements", std::move(requirements)}});
  if (arm) {
    Json taints = Json::array();
    taints.push(Json::object({{"key", request.taint.key}, {"value", request.taint.value}, {"effect", request.taint.effect}}));
    spec.set("taints", std::move(taints));
  }
  spec.set("nodeClassRef", Json::object({{"group", "karpenter.k8s.aws"}, {"kind", "EC2NodeClass"}, {"name", request.node_class}}));
  Json pool = Json::object({{"apiVersion", "karpenter.sh/v1"}, {"kind", "NodePool"}, {"metadata", Json::object({{"name", group.name}})},
                            {"spec", Json::object({{"weight", arm ? kFirst : kSecond},
                                                   {"template", Json::object({{"metadata", Json::object({{"labels", labels_of(arm ? "arm64" : "amd64")}})}, {"spec", std::move(spec)}})}})}});
  return {group.name + "-nodepool.yaml", to_yaml(pool)};
}

Result<void> check_groups(const ConfigRequest& request) {
  PriceTable none;
  std::set<std::string> names;
  for (bool arm : {true, false}) {
    const std::string wanted = arm ? "arm64" : "amd64";
    const std::vector<ConfigGroup>& groups = arm ? request.arm64 : request.amd64;
    if (groups.empty()) return Error{Code::Invalid, "no group for " + wanted, "name one with --" + wanted + " NAME=TYPE"};
    for (const ConfigGroup& group : groups) {
      if (!names.insert(group.name).second) return Error{Code::Invalid, "group " + group.name + " is there twice"};
      if (group.types.empty() && request.target != ConfigTarget::Karpenter) return Error{Code::Invalid, "group " + group.name + " has no machine type", "write " + group.name + "=TYPE"};
      for (const std::string& type : group.types) {
        std::string architecture = architecture_of_type(type, none);
        if (architecture.empty()) return Error{Code::Invalid, "group " + group.name + ": " + type + " is no machine type that is known"};
        if (architecture != wanted) return Error{Code::Invalid, "group " + group.name + " is for " + wanted + ", and " + type + " is " + architecture};
      }
    }
  }
  if (request.min > request.max) return Error{Code::Invalid, "the least size " + std::to_string(request.min) + " is over the largest, " + std::to_string(request.max)};
  if (request.max < 1) return Error{Code::Invalid, "the largest size must be 1 or more"};
  return {};
}

bool valid_name(std::string_view name) {
  bool good = !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-';
  for (char c : name) good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-');
  return good;
}

}  // namespace

Result<ConfigTarget> parse_config_target(std::string_view text) {
  if (text == "eks") return ConfigTarget::Eks;
  if (text == "asg") return ConfigTarget::Asg;
  if (text == "karpenter") return ConfigTarget::Karpenter;
  return Error{Code::Invalid, "\"" + std::string(text) + "\" is none of eks, asg and karpenter"};
}

Result<ConfigGroup> parse_config_group(std::string_view text) {
  auto [name, types] = cut(text, '=');
  ConfigGroup group{std::string(name), {}};
  if (!valid_name(name)) return Error{Code::Invalid, "\"" + std::string(name) + "\" is no name for a group: letters, digits and dashes, at most 63"};
  if (!types) return group;
  for (const std::string& type : split(*types, ',')) {
    if (type.empty()) return Error{Code::Invalid, "group " + group.name + ": a machine type is empty"};
    group.types.push_back(type);
  }
  return group;
}

Result<std::vector<ConfigFile>> write_config(const ConfigRequest& request) {
  TRY(check_groups(request));
  std::vector<ConfigFile> files;
  if (request.target != ConfigTarget::Karpenter) files.push_back(priority_map(request));
  if (request.target == ConfigTarget::Eks) files.push_back(eksctl_file(request));
  if (request.target == ConfigTarget::Asg) files.push_back(asg_tags(request));
  for (bool arm : {true, false}) {
    for (const ConfigGroup& group : arm ? request.arm64 : request.amd64) {
      if (request.target == ConfigTarget::Asg) files.push_back(node_config(request, group, arm));
      if (request.target == ConfigTarget::Karpenter) files.push_back(node_pool(request, group, arm));
    }
  }
  files.push_back(workload_patch(request));
  return files;
}

}  // namespace archway::scheduler
