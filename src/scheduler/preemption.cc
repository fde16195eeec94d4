#include "scheduler/preemption.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "scheduler/unstable_sort.h"

namespace archway::scheduler {

namespace {

// A pod that has not started yet is the youngest of all.
int64_t start_time(const Pod& pod) { return pod.started ? pod.started->nanoseconds : std::numeric_limits<int64_t>::max(); }

bool more_important(const Pod* a, const Pod* b) {
  if (a->priority() != b->priority()) return a->priority() > b->priority();
  return start_time(*a) < start_time(*b);
}

struct Split {
  std::vector<const Pod*> violating, others;
};

// In order of importance, pods use up what their budgets still allow; those beyond it violate.
Split split_by_budget(const std::vector<const Pod*>& pods, const std::vector<kube::PodDisruptionBudget>& budgets) {
  std::vector<int64_t> allowed;
  for (const kube::PodDisruptionBudget& budget : budgets) allowed.push_back(budget.disruptions_allowed);
  Split split;
  for (const Pod* pod : pods) {
    bool violates = false;
    for (size_t i = 0; i < budgets.size() && !pod->meta.labels.empty(); ++i) {
      const kube::PodDisruptionBudget& budget = budgets[i];
      if (budget.meta.name_space != pod->meta.name_space || budget.selector.empty() || !budget.selector.matches(pod->meta.labels)) continue;
      // One that the API server evicts already is paid for.
      if (std::find(budget.disrupted.begin(), budget.disrupted.end(), pod->meta.name) != budget.disrupted.end()) continue;
      violates = --allowed[i] < 0 || violates;
    }
    (violates ? split.violating : split.others).push_back(pod);
  }
  return split;
}

// Takes all less important pods off a copy of the node, then brings back what still fits: first those whose budget
// would be violated, the most important first.
std::optional<PreemptionCandidate> victims_on(const Cycle& cycle, const NodeState& node) {
  std::vector<const Pod*> potential;
  for (const Pod* pod : node.pods) {
    if (pod->priority() < cycle.pod().priority()) potential.push_back(pod);
  }
  if (potential.empty()) return std::nullopt;
  NodeState tried = node;
  Cycle state = cycle;
  for (const Pod* pod : potential) {
    tried.remove(*pod);
    state.remove(*pod, tried);
  }
  if (state.filter_with_nominated(tried)) return std::nullopt;
  unstable_sort(potential, more_important);
  Split split = split_by_budget(potential, cycle.cluster().objects().budgets);
  PreemptionCandidate candidate;
  candidate.node = node.index;
  auto stays = [&](const Pod* pod) {
    tried.add(*pod);
    state.add(*pod, tried);
    if (!state.filter_with_nominated(tried)) return true;
    tried.remove(*pod);
    state.remove(*pod, tried);
    candidate.victims.push_back(pod);
    return false;
  };
  for (const Pod* pod : split.violating) candidate.budget_violations += !stays(pod);
  for (const Pod* pod : split.others) stays(pod);
  if (!split.violating.empty() && !split.others.empty()) unstable_sort(candidate.victims, more_important);
  if (candidate.victims.empty()) return std::nullopt;
  return candidate;
}

bool waits_for_victims(const Cycle& cycle, const Decision& decision) {
  const Pod& pod = cycle.pod();
  const NodeState* node = pod.nominated_node.empty() ? nullptr : cycle.cluster().find_node(pod.nominated_node);
  if (!node) return false;
  const auto& refusal = decision.pre_filter ? decision.pre_filter : decision.nodes[node->index].refusal;
  if (refusal && refusal->verdict == Verdict::UnschedulableAndUnresolvable) return false;
  return std::any_of(node->pods.begin(), node->pods.end(), [&](const Pod* other) {
    return other->priority() < pod.priority() && other->terminating() && other->preempted;
  });
}

// The earliest start among the victims of the highest priority.
int64_t earliest_start(const PreemptionCandidate& candidate) {
  int64_t earliest = start_time(*candidate.victims[0]);
  for (const Pod* pod : candidate.victims) {
    if (pod->priority() == candidate.victims[0]->priority()) earliest = std::min(earliest, start_time(*pod));
  }
  return earliest;
}

int64_t sum_of_priorities(const PreemptionCandidate& candidate) {
  // Shifted to be positive, so that fewer victims of a negative priority are fewer points.
  int64_t sum = 0;
  for (const Pod* pod : candidate.victims) sum += pod->priority() + (int64_t(1) << 31);
  return sum;
}

std::vector<uint32_t> pick(const std::vector<PreemptionCandidate>& candidates) {
  std::vector<const PreemptionCandidate*> left;
  for (const PreemptionCandidate& each : candidates) left.push_back(&each);
  using Cost = std::function<int64_t(const PreemptionCandidate&)>;
  const Cost costs[] = {
      [](const PreemptionCandidate& c) { return c.budget_violations; },
      [](const PreemptionCandidate& c) { return c.victims[0]->priority(); },
      sum_of_priorities,
      [](const PreemptionCandidate& c) { return static_cast<int64_t>(c.victims.size()); },
      [](const PreemptionCandidate& c) { return -earliest_start(c); },
  };
  for (const Cost& cost : costs) {
    if (left.size() <= 1) break;
    int64_t least = std::numeric_limits<int64_t>::max();
    for (const PreemptionCandidate* each : left) least = std::min(least, cost(*each));
    std::erase_if(left, [&](const PreemptionCandidate* each) { return cost(*each) != least; });
  }
  std::vector<uint32_t> nodes;
  for (const PreemptionCandidate* each : left) nodes.push_back(each->node);
  return nodes;
}

}  // namespace

Preemption preempt(const Cycle& cycle, const Decision& decision) {
  Preemption result;
  if (cycle.pod().spec->never_preempts) {
    result.why_not = "not eligible due to preemptionPolicy=Never.";
    return result;
  }
  if (waits_for_victims(cycle, decision)) {
    result.why_not = "not eligible due to a terminating pod on the nominated node.";
    return result;
  }
  result.eligible = true;
  if (decision.pre_filter) return result;
  const std::vector<NodeState>& nodes = cycle.cluster().nodes();
  for (const NodeState& node : nodes) {
    const auto& refusal = decision.nodes[node.index].refusal;
    if (!refusal || refusal->verdict != Verdict::Unschedulable) continue;
    auto candidate = victims_on(cycle, node);
    if (candidate) result.candidates.push_back(std::move(*candidate));
  }
  std::sort(result.candidates.begin(), result.candidates.end(), [&](const PreemptionCandidate& a, const PreemptionCandidate& b) {
    return nodes[a.node].node->name() < nodes[b.node].node->name();
  });
  result.selected = pick(result.candidates);
  return result;
}

}  // namespace archway::scheduler
