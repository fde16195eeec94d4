#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/cycle.h"

// DefaultPreemption: which pods would have to go so that a more important one fits.
namespace archway::scheduler {

struct PreemptionCandidate {
  uint32_t node = 0;
  std::vector<const Pod*> victims;  // the most important first
  int64_t budget_violations = 0;
};

struct Preemption {
  bool eligible = false;
  std::string why_not;                           // where not eligible
  std::vector<PreemptionCandidate> candidates;   // every node where it would help, by node name
  std::vector<uint32_t> selected;                // where the rules tie, more than one; by node name
};

// For a pod that fits nowhere: `decision` says why, per node. Every node is tried, where kube-scheduler stops after
// 100 candidates or a tenth of the nodes, beginning at random.
Preemption preempt(const Cycle& cycle, const Decision& decision);

}  // namespace archway::scheduler
