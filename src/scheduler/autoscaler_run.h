#pragma once

#include <map>
#include <string>
#include <vector>

#include "format/json.h"
#include "scheduler/autoscaler.h"
#include "scheduler/karpenter.h"
#include "scheduler/run_verdict.h"

// Scheduler and autoscaler in turn, until nothing waits or nothing grows.
namespace archway::scheduler {

inline constexpr int kMaxScaleUpRounds = 200;

struct ScaleUpRound {
  ScaleUp decision;
  std::vector<std::string> pods;        // for which it grows
  std::vector<std::string> new_nodes;
  std::vector<std::pair<std::string, std::string>> placed;  // pod, node: where the scheduler then put them
  size_t missed = 0;                    // of `pods`, that still wait
};

struct GroupSize {
  std::string name, architecture, type;
  int64_t min = 0, max = 0, before = 0, after = 0;
  std::optional<int64_t> price;         // billionths of a dollar per hour and node
};

struct AutoscalerRun {
  bool karpenter = false;
  size_t pending_before = 0;
  std::vector<std::pair<std::string, std::string>> placed_at_once;  // pod, node: no scaling needed
  std::vector<ScaleUpRound> rounds;
  KarpenterResult provisioned;
  std::vector<std::pair<std::string, std::string>> claims_pods;
  std::vector<GroupSize> groups;
  std::vector<std::pair<std::string, std::string>> pending;  // pod, why
  struct Crash {
    std::string pod, node;
    PodVerdict verdict;
  };
  std::vector<Crash> crashes;
  std::vector<ScaleDown> scale_down;
  std::vector<std::string> notes;
};

// Grows the world. `facts`: what only scaling down asks of pods.
AutoscalerRun run_autoscaler(World& world, Autoscaler& autoscaler, const ImageKnowledge& images, const std::map<std::string, PodFacts>& facts);
AutoscalerRun run_karpenter(World& world, const std::vector<NodePool>& pools, const std::vector<InstanceOffer>& offers, const ImageKnowledge& images);

Json autoscaler_json(const AutoscalerRun& run);
std::string autoscaler_text(const AutoscalerRun& run);

}  // namespace archway::scheduler
