#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "scheduler/cluster.h"

namespace archway::scheduler {

// The nodes of a cluster in an order in which all that have the same labels and taints stand together: what holds for
// one of a group by those holds for all. Labels that no two nodes share (host names) are left out of the comparison.
// Within a group nodes are sorted by name. Does not change while pods come and go.
class NodeLayout {
 public:
  struct Group {
    uint32_t begin = 0, end = 0;  // positions
  };
  // The nodes by the value of one label. `own`: no two nodes share a value, so each is its own domain; otherwise the
  // groups tell the domains.
  struct Topology {
    bool own = false;
    std::vector<int32_t> of_group;  // the domain, or -1 where the label is missing; where `own`, 0 or -1
    size_t domains = 0;
    int32_t empty = -1;             // the domain whose value is ""
    int32_t of(uint32_t position, uint32_t group) const { return of_group[group] < 0 ? -1 : own ? static_cast<int32_t>(position) : of_group[group]; }
  };

  explicit NodeLayout(const std::vector<NodeState>& nodes);

  size_t size() const { return node_at.size(); }
  // By node_at[position]: the node's index; the other way round; its place by name; its group.
  std::vector<uint32_t> node_at, position_of, rank, group_of;
  std::vector<Group> groups;

  const Node& example(uint32_t group) const { return *(*nodes_)[node_at[groups[group].begin]].node; }
  bool is_own(const std::string& key) const { return own_keys_.contains(key); }
  const Topology& topology(const std::string& key);
  // Each node with a host name by itself, whatever the name is.
  const Topology& each_node();

 private:
  void find_own_keys();
  std::string description(const Node& node) const;

  const std::vector<NodeState>* nodes_;
  std::set<std::string> own_keys_;
  std::map<std::string, std::unique_ptr<Topology>> topologies_;
  std::unique_ptr<Topology> each_node_;
};

}  // namespace archway::scheduler
