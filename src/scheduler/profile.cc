#include "scheduler/profile.h"

namespace archway::scheduler {

namespace {

constexpr std::string_view kNames[kPluginCount] = {
    "SchedulingGates",  "NodeUnschedulable", "NodeName",      "TaintToleration",   "NodeAffinity",     "NodePorts",
    "NodeResourcesFit", "VolumeRestrictions", "NodeVolumeLimits", "VolumeBinding", "VolumeZone",        "PodTopologySpread",
    "InterPodAffinity", "DefaultPreemption", "NodeResourcesBalancedAllocation", "ImageLocality"};

kube::SpreadConstraint anyway(std::string_view key, int64_t max_skew) {
  kube::SpreadConstraint constraint;
  constraint.topology_key = key;
  constraint.max_skew = max_skew;
  constraint.required = false;
  return constraint;
}

}  // namespace

std::string_view plugin_name(Plugin plugin) { return kNames[static_cast<size_t>(plugin)]; }

Profile::Profile() {
  filters.fill(true);
  weights.fill(0);
  auto weigh = [&](Plugin plugin, int64_t weight) { weights[static_cast<size_t>(plugin)] = weight; };
  weigh(Plugin::TaintToleration, 3);
  weigh(Plugin::NodeAffinity, 2);
  weigh(Plugin::PodTopologySpread, 2);
  weigh(Plugin::InterPodAffinity, 2);
  weigh(Plugin::NodeResourcesFit, 1);
  weigh(Plugin::NodeResourcesBalancedAllocation, 1);
  weigh(Plugin::ImageLocality, 1);
  default_spread = {anyway("kubernetes.io/hostname", 3), anyway("topology.kubernetes.io/zone", 5)};
}

}  // namespace archway::scheduler
