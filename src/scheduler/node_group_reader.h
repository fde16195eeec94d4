#pragma once

#include <vector>

#include "scheduler/node_group.h"
#include "scheduler/node_group_marked.h"

// Node groups, as those who make them write them down.
namespace archway::scheduler {

// What one document adds. Problems name the field; the rest of the document still counts.
struct GroupReading {
  std::vector<NodeGroup> groups;
  std::vector<std::pair<SourcePlace, std::string>> problems;
};

// `aws autoscaling describe-auto-scaling-groups`; `describe-tags` and the input of create-or-update-tags, where nothing but tags is known.
bool is_asg_document(const Json& document);
GroupReading read_asg_document(const Marked& document);

// `aws ec2 describe-launch-template-versions`, which fills in types that groups leave to their launch template.
struct LaunchTemplate {
  std::string id, name, version, type;
};
std::vector<LaunchTemplate> read_launch_templates(const Json& document);
void fill_in_types(std::vector<NodeGroup>& groups, const std::vector<LaunchTemplate>& templates);

// eksctl's ClusterConfig.
bool is_eksctl_document(const Json& document);
GroupReading read_eksctl_document(const Marked& document);

// Terraform: JSON configuration, `terraform show -json`, and YAML of the same shape, with aws_autoscaling_group,
// aws_autoscaling_group_tag, aws_eks_node_group and the maps of the eks module.
bool is_terraform_document(const Json& document);
GroupReading read_terraform_document(const Marked& document);

// archway's own: {kind: NodeGroups, nodeGroups: [...]} (docs/autoscaler.md).
bool is_own_document(const Json& document);
GroupReading read_own_document(const Marked& document);

}  // namespace archway::scheduler
