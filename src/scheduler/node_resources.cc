#include "scheduler/node_resources.h"

#include <cmath>

namespace archway::scheduler {

namespace {

struct Collector {
  std::vector<std::string> reasons;
  bool unresolvable = false;

  void check(std::string_view name, int64_t wanted, int64_t allocatable, int64_t used) {
    if (wanted <= 0 || wanted <= allocatable - used) return;
    reasons.push_back("Insufficient " + std::string(name));
    // More than the node ever has: no eviction helps.
    unresolvable = unresolvable || wanted > allocatable;
  }
};

// Capacity of a resource and what would be requested of it with the pod there.
struct Share {
  int64_t requested = 0, allocatable = 0;
};

enum class Counting { Real, WithDefaults };

Share share(std::string_view resource, const Pod& pod, const NodeState& node, Counting counting) {
  const kube::Resources& allocatable = node.node->allocatable;
  bool real = counting == Counting::Real;
  if (resource == "cpu") {
    int64_t own = real ? pod.requests.real.milli_cpu : pod.requests.score_cpu;
    return {(real ? node.requested.milli_cpu : node.nonzero_cpu) + own, allocatable.milli_cpu};
  }
  if (resource == "memory") {
    int64_t own = real ? pod.requests.real.memory : pod.requests.score_memory;
    return {(real ? node.requested.memory : node.nonzero_memory) + own, allocatable.memory};
  }
  if (resource == "ephemeral-storage") {
    return {node.requested.ephemeral_storage + pod.requests.real.ephemeral_storage, allocatable.ephemeral_storage};
  }
  int64_t own = pod.requests.real.scalar(resource);
  if (own == 0 || !allocatable.has_scalar(resource)) return {};
  return {node.requested.scalar(resource) + own, allocatable.scalar(resource)};
}

int64_t own_request(std::string_view resource, const Pod& pod) {
  if (resource == "cpu") return pod.requests.real.milli_cpu;
  if (resource == "memory") return pod.requests.real.memory;
  if (resource == "ephemeral-storage") return pod.requests.real.ephemeral_storage;
  return pod.requests.real.scalar(resource);
}

// 100 less the spread (standard deviation) of the used fractions.
int64_t balance(const std::vector<Share>& shares) {
  std::vector<double> fractions;
  double total = 0;
  for (const Share& each : shares) {
    if (each.allocatable == 0) continue;
    double fraction = static_cast<double>(each.requested) / static_cast<double>(each.allocatable);
    if (fraction > 1) fraction = 1;
    total += fraction;
    fractions.push_back(fraction);
  }
  double deviation = 0;
  if (fractions.size() == 2) {
    deviation = std::fabs((fractions[0] - fractions[1]) / 2);
  } else if (fractions.size() > 2) {
    double mean = total / static_cast<double>(fractions.size()), sum = 0;
    for (double fraction : fractions) sum = sum + (fraction - mean) * (fraction - mean);
    deviation = std::sqrt(sum / static_cast<double>(fractions.size()));
  }
  return static_cast<int64_t>((1 - deviation) * static_cast<double>(kMaxNodeScore));
}

}  // namespace

std::optional<Refusal> fit_refusal(const Pod& pod, const NodeState& node) {
  Collector collector;
  const kube::Resources& wanted = pod.requests.real;
  const kube::Resources& allocatable = node.node->allocatable;
  if (static_cast<int64_t>(node.pods.size()) + 1 > allocatable.pods) collector.reasons.push_back("Too many pods");
  collector.check("cpu", wanted.milli_cpu, allocatable.milli_cpu, node.requested.milli_cpu);
  collector.check("memory", wanted.memory, allocatable.memory, node.requested.memory);
  collector.check("ephemeral-storage", wanted.ephemeral_storage, allocatable.ephemeral_storage, node.requested.ephemeral_storage);
  for (const auto& [name, amount] : wanted.scalars) {
    collector.check(name, amount, allocatable.scalar(name), node.requested.scalar(name));
  }
  if (collector.reasons.empty()) return std::nullopt;
  Verdict verdict = collector.unresolvable ? Verdict::UnschedulableAndUnresolvable : Verdict::Unschedulable;
  return Refusal{Plugin::NodeResourcesFit, verdict, std::move(collector.reasons)};
}

int64_t fit_score(const Profile& profile, const Pod& pod, const NodeState& node) {
  int64_t score = 0, weights = 0;
  for (const ResourceWeight& each : profile.fit_resources) {
    Share part = share(each.name, pod, node, Counting::WithDefaults);
    if (part.allocatable == 0) continue;
    int64_t requested = part.requested;
    int64_t points = 0;
    if (profile.strategy == Profile::Strategy::LeastAllocated) {
      points = requested > part.allocatable ? 0 : (part.allocatable - requested) * kMaxNodeScore / part.allocatable;
    } else {
      // Defaults may add up to more than there is.
      points = std::min(requested, part.allocatable) * kMaxNodeScore / part.allocatable;
    }
    score += points * each.weight;
    weights += each.weight;
  }
  return weights == 0 ? 0 : score / weights;
}

bool balances_nothing(const Profile& profile, const Pod& pod) {
  for (const ResourceWeight& each : profile.balanced_resources) {
    if (own_request(each.name, pod) != 0) return false;
  }
  return true;
}

int64_t balanced_score(const Profile& profile, const Pod& pod, const NodeState& node) {
  std::vector<Share> with;
  for (const ResourceWeight& each : profile.balanced_resources) with.push_back(share(each.name, pod, node, Counting::Real));
  int64_t score = balance(with);
  if (profile.version_minor < 35) return score;
  // Newer schedulers ask what the pod does to the balance, not what the balance then is.
  std::vector<Share> without = with;
  for (size_t i = 0; i < without.size(); ++i) {
    if (without[i].allocatable != 0) without[i].requested -= own_request(profile.balanced_resources[i].name, pod);
  }
  return 50 + (50 + score - balance(without)) / 2;
}

}  // namespace archway::scheduler
