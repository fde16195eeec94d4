#include "scheduler/node_sample.h"

#include <algorithm>
#include <unordered_map>

namespace archway::scheduler {

namespace {

constexpr const char* kRegionLabel = "topology.kubernetes.io/region";

// The first node of every zone, then the second of every zone, and so on; zones in the order in which they turn up.
std::vector<uint32_t> order_of(const std::vector<NodeState>& nodes) {
  std::unordered_map<std::string, size_t> ids;
  std::vector<std::vector<uint32_t>> zones;
  for (const NodeState& state : nodes) {
    std::string zone = state.node->label(kRegionLabel) + '\n' + state.node->label(kZoneLabel);
    auto [id, is_new] = ids.try_emplace(std::move(zone), zones.size());
    if (is_new) zones.emplace_back();
    zones[id->second].push_back(state.index);
  }
  std::vector<uint32_t> order;
  for (size_t turn = 0; order.size() < nodes.size(); ++turn) {
    for (const auto& zone : zones) {
      if (turn < zone.size()) order.push_back(zone[turn]);
    }
  }
  return order;
}

}  // namespace

NodeSample::NodeSample(const Profile& profile, const Cluster& cluster) {
  size_t nodes = cluster.nodes().size(), percentage = static_cast<size_t>(profile.percentage_of_nodes_to_score);
  wanted_ = nodes < kLeastNodesToFind || percentage >= 100 ? nodes : std::max(kLeastNodesToFind, nodes * percentage / 100);
  order_ = order_of(cluster.nodes());
}

}  // namespace archway::scheduler
