#include <algorithm>

#include "kube/pod.h"

namespace archway::kube {

namespace {

constexpr Nanos kDefaultCpu = Nanos(100) * 1'000'000;                         // 100m
constexpr Nanos kDefaultMemory = Nanos(200) * 1024 * 1024 * 1'000'000'000;    // 200Mi

struct Defaults {
  bool cpu = false, memory = false;
};

ResourceList with_defaults(ResourceList requests, Defaults defaults) {
  if (defaults.cpu && !requests.find("cpu")) requests.set("cpu", kDefaultCpu);
  if (defaults.memory && !requests.find("memory")) requests.set("memory", kDefaultMemory);
  return requests;
}

// While a resize is under way the larger of what is wished, what is allocated and what runs counts.
ResourceList effective(const Container& container, const std::vector<ContainerStatusResources>& status, bool resize_infeasible) {
  for (const ContainerStatusResources& each : status) {
    if (each.name != container.name) continue;
    ResourceList largest = each.requests;
    largest.raise_to(each.allocated);
    if (!resize_infeasible) largest.raise_to(container.requests);
    return largest;
  }
  return container.requests;
}

bool pod_level(std::string_view name) { return name == "cpu" || name == "memory" || name.starts_with("hugepages-"); }

bool has_pod_level(const PodSpec& spec) {
  return std::any_of(spec.pod_requests.begin(), spec.pod_requests.end(), [](const auto& entry) { return pod_level(entry.first); });
}

// The sum of the containers, or the peak while init containers run if that is higher. A sidecar counts from its start on (KEP-753).
ResourceList sum_requests(const PodSpec& spec, const std::vector<ContainerStatusResources>& status, bool resize_infeasible, Defaults defaults) {
  ResourceList sum, sidecars, peak;
  for (const Container& each : spec.containers) sum.add(with_defaults(effective(each, status, resize_infeasible), defaults));
  for (const Container& each : spec.init_containers) {
    if (each.restarts) {
      ResourceList own = with_defaults(effective(each, status, resize_infeasible), defaults);
      sum.add(own);
      sidecars.add(own);
      peak.raise_to(sidecars);
    } else {
      ResourceList during = with_defaults(each.requests, defaults);
      during.add(sidecars);
      peak.raise_to(during);
    }
  }
  sum.raise_to(peak);
  for (const auto& [name, amount] : spec.pod_requests) {
    if (pod_level(name)) sum.set(name, amount);
  }
  sum.add(spec.overhead);
  return sum;
}

int64_t milli(const ResourceList& list, std::string_view name) {
  const Nanos* amount = list.find(name);
  return amount ? milli_units(*amount) : 0;
}
int64_t whole(const ResourceList& list, std::string_view name) {
  const Nanos* amount = list.find(name);
  return amount ? whole_units(*amount) : 0;
}

}  // namespace

PodRequests count_requests(const PodSpec& spec, const std::vector<ContainerStatusResources>& status, bool resize_infeasible) {
  ResourceList real = sum_requests(spec, status, resize_infeasible, {});
  ResourceList scored = sum_requests(spec, status, resize_infeasible, {true, true});
  // With requests for the pod as a whole, defaults only fill what nobody asked for.
  Defaults missing{real.find("cpu") == nullptr, real.find("memory") == nullptr};
  ResourceList weighed = has_pod_level(spec) ? sum_requests(spec, status, resize_infeasible, missing) : scored;
  PodRequests requests;
  requests.real = to_resources(real);
  requests.nonzero_cpu = milli(weighed, "cpu");
  requests.nonzero_memory = whole(weighed, "memory");
  requests.score_cpu = milli(scored, "cpu");
  requests.score_memory = whole(scored, "memory");
  return requests;
}

}  // namespace archway::kube
