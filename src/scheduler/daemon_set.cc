#include "scheduler/daemon_set.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kToleratedByAll[][2] = {
    {"node.kubernetes.io/not-ready", kube::kNoExecute},        {"node.kubernetes.io/unreachable", kube::kNoExecute},
    {"node.kubernetes.io/disk-pressure", kube::kNoSchedule},   {"node.kubernetes.io/memory-pressure", kube::kNoSchedule},
    {"node.kubernetes.io/pid-pressure", kube::kNoSchedule},    {"node.kubernetes.io/unschedulable", kube::kNoSchedule},
};

std::vector<kube::Toleration> daemon_tolerations(const kube::PodSpec& spec) {
  std::vector<kube::Toleration> tolerations = spec.tolerations;
  for (const auto& [key, effect] : kToleratedByAll) tolerations.push_back({std::string(key), "Exists", "", std::string(effect)});
  if (spec.host_network) tolerations.push_back({"node.kubernetes.io/network-unavailable", "Exists", "", std::string(kube::kNoSchedule)});
  return tolerations;
}

}  // namespace

DaemonVerdict daemon_verdict(const kube::Workload& daemon_set, const Node& node) {
  if (!daemon_set.pod) return {};
  const kube::PodSpec& spec = *daemon_set.pod->spec;
  if (!node_affinity_matches(spec.node_selector, spec.node_affinity, node.name(), node.meta.labels)) return {};
  std::vector<kube::Toleration> tolerations = daemon_tolerations(spec);
  std::vector<kube::Taint> taints = node.taints;
  if (node.unschedulable) taints.push_back({"node.kubernetes.io/unschedulable", "", std::string(kube::kNoSchedule)});
  DaemonVerdict verdict{true, true};
  for (const kube::Taint& taint : taints) {
    if (!kube::repels(taint) || kube::tolerated(taint, tolerations)) continue;
    verdict.should_run = false;
    if (taint.effect == kube::kNoExecute) verdict.may_continue = false;
  }
  return verdict;
}

Pod daemon_pod(const kube::Workload& daemon_set, const Node& node) {
  Pod pod;
  pod.meta.name = daemon_set.meta.name + "@" + node.name();
  pod.meta.name_space = daemon_set.meta.name_space;
  pod.meta.labels = daemon_set.pod->labels;
  pod.meta.owners.push_back({"apps/v1", "DaemonSet", daemon_set.meta.name, daemon_set.meta.uid, true});
  auto spec = std::make_shared<kube::PodSpec>(*daemon_set.pod->spec);
  spec->tolerations = daemon_tolerations(*spec);
  // Whatever the template required is replaced: the controller has decided. The nodeSelector stays.
  spec->node_affinity.required = std::vector<kube::NodeSelectorTerm>{{{}, {{"metadata.name", kube::SelectorOperator::In, {node.name()}}}, true}};
  pod.requests = kube::count_requests(*spec, {}, false);
  pod.spec = std::move(spec);
  return pod;
}

std::string daemon_target(const Pod& pod) {
  if (!pod.node_name.empty()) return pod.node_name;
  auto named = kube::named_nodes(pod.spec->node_affinity);
  return named && named->size() == 1 ? *named->begin() : std::string();
}

}  // namespace archway::scheduler
