#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kube/objects.h"
#include "scheduler/node_group_machine.h"
#include "scheduler/node_group_tags.h"

namespace archway::scheduler {

using kube::Labels;
using kube::Node;
using kube::Pod;

inline constexpr int64_t kMaxGroupSize = 100'000;
inline constexpr size_t kMaxGroups = 10'000;

// Where a group was described; it decides what is known of its nodes.
enum class GroupForm { Own, Asg, Eksctl, EksctlManaged, Terraform, EksManaged };
std::string_view group_form_name(GroupForm form);

// A set of equal machines that an autoscaler grows and shrinks.
struct NodeGroup {
  GroupForm form = GroupForm::Own;
  std::string name;     // for people, as in the file
  std::string id;       // what the autoscaler knows it by, and the priority expander's patterns are matched with
  bool id_is_guess = false;  // eksctl and EKS add random letters
  std::string provider, region;
  SourcePlace place;
  int64_t min = 0, max = 0, current = 0;
  std::vector<std::string> zones;  // the first is the template's
  std::vector<std::string> types;  // the first is the template's
  bool by_requirements = false;    // instance requirements instead of types
  std::optional<int64_t> least_vcpu, least_memory_mib;  // of these requirements
  bool spot = false;
  std::vector<GroupTag> tags;
  bool tags_only = false;          // nothing but tags is known: `describe-tags`, or what sets them
  bool propagates_tags = false;    // eksctl's propagateASGTags: labels and taints become tags
  // What real nodes get. Of a bare ASG only its template is known.
  bool declares_nodes = false;
  Labels labels;
  std::vector<kube::Taint> taints;
  std::vector<kube::Taint> boot_taints;  // of --register-with-taints in the boot command: nodes have them, and no API tells of them
  // Given sizes count before those of the type.
  std::optional<int64_t> milli_cpu, memory, pods;
  std::vector<std::pair<std::string, int64_t>> extended;  // own form: extended resources, as nvidia.com/gpu; by name
  // Own form: what the autoscaler believes, where that differs from the nodes.
  std::optional<Labels> template_labels;
  std::optional<std::vector<kube::Taint>> template_taints;
  std::optional<int64_t> price;    // own form: billionths of a dollar per hour
  // Which nodes are its.
  kube::Selector nodes = kube::Selector::nothing();
  std::vector<std::string> instances;  // ids, as in a node's providerID
  std::vector<std::string> notes;      // of what the file leaves open

  bool managed() const { return form == GroupForm::EksctlManaged || form == GroupForm::EksManaged; }
  std::string first_type() const { return types.empty() ? "" : types[0]; }
};

// A node as it will be, or as an autoscaler imagines it.
struct NodeTemplate {
  Node node;                  // allocatable is what pods get
  kube::Resources capacity;
  std::string source;         // "tags", "as node ip-10-0-0-1", ...
};

// What Cluster Autoscaler imagines when the group has no node: capacity by type and tags, nothing kept for the system, the first zone,
// labels and taints by tags (and, of managed groups, by the EKS API).
Result<NodeTemplate> autoscaler_template(const NodeGroup& group, const PriceTable& prices);
// What such a node really is: less what the kubelet keeps, with the labels and taints that it registers with.
Result<NodeTemplate> real_node(const NodeGroup& group, const PriceTable& prices, size_t zone_index);

// Billionths of a dollar per hour for one node; nullopt where no list has it.
std::optional<int64_t> price_of(const NodeGroup& group, const PriceTable& prices);
// Architecture of its nodes: by label, else by its first type. "" where nothing tells.
std::string architecture_of(const NodeGroup& group, const PriceTable& prices);
// Of every type that it may hold, in order of appearance.
std::vector<std::string> architectures_of(const NodeGroup& group, const PriceTable& prices);

}  // namespace archway::scheduler
