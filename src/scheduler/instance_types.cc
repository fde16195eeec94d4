#include "scheduler/instance_types.h"

#include <algorithm>

namespace archway::scheduler {

namespace {

constexpr InstanceType kInstanceTypes[] = {
#include "scheduler/instance_types.inc"
};
constexpr int64_t kMiB = 1024 * 1024;
constexpr int64_t kMostPods = 110;

}  // namespace

const InstanceType* find_instance_type(std::string_view name) {
  auto at = std::lower_bound(std::begin(kInstanceTypes), std::end(kInstanceTypes), name,
                             [](const InstanceType& each, std::string_view wanted) { return each.name < wanted; });
  return at != std::end(kInstanceTypes) && at->name == name ? at : nullptr;
}

kube::Resources estimated_allocatable(int vcpu, double memory_gib) {
  kube::Resources resources;
  // Kept for the system: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest.
  int64_t kept = 60 + (vcpu > 1 ? 10 : 0) + 5 * std::clamp(vcpu - 2, 0, 2);
  kept += vcpu > 4 ? (vcpu - 4) * 5 / 2 : 0;
  resources.milli_cpu = std::max<int64_t>(0, vcpu * 1000 - kept);
  int64_t memory = static_cast<int64_t>(memory_gib * 1024) * kMiB;
  resources.memory = std::max<int64_t>(0, memory - (255 + 11 * kMostPods + 100) * kMiB);
  resources.ephemeral_storage = 95'551'679'124;  // of the usual 100 GiB disk
  resources.pods = kMostPods;
  return resources;
}

}  // namespace archway::scheduler
