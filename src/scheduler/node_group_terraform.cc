#include <algorithm>

#include "base/text.h"
#include "scheduler/node_group_reader.h"

namespace archway::scheduler {

namespace {

// Blocks of which there may be several come as an object or as a list of them.
std::vector<Marked> blocks(const Marked& value) {
  std::vector<Marked> all;
  if (value->is_object()) all.push_back(value);
  for (size_t i = 0; value->is_array() && i < value.size(); ++i) {
    for (const Marked& each : blocks(value.item(i))) all.push_back(each);
  }
  return all;
}

Marked first_block(const Marked& value) { return value->is_array() && value.size() > 0 ? value.item(0) : value; }

std::string text_of(const Json& value) { return value.is_string() ? value.string() : value.is_null() || value.is_array() || value.is_object() ? "" : to_json(value); }

// Terraform writes effects in capitals: NO_SCHEDULE.
std::string effect_of(const std::string& text) {
  if (text == "NO_SCHEDULE") return std::string(kube::kNoSchedule);
  if (text == "NO_EXECUTE") return std::string(kube::kNoExecute);
  return text == "PREFER_NO_SCHEDULE" ? std::string(kube::kPreferNoSchedule) : text;
}

class Walker {
 public:
  explicit Walker(GroupReading& reading) : reading_(reading) {}

  // Groups may stand anywhere: below resource, in planned_values' modules, in a variables file.
  void walk(const Marked& value, int depth) {
    if (depth > 32) return;
    if (value->is_object() && value["type"]->is_string() && value["values"]->is_object()) resource(value["type"]->string(), value["name"]->string(), value["values"]);
    for (size_t i = 0; i < value.size(); ++i) {
      if (value->is_array()) {
        walk(value.item(i), depth + 1);
        continue;
      }
      auto [key, member] = value.member(i);
      bool named = key == "aws_autoscaling_group" || key == "aws_autoscaling_group_tag" || key == "aws_eks_node_group" || key == "self_managed_node_groups" || key == "eks_managed_node_groups";
      if (!named) {
        walk(member, depth + 1);
        continue;
      }
      for (const Marked& block : blocks(member)) each_named(key, block);
    }
  }

  void settle() {
    for (auto& [group, tag] : loose_tags_) {
      for (NodeGroup& each : reading_.groups) {
        if (each.name == group || group.find("aws_autoscaling_group." + each.name + ".") != std::string::npos) each.tags.push_back(tag);
      }
    }
  }

 private:
  // {NAME: {...}}, or the block itself.
  void each_named(const std::string& type, const Marked& map) {
    bool itself = map->has("min_size") || map->has("tag") || map->has("scaling_config") || map->has("autoscaling_group_name");
    if (itself) return resource(type, text_of(map["name"].json()), map);
    for (size_t i = 0; i < map.size(); ++i) {
      auto [name, value] = map.member(i);
      for (const Marked& block : blocks(value)) resource(type, name, block);
    }
  }

  void resource(const std::string& type, const std::string& label, const Marked& block) {
    if (type == "aws_autoscaling_group" || type == "self_managed_node_groups") {
      asg(label, block);
    } else if (type == "aws_eks_node_group" || type == "eks_managed_node_groups") {
      eks(label, block);
    } else if (type == "aws_autoscaling_group_tag") {
      for (const Marked& tag : blocks(block["tag"])) loose_tags_.push_back({text_of(block["autoscaling_group_name"].json()), tag_of(tag)});
    }
  }

  static GroupTag tag_of(const Marked& tag) { return {text_of(tag["key"].json()), text_of(tag["value"].json()), tag["key"].place()}; }

  int64_t size(const Marked& value, const std::string& what, int64_t fallback) {
    if (value->is_null() || value->is_string()) return fallback;  // an expression is not known here
    int64_t number = value->integer(-1);
    if (number >= 0 && number <= kMaxGroupSize) return number;
    reading_.problems.push_back({value.place(), what + ": must be a whole number from 0 to " + std::to_string(kMaxGroupSize)});
    return fallback;
  }

  NodeGroup begin(const std::string& label, const Marked& block, GroupForm form) {
    NodeGroup group;
    group.form = form;
    group.provider = "aws";
    std::string given = text_of(block["name"].json());
    group.name = given.empty() || given.find("${") != std::string::npos ? label : given;
    group.place = block.place();
    return group;
  }

  void asg(const std::string& label, const Marked& block) {
    NodeGroup group = begin(label, block, GroupForm::Terraform);
    std::string prefix = text_of(block["name_prefix"].json());
    group.id = prefix.empty() || !block["name"]->is_null() ? group.name : prefix + "20000000000000000000000000";
    group.id_is_guess = group.id != group.name;
    group.min = size(block["min_size"], group.name + ": min_size", 0);
    group.max = size(block["max_size"], group.name + ": max_size", group.min);
    group.current = size(block["desired_capacity"], group.name + ": desired_capacity", size(block["desired_size"], group.name + ": desired_size", group.min));
    group.zones = block["availability_zones"]->strings();
    for (std::string_view list : {"tag", "tags"}) {
      for (const Marked& tag : blocks(block[list])) {
        if (tag->has("key")) group.tags.push_back(tag_of(tag));
      }
    }
    Marked map = block["autoscaling_group_tags"];
    for (size_t i = 0; i < map.size() && map->is_object(); ++i) group.tags.push_back({map.member(i).first, text_of(map.member(i).second.json()), map.member(i).second.place()});
    Marked policy = first_block(block["mixed_instances_policy"]);
    Marked launch = first_block(policy["launch_template"]);
    for (const Marked& each : blocks(launch["override"])) {
      if (!each["instance_type"]->string().empty()) group.types.push_back(each["instance_type"]->string());
      if (each["instance_requirements"]->is_object() || each["instance_requirements"]->is_array()) group.by_requirements = true;
    }
    if (group.types.empty() && !block["instance_type"]->string().empty()) group.types.push_back(block["instance_type"]->string());
    const Marked distribution = first_block(policy["instances_distribution"]);
    group.spot = distribution->is_object() && distribution["on_demand_percentage_above_base_capacity"]->integer(100) == 0 && distribution["on_demand_base_capacity"]->integer(0) == 0;
    finish(std::move(group));
  }

  void eks(const std::string& label, const Marked& block) {
    NodeGroup group = begin(label, block, GroupForm::EksManaged);
    std::string given = text_of(block["node_group_name"].json());
    if (!given.empty() && given.find("${") == std::string::npos) group.name = given;
    group.id = "eks-" + group.name + "-00000000-0000-0000-0000-000000000000";
    group.id_is_guess = true;
    Marked scaling = block["scaling_config"]->is_null() ? block : first_block(block["scaling_config"]);
    group.min = size(scaling["min_size"], group.name + ": min_size", 0);
    group.max = size(scaling["max_size"], group.name + ": max_size", group.min);
    group.current = size(scaling["desired_size"], group.name + ": desired_size", group.min);
    group.types = block["instance_types"]->strings();
    group.spot = block["capacity_type"]->string() == "SPOT";
    group.declares_nodes = true;
    Marked labels = block["labels"];
    for (size_t i = 0; i < labels.size() && labels->is_object(); ++i) group.labels.set(labels.member(i).first, text_of(labels.member(i).second.json()));
    for (std::string_view list : {"taint", "taints"}) {
      Marked taints = block[list];
      std::vector<Marked> all = blocks(taints);
      if (taints->is_object() && !taints->has("key")) {  // {NAME: {key, value, effect}}
        all.clear();
        for (size_t i = 0; i < taints.size(); ++i) all.push_back(taints.member(i).second);
      }
      for (const Marked& each : all) {
        group.taints.push_back({text_of(each["key"].json()), text_of(each["value"].json()), effect_of(text_of(each["effect"].json()))});
      }
    }
    group.nodes = kube::Selector::from_labels(Labels({{"eks.amazonaws.com/nodegroup", group.name}}));
    finish(std::move(group));
  }

  void finish(NodeGroup group) {
    if (group.name.empty()) {
      reading_.problems.push_back({group.place, "a node group without a name is left out"});
    } else if (reading_.groups.size() < kMaxGroups) {
      reading_.groups.push_back(std::move(group));
    }
  }

  GroupReading& reading_;
  std::vector<std::pair<std::string, GroupTag>> loose_tags_;
};

bool mentions(const Json& value, int depth) {
  constexpr std::string_view names[] = {"aws_autoscaling_group", "aws_autoscaling_group_tag", "aws_eks_node_group", "self_managed_node_groups", "eks_managed_node_groups"};
  if (depth > 32) return false;
  for (const JsonMember& member : value.members()) {
    if (std::find(std::begin(names), std::end(names), member.key) != std::end(names)) return true;
    if (member.key == "type" && std::find(std::begin(names), std::end(names), member.value.string()) != std::end(names)) return true;
    if (mentions(member.value, depth + 1)) return true;
  }
  return std::any_of(value.items().begin(), value.items().end(), [&](const Json& item) { return mentions(item, depth + 1); });
}

}  // namespace

bool is_terraform_document(const Json& document) { return !document.has("kind") && document.is_object() && mentions(document, 0); }

GroupReading read_terraform_document(const Marked& document) {
  GroupReading reading;
  Walker walker(reading);
  walker.walk(document, 0);
  walker.settle();
  return reading;
}

}  // namespace archway::scheduler
