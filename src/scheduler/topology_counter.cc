#include "scheduler/topology_counter.h"

#include <algorithm>

namespace archway::scheduler {

namespace {

auto find_position(auto& entries, uint32_t position) {
  return std::lower_bound(entries.begin(), entries.end(), position, [](const SparseCounts::Entry& entry, uint32_t wanted) { return entry.position < wanted; });
}

}  // namespace

void SparseCounts::add(uint32_t position, int64_t delta) {
  auto at = find_position(entries_, position);
  if (at == entries_.end() || at->position != position) {
    if (delta != 0) entries_.insert(at, {position, delta});
    return;
  }
  at->count += delta;
  if (at->count == 0) entries_.erase(at);
}

int64_t SparseCounts::at(uint32_t position) const {
  auto at = find_position(entries_, position);
  return at != entries_.end() && at->position == position ? at->count : 0;
}

TopologyCounter::TopologyCounter(const NodeLayout& layout, const NodeLayout::Topology& topology, const NodeMask* mask, bool missing_is_empty)
    : layout_(&layout), topology_(&topology), mask_(mask), missing_is_empty_(missing_is_empty), by_domain_(topology.domains, 0) {}

void TopologyCounter::add(uint32_t position, int64_t delta) {
  uint32_t group = layout_->group_of[position];
  if (mask_ && !mask_->has(position, group)) return;
  int32_t domain = topology_->of(position, group);
  if (domain < 0 && missing_is_empty_) domain = topology_->empty;
  if (domain < 0) return;
  total_ += delta;
  if (topology_->own) {
    own_.add(position, delta);
  } else {
    by_domain_[static_cast<size_t>(domain)] += delta;
  }
}

int64_t TopologyCounter::at(uint32_t position, uint32_t group) const { return topology_->own ? own_.at(position) : at_group(group); }

}  // namespace archway::scheduler
