#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kube/pod.h"

namespace archway::scheduler {

// The plugins of kube-scheduler's default profile, in the order in which filters run; the last two only score.
enum class Plugin : uint8_t {
  SchedulingGates,
  NodeUnschedulable,
  NodeName,
  TaintToleration,
  NodeAffinity,
  NodePorts,
  NodeResourcesFit,
  VolumeRestrictions,
  NodeVolumeLimits,
  VolumeBinding,
  VolumeZone,
  PodTopologySpread,
  InterPodAffinity,
  DefaultPreemption,
  NodeResourcesBalancedAllocation,
  ImageLocality,
};
inline constexpr size_t kPluginCount = 16;
std::string_view plugin_name(Plugin plugin);

inline constexpr int64_t kMaxNodeScore = 100;

// Weight of a resource in a scoring strategy.
struct ResourceWeight {
  std::string name;
  int64_t weight = 1;
};

// One profile of a KubeSchedulerConfiguration. The default is the default profile of kube-scheduler 1.34.
struct Profile {
  std::string scheduler_name = "default-scheduler";
  int version_minor = 34;  // of kube-scheduler 1.x: rules differ
  std::array<bool, kPluginCount> filters;
  std::array<int64_t, kPluginCount> weights;  // 0: does not score
  bool preempts = true;
  // NodeResourcesFit
  enum class Strategy { LeastAllocated, MostAllocated } strategy = Strategy::LeastAllocated;
  std::vector<ResourceWeight> fit_resources = {{"cpu", 1}, {"memory", 1}};
  std::vector<ResourceWeight> balanced_resources = {{"cpu", 1}, {"memory", 1}};
  // InterPodAffinity
  int64_t hard_pod_affinity_weight = 1;
  bool ignore_preferred_terms_of_existing_pods = false;
  // PodTopologySpread: constraints for pods that have none; the selector comes from what owns the pod.
  bool system_default_spread = true;
  std::vector<kube::SpreadConstraint> default_spread;
  // Percent of the nodes that are scored once so many are feasible; 100 scores all.
  int percentage_of_nodes_to_score = 100;

  Profile();
  bool filters_with(Plugin plugin) const { return filters[static_cast<size_t>(plugin)]; }
  int64_t weight(Plugin plugin) const { return weights[static_cast<size_t>(plugin)]; }
};

// Plugins that score, by name: the order in which scores are listed.
inline constexpr std::array<Plugin, 8> kScorers = {
    Plugin::ImageLocality,     Plugin::InterPodAffinity,  Plugin::NodeAffinity, Plugin::NodeResourcesBalancedAllocation,
    Plugin::NodeResourcesFit,  Plugin::PodTopologySpread, Plugin::TaintToleration, Plugin::VolumeBinding};

}  // namespace archway::scheduler
