#include "scheduler/replay.h"

#include <algorithm>
#include <deque>

#include "scheduler/preemption.h"

namespace archway::scheduler {

namespace {

template <class T>
Result<std::vector<T>> read_list(const Json& recorded, std::string_view key, Result<T> (*read)(const Json&)) {
  std::vector<T> list;
  for (const Json& item : recorded[key].items()) {
    list.push_back(TRY(read(item).context(std::string(key) + "[" + std::to_string(list.size()) + "], " + kube::describe(item))));
  }
  return list;
}

// Lists in a case leave the kind out: their key says it.
Result<void> read_owners(const Json& recorded, std::string_view key, std::string_view kind, ClusterObjects& objects) {
  for (const Json& item : recorded[key].items()) {
    Json typed = item;
    typed.set("kind", kind);
    objects.add_owner(TRY(kube::read_workload(typed).context(std::string(key))));
  }
  return {};
}

Result<ClusterObjects> read_objects(const Json& recorded) {
  ClusterObjects objects;
  for (kube::Namespace& each : TRY(read_list(recorded, "namespaces", kube::read_namespace))) {
    objects.namespaces[each.meta.name] = each.meta.labels;
  }
  for (kube::Service& each : TRY(read_list(recorded, "services", kube::read_service))) {
    objects.services[each.meta.name_space].push_back(std::move(each));
  }
  TRY(read_owners(recorded, "replicaSets", "ReplicaSet", objects));
  TRY(read_owners(recorded, "statefulSets", "StatefulSet", objects));
  TRY(read_owners(recorded, "replicationControllers", "ReplicationController", objects));
  objects.budgets = TRY(read_list(recorded, "podDisruptionBudgets", kube::read_budget));
  for (auto& each : TRY(read_list(recorded, "persistentVolumeClaims", kube::read_claim))) objects.claims[each.meta.key()] = std::move(each);
  for (auto& each : TRY(read_list(recorded, "persistentVolumes", kube::read_volume_object))) objects.volumes[each.meta.name] = std::move(each);
  for (auto& each : TRY(read_list(recorded, "storageClasses", kube::read_storage_class))) {
    objects.storage_classes[each.meta.name] = std::move(each);
  }
  for (auto& each : TRY(read_list(recorded, "csiNodes", kube::read_csi_node))) objects.csi_nodes[each.meta.name] = std::move(each);
  return objects;
}

Json refusal_json(const Refusal& refusal) {
  Json json = Json::object({{"feasible", false}, {"plugin", plugin_name(refusal.plugin)}, {"code", verdict_name(refusal.verdict)}});
  if (!refusal.reasons.empty()) json.set("reasons", Json(refusal.reasons));
  return json;
}

Json answer_json(const NodeAnswer& answer, const Decision& decision) {
  if (answer.refusal) return refusal_json(*answer.refusal);
  Json scores = Json::object();
  for (size_t slot = 0; slot < kScorers.size(); ++slot) {
    if (decision.scorers[slot]) scores.set(plugin_name(kScorers[slot]), answer.scores[slot]);
  }
  return Json::object({{"feasible", true}, {"scores", std::move(scores)}, {"total", answer.total}});
}

Json names(const std::vector<uint32_t>& nodes, const Cluster& cluster) {
  Json list = Json::array();
  for (uint32_t node : nodes) list.push(cluster.nodes()[node].node->name());
  return list;
}

Json preemption_json(const Preemption& preemption, const Cluster& cluster) {
  Json candidates = Json::array();
  for (const PreemptionCandidate& each : preemption.candidates) {
    Json victims = Json::array();
    for (const Pod* pod : each.victims) victims.push(pod->meta.key());
    candidates.push(Json::object({{"node", cluster.nodes()[each.node].node->name()},
                                  {"victims", std::move(victims)},
                                  {"pdbViolations", each.budget_violations}}));
  }
  return Json::object({{"eligible", preemption.eligible}, {"candidates", std::move(candidates)}, {"selected", names(preemption.selected, cluster)}});
}

}  // namespace

Json decision_json(const Pod& pod, const Decision& decision, const Cluster& cluster) {
  Json step = Json::object({{"pod", pod.meta.key()}});
  if (decision.pre_filter) {
    step.set("preFilter", refusal_json(*decision.pre_filter));
    return step;
  }
  std::vector<uint32_t> order(cluster.nodes().size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return cluster.nodes()[a].node->name() < cluster.nodes()[b].node->name(); });
  Json answers = Json::object();
  for (uint32_t node : order) answers.mutable_members().push_back({cluster.nodes()[node].node->name(), answer_json(decision.nodes[node], decision)});
  step.set("nodes", std::move(answers));
  if (decision.chosen) {
    step.set("best", names(decision.best, cluster));
    step.set("chosen", cluster.nodes()[*decision.chosen].node->name());
  }
  return step;
}

Result<Json> replay(const Profile& profile, const Json& recorded) {
  auto nodes = TRY(read_list(recorded, "nodes", kube::read_node));
  auto bound = TRY(read_list(recorded, "pods", kube::read_pod));
  auto pending = TRY(read_list(recorded, "pending", kube::read_pod));
  bool preempts = recorded.has("podDisruptionBudgets");
  Cluster cluster(nodes, TRY(read_objects(recorded)));
  for (const Pod& pod : bound) {
    const NodeState* node = cluster.find_node(pod.node_name);
    if (node && !pod.finished()) cluster.bind(pod, node->index);
  }
  std::map<std::string, std::string> chosen;
  for (const Json& step : recorded["steps"].items()) chosen[step["pod"].string()] = step["chosen"].string();

  std::vector<const Pod*> queue;
  for (const Pod& pod : pending) {
    queue.push_back(&pod);
    const NodeState* nominated = pod.nominated_node.empty() ? nullptr : cluster.find_node(pod.nominated_node);
    if (nominated) cluster.nominate(pod, nominated->index);
  }
  std::stable_sort(queue.begin(), queue.end(), [](const Pod* a, const Pod* b) { return a->priority() > b->priority(); });
  Json steps = Json::array();
  for (const Pod* pod : queue) {
    Cycle cycle(profile, cluster, *pod);
    Decision decision = decide(cycle);
    Json step = decision_json(*pod, decision, cluster);
    if (preempts && !decision.chosen && !decision.pre_filter) step.set("preemption", preemption_json(preempt(cycle, decision), cluster));
    steps.push(std::move(step));
    const NodeState* node = cluster.find_node(chosen[pod->meta.key()]);
    if (!node) continue;
    cluster.forget_nomination(*pod);
    cluster.bind(*pod, node->index);
  }
  return Json::object({{"steps", std::move(steps)}});
}

}  // namespace archway::scheduler
