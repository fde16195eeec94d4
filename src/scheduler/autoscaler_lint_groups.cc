#include <algorithm>

#include "base/text.h"
#include "scheduler/autoscaler_lint.h"

namespace archway::scheduler {

namespace {

using Severity = LintFinding::Severity;
constexpr std::string_view kArch = "kubernetes.io/arch";

std::string tag_of(const kube::Taint& taint) { return std::string(kTaintTag) + taint.key + " = " + taint.value + ":" + taint.effect; }

// One group, rule by rule.
class GroupLint {
 public:
  GroupLint(const AutoscalerInput& input, const NodeGroup& group, const PriceTable& prices, std::vector<LintFinding>& findings)
      : input_(input), group_(group), prices_(prices), findings_(findings), tags_(read_template_tags(group.tags)) {}

  void run() {
    tags();
    if (group_.tags_only) return architecture_label();
    sizes();
    types();
    architecture_label();
    zones();
    template_against_declared();
    template_against_nodes();
    discovery();
  }

 private:
  void find(Severity severity, std::string rule, std::string message, std::string advice = "", std::optional<SourcePlace> place = std::nullopt) {
    std::string object = std::string(group_form_name(group_.form)) + " " + group_.name;
    findings_.push_back({severity, std::move(rule), place.value_or(group_.place), std::move(object), std::move(message), std::move(advice)});
  }

  void tags() {
    for (const TagDefect& defect : tags_.defects) {
      bool mild = defect.rule == "eks-tag-label" || defect.rule == "tag-duplicate" || defect.rule == "option-unknown" || defect.rule == "option-unparsable";
      find(mild ? Severity::Warning : Severity::Error, defect.rule, defect.message, defect.advice, group_.tags[defect.tag].place);
    }
    // Tags of a managed group stay with the EKS resource; only those of its Auto Scaling Group are read for labels and taints.
    bool lost = group_.form == GroupForm::EksctlManaged && !group_.propagates_tags;
    for (const GroupTag& tag : group_.tags) {
      bool templated = tag.key.find(kLabelTag) != std::string::npos || tag.key.find(kTaintTag) != std::string::npos;
      if (lost && templated) {
        find(Severity::Warning, "tag-not-on-asg", "the tag " + tag.key + " stays on the EKS node group and never reaches its Auto Scaling Group",
             "set propagateASGTags: true, or declare the label or taint itself", tag.place);
      }
    }
  }

  void sizes() {
    if (group_.max < group_.min) find(Severity::Error, "size-range", "its largest size " + std::to_string(group_.max) + " is below its least, " + std::to_string(group_.min));
    if (group_.max == 0) find(Severity::Warning, "size-zero", "its largest size is 0, so it never gets a node", "raise the largest size");
  }

  void types() {
    if (group_.types.empty() && !group_.by_requirements && !(group_.milli_cpu && group_.memory)) {
      bool asg = group_.form == GroupForm::Asg || group_.form == GroupForm::Terraform;
      // eksctl and EKS have defaults of their own.
      if (asg) {
        find(Severity::Warning, "type-unknown", "its machine type is left to a launch template that is not among the input, so its architecture cannot be told",
             "add the output of aws ec2 describe-launch-template-versions");
      }
      return;
    }
    std::vector<std::string> architectures = architectures_of(group_, prices_);
    if (architectures.size() > 1) {
      std::string others;
      for (const std::string& type : group_.types) {
        if (architecture_of_type(type, prices_) != architectures[0]) others += (others.empty() ? "" : ", ") + type;
      }
      find(Severity::Error, "mixed-architectures",
           "its types have several architectures, and only the first, " + group_.types[0] + ", counts: the autoscaler takes every node for " + architectures[0] + ", also when it starts " + others,
           "make one group per architecture");
    }
    for (const std::string& type : group_.types) {
      if (group_.provider == "aws" && architecture_of_type(type, prices_).empty()) {
        find(Severity::Warning, "type-unknown", "the type " + type + " has no form that is known; an autoscaler that does not know it either cannot use the group");
      }
    }
    mixed_sizes();
  }

  void mixed_sizes() {
    auto first = find_machine(group_.first_type(), prices_);
    for (const std::string& type : group_.types) {
      auto other = find_machine(type, prices_);
      if (!first || !other || other->architecture != first->architecture) continue;
      if (other->vcpu >= first->vcpu && other->memory_gib >= first->memory_gib * 0.985) continue;
      find(Severity::Warning, "mixed-sizes", "its type " + type + " is smaller than the first, " + first->type + ", by which every node is planned: pods will not fit where they were expected to",
           "list types of one size, or the smallest first");
      return;
    }
  }

  void architecture_label() {
    auto label = tags_.labels.find(std::string(kArch));
    auto beta = tags_.labels.find("beta.kubernetes.io/arch");
    std::string real = architecture_of_type(group_.first_type(), prices_);
    if (label != tags_.labels.end() && !real.empty() && label->second != real) {
      find(Severity::Error, "arch-label-wrong", "its tags say " + std::string(kArch) + "=" + label->second + ", and its type " + group_.first_type() + " is " + real, "write " + real, place_of_label(kArch));
    }
    if (label == tags_.labels.end() && beta != tags_.labels.end()) {
      find(Severity::Warning, "arch-label-beta", "the tag for beta.kubernetes.io/arch helps no pod that asks for " + std::string(kArch), "name the label " + std::string(kArch), place_of_label("beta.kubernetes.io/arch"));
    }
    if (group_.min > 0 || label != tags_.labels.end() || group_.labels.find(kArch)) return;
    constexpr std::string_view blind[] = {"alicloud", "huaweicloud", "tencentcloud", "volcengine", "coreweave", "clusterapi"};
    bool is_blind = std::find(std::begin(blind), std::end(blind), group_.provider) != std::end(blind);
    if (is_blind && real != "amd64") {
      find(Severity::Error, "arch-label-missing", "from zero, the autoscaler takes every machine of " + group_.provider + " for amd64, so pods that want arm64 never make it grow",
           group_.provider == "clusterapi" ? "set the annotation capacity.cluster-autoscaler.kubernetes.io/labels: kubernetes.io/arch=arm64, or CAPI_SCALE_ZERO_DEFAULT_ARCH" : "keep a node in the group");
    } else if (group_.provider == "aws" && group_.form != GroupForm::Own && !group_.managed() && real.empty() && group_.types.size() > 0) {
      find(Severity::Error, "arch-label-missing", "its type is not known and no tag tells the architecture: from zero it counts as amd64", "add the tag " + std::string(kLabelTag) + std::string(kArch));
    }
  }

  SourcePlace place_of_label(std::string_view key) const {
    for (const GroupTag& tag : group_.tags) {
      if (tag.key.ends_with("/" + std::string(key)) && tag.key.find(kLabelTag) != std::string::npos) return tag.place;
    }
    return group_.place;
  }

  bool pods_care_for_zones() const {
    auto cares = [](const kube::PodSpec& spec) {
      for (const kube::SpreadConstraint& each : spec.spread) {
        if (each.required && each.topology_key == kZoneLabel) return true;
      }
      for (const kube::PodAffinityTerm& each : spec.affinity.required) {
        if (each.topology_key == kZoneLabel) return true;
      }
      return spec.node_selector.find(kZoneLabel) != nullptr || std::any_of(spec.volumes.begin(), spec.volumes.end(), [](const kube::PodVolume& each) { return !each.claim.empty(); });
    };
    return std::any_of(input_.inventory.pods.begin(), input_.inventory.pods.end(), [&](const Pod& pod) { return cares(*pod.spec); }) ||
           std::any_of(input_.inventory.workloads.begin(), input_.inventory.workloads.end(), [&](const kube::Workload& each) { return each.kind != "DaemonSet" && each.pod && cares(*each.pod->spec); });
  }

  void zones() {
    if (group_.form == GroupForm::Asg && group_.zones.empty()) {
      find(Severity::Error, "no-zone", "it has no availability zone, and the autoscaler cannot imagine a node of it", "give it subnets");
    }
    if (group_.zones.size() > 1 && pods_care_for_zones()) {
      find(Severity::Warning, "several-zones", "it spans " + join(group_.zones, ", ") + ", the autoscaler plans with " + group_.zones[0] + " only, and pods here are bound to zones",
           "make one group per zone, and set --balance-similar-node-groups");
    }
    if (group_.provider != "aws") return;
    for (const std::string& zone : group_.zones) {
      if (std::count(zone.begin(), zone.end(), '-') <= 2) continue;
      find(Severity::Warning, "local-zone", "for the Local Zone " + zone + " the autoscaler takes the region to be " + zone.substr(0, zone.size() - 1),
           "add the tag " + std::string(kLabelTag) + "topology.kubernetes.io/region");
      return;
    }
  }

  // eksctl says what nodes get. From zero the autoscaler sees only tags, except for managed groups, which it asks the EKS API about.
  void template_against_declared() {
    for (const kube::Taint& taint : group_.boot_taints) {
      bool known = std::find(tags_.taints.begin(), tags_.taints.end(), taint) != tags_.taints.end() || std::find(group_.taints.begin(), group_.taints.end(), taint) != group_.taints.end();
      if (known || group_.min > 0) continue;
      find(Severity::Error, "template-taint-missing", "its nodes register with the taint " + taint.str() + " by their boot command, which no API tells of: at zero the autoscaler starts nodes for pods that cannot run there",
           "declare it under taints, or add the tag " + tag_of(taint) + " to the Auto Scaling Group");
    }
    if (group_.form != GroupForm::Eksctl || group_.min > 0) return;
    if (!group_.propagates_tags) {
      for (const kube::Taint& taint : group_.taints) {
        if (std::find(tags_.taints.begin(), tags_.taints.end(), taint) != tags_.taints.end()) continue;
        find(Severity::Error, "template-taint-missing", "from zero the autoscaler does not know the taint " + taint.str() + ": it will start nodes for pods that cannot run there",
             "set propagateASGTags: true, or add the tag " + tag_of(taint));
      }
      for (const auto& [key, value] : group_.labels) {
        auto tag = tags_.labels.find(key);
        if (tag != tags_.labels.end() && tag->second == value) continue;
        find(Severity::Warning, "template-label-missing", "from zero the autoscaler does not know the label " + key + "=" + value + ": pods that select it make nothing grow",
             "set propagateASGTags: true, or add the tag " + std::string(kLabelTag) + key + " = " + value);
      }
    }
    for (const kube::Taint& taint : tags_.taints) {
      if (std::find(group_.taints.begin(), group_.taints.end(), taint) != group_.taints.end()) continue;
      if (std::find(group_.boot_taints.begin(), group_.boot_taints.end(), taint) != group_.boot_taints.end()) continue;
      find(Severity::Error, "template-taint-extra", "its tags promise the taint " + taint.str() + ", which its nodes do not register with", "add it to taints, or remove the tag");
    }
  }

  const Node* node_of_group() const {
    for (const Node& node : input_.inventory.nodes) {
      auto id = input_.provider_ids.find(node.name());
      std::string instance = id == input_.provider_ids.end() ? "" : id->second.substr(id->second.rfind('/') + 1);
      bool mine = !instance.empty() && std::find(group_.instances.begin(), group_.instances.end(), instance) != group_.instances.end();
      if (mine || group_.nodes.matches(node.meta.labels)) return &node;
    }
    return nullptr;
  }

  // While it has a node the autoscaler copies that; at zero, after a restart, only the template is left.
  void template_against_nodes() {
    const Node* node = node_of_group();
    if (!node || group_.form == GroupForm::Own) return;
    auto believed = autoscaler_template(group_, prices_);
    if (!believed.ok()) return;
    for (const kube::Taint& taint : node->taints) {
      bool passing = taint.key.starts_with("node.kubernetes.io/") || taint.key.starts_with("node.cloudprovider.kubernetes.io/") || taint.key.ends_with("ClusterAutoscaler") ||
                     taint.key.find(".cluster-autoscaler.kubernetes.io/") != std::string::npos;
      bool known = std::find(believed->node.taints.begin(), believed->node.taints.end(), taint) != believed->node.taints.end();
      if (passing || known || !kube::repels(taint)) continue;
      find(Severity::Error, "works-warm-fails-cold", "its node " + node->name() + " has the taint " + taint.str() + ", which its template lacks: once it is at zero, the autoscaler will start nodes for pods that cannot run there",
           "add the tag " + tag_of(taint));
    }
    for (const kube::Taint& taint : believed->node.taints) {
      bool known = std::find(node->taints.begin(), node->taints.end(), taint) != node->taints.end();
      if (known || !kube::repels(taint)) continue;
      find(Severity::Warning, "template-taint-extra", "its template has the taint " + taint.str() + ", which its node " + node->name() + " lacks", "let nodes register with it, or remove the tag");
    }
    const std::string* arch = node->meta.labels.find(kArch);
    const std::string* planned = believed->node.meta.labels.find(kArch);
    if (arch && planned && *arch != *planned) {
      find(Severity::Error, "works-warm-fails-cold", "its node " + node->name() + " is " + *arch + ", and its template " + *planned, "make one group per architecture, with types of that one only");
    }
  }

  void discovery() {
    bool tagged_kind = group_.form == GroupForm::Asg || group_.form == GroupForm::Terraform;
    if (!tagged_kind) return;
    auto has = [&](const NodeGroup& group, const std::string& wanted) {
      auto [key, value] = cut(wanted, '=');
      return std::any_of(group.tags.begin(), group.tags.end(), [&, k = key, v = value](const GroupTag& tag) { return tag.key == k && (!v || v->empty() || tag.value == *v); });
    };
    std::vector<std::string> wanted;
    for (const SeenAutoscaler& each : input_.autoscalers) wanted.insert(wanted.end(), each.discovery_tags.begin(), each.discovery_tags.end());
    if (wanted.empty()) {
      // Some groups are marked: then one that is not was perhaps forgotten.
      bool any = std::any_of(input_.groups.begin(), input_.groups.end(), [&](const NodeGroup& group) { return has(group, std::string(kEnabledTag)); });
      bool templated = std::any_of(group_.tags.begin(), group_.tags.end(), [](const GroupTag& tag) { return tag.key.find("cluster-autoscaler") != std::string::npos; });
      if (any && templated) wanted.push_back(std::string(kEnabledTag));
    }
    for (const std::string& tag : wanted) {
      if (!has(group_, tag)) find(Severity::Error, "not-discovered", "it lacks the tag " + tag + " by which the autoscaler finds its groups, so it never grows", "add the tag");
    }
  }

  const AutoscalerInput& input_;
  const NodeGroup& group_;
  const PriceTable& prices_;
  std::vector<LintFinding>& findings_;
  TemplateTags tags_;
};

// Groups that no pod of the cluster could use: an empty node of theirs refuses every one.
void lint_use(const AutoscalerInput& input, const PriceTable& prices, std::vector<LintFinding>& findings) {
  std::vector<Pod> pods;
  std::vector<const kube::PodSpec*> seen;
  auto add = [&](Pod pod) {
    const kube::OwnerReference* owner = pod.meta.controller();
    if ((owner && (owner->kind == "DaemonSet" || owner->kind == "Node")) || pod.finished()) return;
    if (std::any_of(seen.begin(), seen.end(), [&](const kube::PodSpec* each) { return *each == *pod.spec; })) return;
    auto spec = std::make_shared<kube::PodSpec>(*pod.spec);
    // Only what a node is counts here, not what is around it.
    spec->spread.clear();
    spec->affinity = {};
    spec->anti_affinity = {};
    spec->volumes.clear();
    spec->scheduling_gates.clear();
    seen.push_back(pod.spec.get());
    pod.spec = std::move(spec);
    pod.node_name.clear();
    pods.push_back(std::move(pod));
  };
  for (const Pod& pod : input.inventory.pods) add(pod);
  for (const kube::Workload& workload : input.inventory.workloads) {
    if (workload.kind == "DaemonSet" || !workload.pod || workload.replicas == 0) continue;
    Pod pod;
    pod.meta = workload.meta;
    pod.meta.owners.clear();
    pod.spec = workload.pod->spec;
    pod.requests = kube::count_requests(*pod.spec, {}, false);
    add(std::move(pod));
  }
  if (pods.empty()) return;
  Profile profile;
  std::vector<Node> none;
  Cluster nowhere(none, {});
  for (const NodeGroup& group : input.groups) {
    auto believed = autoscaler_template(group, prices);
    if (!believed.ok() || group.tags_only) continue;
    NodeState state;
    state.node = &believed->node;
    std::map<std::string, size_t> reasons;
    bool used = false;
    for (const Pod& pod : pods) {
      Cycle cycle(profile, nowhere, pod);
      auto refusal = cycle.pre_filter() ? cycle.pre_filter() : cycle.filter(state);
      used = used || !refusal;
      if (refusal) ++reasons[refusal->reasons.empty() ? std::string(plugin_name(refusal->plugin)) : refusal->reasons[0]];
    }
    if (used) continue;
    std::string most;
    size_t count = 0;
    for (const auto& [reason, times] : reasons) {
      if (times > count) most = reason, count = times;
    }
    findings.push_back({Severity::Warning, "group-unused", group.place, std::string(group_form_name(group.form)) + " " + group.name,
                        "none of the " + std::to_string(pods.size()) + " kinds of pods in this cluster could run there (mostly: " + most + ")",
                        "give the pods that are meant for it its tolerations and labels"});
  }
}

}  // namespace

void lint_groups(const AutoscalerInput& input, const PriceTable& prices, std::vector<LintFinding>& findings) {
  for (const NodeGroup& group : input.groups) GroupLint(input, group, prices, findings).run();
  lint_use(input, prices, findings);
}

}  // namespace archway::scheduler
