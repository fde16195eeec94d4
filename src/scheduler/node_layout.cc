#include "scheduler/node_layout.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

namespace archway::scheduler {

void NodeLayout::find_own_keys() {
  struct Key {
    std::unordered_set<std::string_view> values;
    bool own = true;
  };
  std::unordered_map<std::string_view, Key> keys;
  for (const NodeState& node : *nodes_) {
    for (const auto& [key, value] : node.node->meta.labels) {
      Key& known = keys[key];
      // An empty value is a domain that nodes without the label may share.
      if (known.own) known.own = !value.empty() && known.values.insert(value).second;
    }
  }
  for (const auto& [key, known] : keys) {
    if (known.own) own_keys_.emplace(key);
  }
}

// What two nodes of a group have in common.
std::string NodeLayout::description(const Node& node) const {
  std::string text = node.unschedulable ? "!" : "";
  for (const auto& [key, value] : node.meta.labels) text += own_keys_.contains(key) ? key + "\n" : key + "=" + value + "\n";
  for (const kube::Taint& taint : node.taints) text += taint.str() + "\n";
  return text;
}

NodeLayout::NodeLayout(const std::vector<NodeState>& nodes) : nodes_(&nodes) {
  find_own_keys();
  uint32_t count = static_cast<uint32_t>(nodes.size());
  std::vector<uint32_t> by_name(count), rank_of(count), description_of(count);
  std::iota(by_name.begin(), by_name.end(), 0);
  std::sort(by_name.begin(), by_name.end(), [&](uint32_t a, uint32_t b) { return nodes[a].node->name() < nodes[b].node->name(); });
  for (uint32_t i = 0; i < count; ++i) rank_of[by_name[i]] = i;
  std::unordered_map<std::string, uint32_t> descriptions;
  for (uint32_t i : by_name) description_of[i] = descriptions.try_emplace(description(*nodes[i].node), static_cast<uint32_t>(descriptions.size())).first->second;
  node_at = by_name;
  std::stable_sort(node_at.begin(), node_at.end(), [&](uint32_t a, uint32_t b) { return description_of[a] < description_of[b]; });
  position_of.resize(count);
  rank.resize(count);
  group_of.resize(count);
  for (uint32_t position = 0; position < count; ++position) {
    uint32_t node = node_at[position];
    if (position == 0 || description_of[node] != description_of[node_at[position - 1]]) groups.push_back({position, position});
    groups.back().end = position + 1;
    position_of[node] = position;
    rank[position] = rank_of[node];
    group_of[position] = static_cast<uint32_t>(groups.size() - 1);
  }
}

const NodeLayout::Topology& NodeLayout::topology(const std::string& key) {
  std::unique_ptr<Topology>& known = topologies_[key];
  if (known) return *known;
  known = std::make_unique<Topology>();
  known->own = own_keys_.contains(key);
  std::unordered_map<std::string_view, int32_t> ids;
  for (uint32_t group = 0; group < groups.size(); ++group) {
    const std::string* value = example(group).meta.labels.find(key);
    int32_t id = -1;
    if (value) id = known->own ? 0 : ids.try_emplace(*value, static_cast<int32_t>(ids.size())).first->second;
    if (value && value->empty()) known->empty = id;
    known->of_group.push_back(id);
  }
  known->domains = ids.size();
  return *known;
}

const NodeLayout::Topology& NodeLayout::each_node() {
  if (each_node_) return *each_node_;
  each_node_ = std::make_unique<Topology>();
  each_node_->own = true;
  for (uint32_t group = 0; group < groups.size(); ++group) each_node_->of_group.push_back(example(group).meta.labels.find(kHostnameLabel) ? 0 : -1);
  return *each_node_;
}

}  // namespace archway::scheduler
