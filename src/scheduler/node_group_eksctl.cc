#include "base/text.h"
#include "scheduler/node_group_reader.h"

namespace archway::scheduler {

namespace {

constexpr int64_t kEksctlDefaultSize = 2;

int64_t size_of(const Marked& value, const std::string& what, GroupReading& reading, int64_t fallback) {
  if (value->is_null()) return fallback;
  int64_t size = value->integer(-1);
  if (size >= 0 && size <= kMaxGroupSize) return size;
  reading.problems.push_back({value.place(), what + ": must be a whole number from 0 to " + std::to_string(kMaxGroupSize)});
  return fallback;
}

// Either a list of {key, value, effect}, or a map of key to "value:effect".
void read_taints(const Marked& taints, const std::string& what, NodeGroup& group, GroupReading& reading) {
  for (size_t i = 0; i < taints.size(); ++i) {
    if (taints->is_array()) {
      auto taint = kube::read_taint(taints.item(i).json());
      if (taint.ok()) {
        group.taints.push_back(std::move(*taint));
      } else {
        reading.problems.push_back({taints.item(i).place(), what + ": taints[" + std::to_string(i) + "]: " + taint.error().message});
      }
      continue;
    }
    auto [key, value] = taints.member(i);
    auto [text, effect] = cut(value->string(), ':');
    auto taint = kube::parse_taint(key + (text.empty() ? "" : "=" + std::string(text)) + ":" + std::string(effect.value_or("")));
    if (taint.ok()) {
      group.taints.push_back(std::move(*taint));
    } else {
      reading.problems.push_back({value.place(), what + ": taints: " + taint.error().message});
    }
  }
}

// What the kubelet is told in a boot command: --kubelet-extra-args '--register-with-taints=arm=true:NoSchedule'.
void read_boot_taints(const Marked& command, const std::string& what, NodeGroup& group, GroupReading& reading) {
  constexpr std::string_view kFlag = "--register-with-taints";
  std::string_view text = command->string();
  for (size_t at = text.find(kFlag); at != std::string_view::npos; at = text.find(kFlag, at + 1)) {
    std::string_view rest = text.substr(at + kFlag.size());
    if (rest.empty() || (rest[0] != '=' && rest[0] != ' ')) continue;
    rest.remove_prefix(1);
    rest = rest.substr(0, rest.find_first_of(" \t\r\n'\""));
    for (const std::string& each : split(rest, ',')) {
      auto taint = kube::parse_taint(each);
      if (taint.ok()) {
        group.boot_taints.push_back(std::move(*taint));
      } else {
        reading.problems.push_back({command.place(), what + ": --register-with-taints: " + taint.error().message});
      }
    }
  }
}

std::string text_of(const Json& value) { return value.is_string() ? value.string() : value.is_null() ? "" : to_json(value); }

NodeGroup read_group(const Marked& each, bool managed, const Json& document, GroupReading& reading) {
  const std::string& cluster = document["metadata"]["name"].string();
  NodeGroup group;
  group.form = managed ? GroupForm::EksctlManaged : GroupForm::Eksctl;
  group.provider = "aws";
  group.region = document["metadata"]["region"].string();
  group.name = each["name"]->string();
  group.place = each["name"].place();
  group.id = managed ? "eks-" + group.name + "-00000000-0000-0000-0000-000000000000" : "eksctl-" + cluster + "-nodegroup-" + group.name + "-NodeGroup-000000000000";
  group.id_is_guess = true;
  std::string what = (managed ? "managedNodeGroups " : "nodeGroups ") + group.name;
  bool sized = !each["desiredCapacity"]->is_null();
  int64_t desired = size_of(each["desiredCapacity"], what + ": desiredCapacity", reading, kEksctlDefaultSize);
  group.min = size_of(each["minSize"], what + ": minSize", reading, desired);
  group.max = size_of(each["maxSize"], what + ": maxSize", reading, std::max(desired, group.min));
  group.current = sized ? desired : group.min;
  group.zones = each["availabilityZones"]->strings();
  if (group.zones.empty()) group.zones = document["availabilityZones"].strings();
  const Json& distribution = each["instancesDistribution"].json();
  group.types = managed ? each["instanceTypes"]->strings() : distribution["instanceTypes"].strings();
  if (group.types.empty() && !each["instanceType"]->string().empty() && each["instanceType"]->string() != "mixed") group.types.push_back(each["instanceType"]->string());
  group.by_requirements = each["instanceSelector"]->is_object();
  bool all_spot = distribution.is_object() && distribution["onDemandPercentageAboveBaseCapacity"].integer(100) == 0 && distribution["onDemandBaseCapacity"].integer(0) == 0;
  group.spot = each["spot"]->boolean() || all_spot;
  Marked labels = each["labels"];
  for (size_t i = 0; i < labels.size(); ++i) group.labels.set(labels.member(i).first, text_of(labels.member(i).second.json()));
  read_taints(each["taints"], what, group, reading);
  read_boot_taints(each["overrideBootstrapCommand"], what, group, reading);
  Marked before = each["preBootstrapCommands"];
  for (size_t i = 0; i < before.size() && before->is_array(); ++i) read_boot_taints(before.item(i), what, group, reading);
  Marked tags = each["tags"];
  for (size_t i = 0; i < tags.size(); ++i) group.tags.push_back({tags.member(i).first, text_of(tags.member(i).second.json()), tags.member(i).second.place()});
  group.propagates_tags = each["propagateASGTags"]->boolean();
  group.declares_nodes = true;
  std::string label = managed ? "eks.amazonaws.com/nodegroup" : "alpha.eksctl.io/nodegroup-name";
  group.nodes = kube::Selector::from_labels(Labels({{label, group.name}}));
  return group;
}

}  // namespace

bool is_eksctl_document(const Json& document) { return document["kind"].string() == "ClusterConfig" && document["apiVersion"].string().starts_with("eksctl.io/"); }

GroupReading read_eksctl_document(const Marked& document) {
  GroupReading reading;
  for (bool managed : {false, true}) {
    Marked list = document[managed ? "managedNodeGroups" : "nodeGroups"];
    for (size_t i = 0; i < list.size() && i < kMaxGroups; ++i) {
      NodeGroup group = read_group(list.item(i), managed, document.json(), reading);
      if (group.name.empty()) {
        reading.problems.push_back({list.item(i).place(), std::string(managed ? "managedNodeGroups" : "nodeGroups") + "[" + std::to_string(i) + "]: name is missing; the group is left out"});
        continue;
      }
      reading.groups.push_back(std::move(group));
    }
  }
  return reading;
}

}  // namespace archway::scheduler
