#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/cluster.h"
#include "scheduler/profile.h"

namespace archway::scheduler {

// Which nodes kube-scheduler scores where percentageOfNodesToScore is below 100 and the cluster is large: it looks at
// nodes zone by turns, from where the last pod's search ended, until enough have been found. What many goroutines do
// there in an order of their own happens here one after the other.
// (pkg/scheduler/schedule_one.go, numFeasibleNodesToFind and findNodesThatPassFilters; backend/cache/node_tree.go)
class NodeSample {
 public:
  NodeSample(const Profile& profile, const Cluster& cluster);

  // Whether some nodes may go unscored. Otherwise there is nothing to ask here.
  bool active() const { return wanted_ < order_.size(); }
  // Calls `feasible` for one node after the other, and hands those that are to `found`, up to as many as are wanted.
  // Remembers where the next search begins.
  template <class Feasible, class Found>
  void search(const Feasible& feasible, const Found& found) {
    size_t count = 0, looked_at = 0;
    for (; looked_at < order_.size(); ++looked_at) {
      uint32_t node = order_[(start_ + looked_at) % order_.size()];
      if (!feasible(node)) continue;
      // One more than wanted ends the search, and is where the next begins.
      if (count == wanted_) break;
      ++count;
      found(node);
    }
    start_ = (start_ + looked_at) % order_.size();
  }
  // A search among a few nodes that the pod names, with success.
  void searched(size_t nodes) { start_ = (start_ + nodes) % order_.size(); }

 private:
  std::vector<uint32_t> order_;
  size_t wanted_ = 0, start_ = 0;
};

inline constexpr size_t kLeastNodesToFind = 100;

}  // namespace archway::scheduler
