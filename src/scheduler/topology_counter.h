#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/node_layout.h"

namespace archway::scheduler {

// Counts at few of many positions, sorted by position. What falls to zero is gone.
class SparseCounts {
 public:
  struct Entry {
    uint32_t position = 0;
    int64_t count = 0;
  };
  void add(uint32_t position, int64_t delta);
  int64_t at(uint32_t position) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

// Nodes whose pods count, by group or, where a pod tells nodes of one group apart, by position.
struct NodeMask {
  bool by_position = false;
  std::vector<uint8_t> bits;
  bool has(uint32_t position, uint32_t group) const { return bits[by_position ? position : group] != 0; }
};

// Pods of some sort per domain of a topology, kept up to date as they come and go.
class TopologyCounter {
 public:
  // Without a mask all nodes count. `missing_is_empty`: nodes without the label are with those whose value is "".
  TopologyCounter(const NodeLayout& layout, const NodeLayout::Topology& topology, const NodeMask* mask, bool missing_is_empty);

  void add(uint32_t position, int64_t delta);
  // In the domain of a node; 0 where it has none.
  int64_t at(uint32_t position, uint32_t group) const;
  // The same for a node of the group that is not listed in own().
  int64_t at_group(uint32_t group) const { return topology_->own || topology_->of_group[group] < 0 ? 0 : by_domain_[static_cast<size_t>(topology_->of_group[group])]; }
  const NodeLayout::Topology& topology() const { return *topology_; }
  bool is_for(const NodeLayout::Topology& topology, const NodeMask* mask, bool missing_is_empty) const {
    return topology_ == &topology && mask_ == mask && missing_is_empty_ == missing_is_empty;
  }
  const std::vector<int64_t>& by_domain() const { return by_domain_; }
  const SparseCounts& own() const { return own_; }  // where each node is its own domain
  int64_t total() const { return total_; }

  // Positions asked for in rising order are found without a search.
  void rewind() const { cursor_ = 0; }
  int64_t at_next(uint32_t position, uint32_t group) const {
    if (!topology_->own) return at_group(group);
    const auto& entries = own_.entries();
    while (cursor_ < entries.size() && entries[cursor_].position < position) ++cursor_;
    return cursor_ < entries.size() && entries[cursor_].position == position ? entries[cursor_].count : 0;
  }

 private:
  const NodeLayout* layout_;
  const NodeLayout::Topology* topology_;
  const NodeMask* mask_;
  bool missing_is_empty_;
  std::vector<int64_t> by_domain_;
  SparseCounts own_;
  int64_t total_ = 0;
  mutable size_t cursor_ = 0;
};

}  // namespace archway::scheduler
