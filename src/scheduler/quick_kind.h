#pragma once

#include <optional>
#include <vector>

#include "scheduler/quick_engine.h"

// What the quick engine keeps of pods of one kind; for its own files.
namespace archway::scheduler {

// What node affinity, tolerations and cordons say about each group of nodes, or about each position where they tell
// nodes of one group apart. Shared by the pods that agree in these.
struct QuickEngine::Rules {
  const kube::PodSpec* spec = nullptr;
  bool by_position = false;
  std::vector<uint8_t> allowed, affinity_holds, tolerated;
  std::vector<int32_t> taints, prefers;
  size_t slot(uint32_t position, uint32_t group) const { return by_position ? position : group; }
};

struct QuickEngine::Spread {
  int64_t max_skew = 1, min_domains = 1;
  bool by_node = false;                      // over host names, and only scoring: counted per node
  bool self = false;                         // the pod is one of those that are counted
  const NodeLayout::Topology* topology = nullptr;
  const TopologyCounter* counter = nullptr;  // null: an empty selector counts none
  std::vector<uint8_t> counted;              // domains with a node that counts
  int64_t domains = 0;                       // how many of them
};

struct QuickEngine::Kind {
  struct Emitted {
    TopologyCounter* counter;
    int64_t weight;
  };
  struct Wish {
    const TopologyCounter* counter;
    int64_t weight;
  };
  struct Term {
    const NodeLayout::Topology* topology;
    const TopologyCounter* counter;
  };
  const Pod* example = nullptr;
  LabelSet* set = nullptr;
  bool knows_emitted = false;
  std::vector<Emitted> emitted;  // its own terms, where others look for them
  // From here on known once prepared.
  bool prepared = false, plain = false, has_volumes = false, every_node = false;
  std::optional<std::vector<uint32_t>> pinned;  // positions that it names
  PodShape* shape = nullptr;
  const Rules* rules = nullptr;
  std::vector<Spread> required, preferred;
  std::vector<uint8_t> ignored;  // groups whose nodes the preferred constraints leave out
  std::vector<Term> affinity, anti_affinity;
  std::vector<Wish> wishes;
  bool meets_own_terms = false;
};

// One special node, or the ordinary ones of a group, that will take the pod.
struct QuickEngine::Cell {
  uint32_t position, group;
  bool special, ignored;
  uint32_t nodes;
  int64_t spread = 0, together = 0;
  int64_t total = 0;  // all points but the shape's
};

}  // namespace archway::scheduler
