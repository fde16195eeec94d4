#include <algorithm>

#include "base/text.h"
#include "scheduler/node_group_reader.h"

namespace archway::scheduler {

namespace {

int64_t size_of(const Marked& value, const std::string& what, GroupReading& reading, int64_t fallback) {
  if (value->is_null()) return fallback;
  int64_t size = value->integer(-1);
  if (size >= 0 && size <= kMaxGroupSize) return size;
  reading.problems.push_back({value.place(), what + ": must be a whole number from 0 to " + std::to_string(kMaxGroupSize)});
  return fallback;
}

void read_tags(const Marked& list, NodeGroup& group) {
  for (size_t i = 0; i < list.size(); ++i) {
    Marked tag = list.item(i);
    group.tags.push_back({tag->find("Key") ? tag["Key"]->string() : "", tag["Value"]->string(), tag["Key"].place()});
  }
}

// aws_manager.go: of the overrides, only types count, in their order; requirements where there are no types.
void read_policy(const Marked& policy, NodeGroup& group) {
  Marked overrides = policy["LaunchTemplate"]["Overrides"];
  for (size_t i = 0; i < overrides.size(); ++i) {
    Marked each = overrides.item(i);
    if (!each["InstanceType"]->string().empty()) group.types.push_back(each["InstanceType"]->string());
    const Json& requirements = each["InstanceRequirements"].json();
    if (!requirements.is_object() || group.by_requirements) continue;
    group.by_requirements = true;
    if (requirements["VCpuCount"]["Min"].is_int()) group.least_vcpu = requirements["VCpuCount"]["Min"].integer();
    if (requirements["MemoryMiB"]["Min"].is_int()) group.least_memory_mib = requirements["MemoryMiB"]["Min"].integer();
  }
  const Json& distribution = policy["InstancesDistribution"].json();
  group.spot = distribution["OnDemandPercentageAboveBaseCapacity"].integer(100) == 0 && distribution["OnDemandBaseCapacity"].integer(0) == 0;
}

// "id\nname\nversion" of the launch template, for fill_in_types.
std::string launch_template_key(const Json& specification) {
  return "launch-template\n" + specification["LaunchTemplateId"].string() + "\n" + specification["LaunchTemplateName"].string() + "\n" + specification["Version"].string();
}

NodeGroup read_group(const Marked& each, GroupReading& reading) {
  NodeGroup group;
  group.form = GroupForm::Asg;
  group.provider = "aws";
  group.name = group.id = each["AutoScalingGroupName"]->string();
  group.place = each["AutoScalingGroupName"].place();
  group.min = size_of(each["MinSize"], group.name + ": MinSize", reading, 0);
  group.max = size_of(each["MaxSize"], group.name + ": MaxSize", reading, 0);
  group.current = size_of(each["DesiredCapacity"], group.name + ": DesiredCapacity", reading, group.min);
  group.zones = each["AvailabilityZones"]->strings();
  if (!group.zones.empty()) group.region = region_of_zone("aws", group.zones[0]);
  read_tags(each["Tags"], group);
  Marked policy = each["MixedInstancesPolicy"];
  if (policy->is_object()) read_policy(policy, group);
  Marked instances = each["Instances"];
  for (size_t i = 0; i < instances.size(); ++i) {
    if (!instances.item(i)["InstanceId"]->string().empty()) group.instances.push_back(instances.item(i)["InstanceId"]->string());
  }
  if (group.types.empty() && !group.by_requirements) {
    const Json& direct = each["LaunchTemplate"].json();
    const Json& specification = direct.is_object() ? direct : policy["LaunchTemplate"]["LaunchTemplateSpecification"].json();
    if (specification.is_object()) group.notes.push_back(launch_template_key(specification));
    // What runs there tells the type as long as nobody changed the template since.
    if (instances.size() > 0 && !instances.item(0)["InstanceType"]->string().empty()) group.types.push_back(instances.item(0)["InstanceType"]->string());
  }
  return group;
}

bool is_tag_list(const Json& document) {
  const Json& tags = document["Tags"];
  return tags.is_array() && !tags.items().empty() && tags.items()[0]["ResourceType"].string() == "auto-scaling-group";
}

// `aws autoscaling describe-tags`, and the input of create-or-update-tags.
GroupReading read_tag_list(const Marked& list) {
  GroupReading reading;
  for (size_t i = 0; i < list.size(); ++i) {
    Marked tag = list.item(i);
    const std::string& name = tag["ResourceId"]->string();
    if (name.empty()) {
      reading.problems.push_back({tag.place(), "Tags[" + std::to_string(i) + "]: ResourceId is missing; the tag is left out"});
      continue;
    }
    auto group = std::find_if(reading.groups.begin(), reading.groups.end(), [&](const NodeGroup& each) { return each.name == name; });
    if (group == reading.groups.end()) {
      if (reading.groups.size() >= kMaxGroups) break;
      NodeGroup fresh;
      fresh.form = GroupForm::Asg;
      fresh.provider = "aws";
      fresh.name = fresh.id = name;
      fresh.place = tag["ResourceId"].place();
      fresh.tags_only = true;
      reading.groups.push_back(std::move(fresh));
      group = std::prev(reading.groups.end());
    }
    group->tags.push_back({tag["Key"]->string(), tag["Value"]->string(), tag["Key"].place()});
  }
  return reading;
}

}  // namespace

bool is_asg_document(const Json& document) { return document["AutoScalingGroups"].is_array() || is_tag_list(document); }

GroupReading read_asg_document(const Marked& document) {
  if (is_tag_list(document.json())) return read_tag_list(document["Tags"]);
  GroupReading reading;
  Marked list = document["AutoScalingGroups"];
  for (size_t i = 0; i < list.size() && i < kMaxGroups; ++i) {
    NodeGroup group = read_group(list.item(i), reading);
    if (group.name.empty()) {
      reading.problems.push_back({list.item(i).place(), "AutoScalingGroups[" + std::to_string(i) + "]: AutoScalingGroupName is missing; the group is left out"});
      continue;
    }
    reading.groups.push_back(std::move(group));
  }
  return reading;
}

std::vector<LaunchTemplate> read_launch_templates(const Json& document) {
  std::vector<LaunchTemplate> found;
  for (const Json& each : document["LaunchTemplateVersions"].items()) {
    std::string version = each["VersionNumber"].is_int() ? std::to_string(each["VersionNumber"].integer()) : "";
    found.push_back({each["LaunchTemplateId"].string(), each["LaunchTemplateName"].string(), version, each["LaunchTemplateData"]["InstanceType"].string()});
  }
  return found;
}

void fill_in_types(std::vector<NodeGroup>& groups, const std::vector<LaunchTemplate>& templates) {
  for (NodeGroup& group : groups) {
    if (group.notes.empty() || !group.notes[0].starts_with("launch-template\n")) continue;
    std::vector<std::string> wanted = split(group.notes[0], '\n');
    group.notes.erase(group.notes.begin());
    const LaunchTemplate* best = nullptr;
    for (const LaunchTemplate& each : templates) {
      bool same = (!each.id.empty() && each.id == wanted[1]) || (!each.name.empty() && each.name == wanted[2]);
      if (!same || each.type.empty()) continue;
      bool exact = each.version == wanted[3];
      // $Latest and $Default are told apart only by the highest number that the file has.
      if (!best || exact || (best->version != wanted[3] && parse_uint(each.version).value_or(0) > parse_uint(best->version).value_or(0))) best = &each;
    }
    if (best) group.types = {best->type};
  }
}

}  // namespace archway::scheduler
