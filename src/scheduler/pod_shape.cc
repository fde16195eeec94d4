#include "scheduler/pod_shape.h"

#include <algorithm>
#include <cstring>

#include "scheduler/cycle.h"
#include "scheduler/image_locality.h"
#include "scheduler/node_resources.h"

namespace archway::scheduler {

namespace {

// For the points of all shapes together; those beyond it are worked out again when they are asked for.
constexpr size_t kMaxPointsBytes = 256 << 20;
// Whole numbers up to this are exact as doubles, and so is the floor of their quotient.
constexpr int64_t kMaxExact = int64_t(1) << 53;
// Looking at all nodes in a row is so many times as fast per node as looking at some here and there.
constexpr size_t kChangesWorthAll = 4;

bool usual(const std::vector<ResourceWeight>& resources) {
  return resources.size() == 2 && resources[0].name == "cpu" && resources[1].name == "memory" && resources[0].weight == 1 && resources[1].weight == 1;
}

bool has_room(const kube::Resources& wanted, const NodeState& node) {
  const kube::Resources& all = node.node->allocatable;
  const kube::Resources& used = node.requested;
  auto short_of = [](int64_t want, int64_t have, int64_t taken) { return want > 0 && want > have - taken; };
  if (static_cast<int64_t>(node.pods.size()) + 1 > all.pods || short_of(wanted.milli_cpu, all.milli_cpu, used.milli_cpu) ||
      short_of(wanted.memory, all.memory, used.memory) || short_of(wanted.ephemeral_storage, all.ephemeral_storage, used.ephemeral_storage)) {
    return false;
  }
  return std::none_of(wanted.scalars.begin(), wanted.scalars.end(),
                      [&](const auto& each) { return short_of(each.second, all.scalar(each.first), used.scalar(each.first)); });
}

// Ports that conflict have a bit in common.
uint64_t bits_of(const std::vector<kube::HostPort>& ports) {
  uint64_t bits = 0;
  for (const kube::HostPort& port : ports) bits |= uint64_t(1) << (port.port % 64);
  return bits;
}

// The largest of some points.
int32_t most_of(const int32_t* points, size_t count) {
  typedef int32_t Points __attribute__((vector_size(16)));
  Points best = {PodShape::kNoRoom, PodShape::kNoRoom, PodShape::kNoRoom, PodShape::kNoRoom}, next;
  size_t at = 0;
  for (; at + 4 <= count; at += 4) {
    std::memcpy(&next, points + at, sizeof next);
    best = next > best ? next : best;
  }
  int32_t most = std::max(std::max(best[0], best[1]), std::max(best[2], best[3]));
  for (; at < count; ++at) most = std::max(most, points[at]);
  return most;
}

// How many of them are kNoRoom.
uint32_t count_without_room(const int32_t* points, size_t count) {
  typedef int32_t Points __attribute__((vector_size(16)));
  Points found = {0, 0, 0, 0}, next;
  size_t at = 0;
  for (; at + 4 <= count; at += 4) {
    std::memcpy(&next, points + at, sizeof next);
    found -= next == PodShape::kNoRoom;
  }
  int32_t sum = found[0] + found[1] + found[2] + found[3];
  for (; at < count; ++at) sum += points[at] == PodShape::kNoRoom;
  return static_cast<uint32_t>(sum);
}

// Two numbers at once, in whatever the processor has for that.
typedef double Doubles __attribute__((vector_size(16)));
typedef int64_t Choices __attribute__((vector_size(16)));
typedef int32_t Wholes __attribute__((vector_size(8)));
constexpr uint32_t kLanes = 2;

Doubles load(const std::vector<double>& from, uint32_t at) {
  Doubles both;
  std::memcpy(&both, from.data() + at, sizeof both);
  return both;
}

Doubles both(int64_t value) { return Doubles{static_cast<double>(value), static_cast<double>(value)}; }

// Rounded down, as whole numbers are divided: a double's quotient of such numbers never reaches the next whole one.
Wholes least_allocated(Doubles requested, Doubles capacity) {
  Doubles points = (capacity - requested) * static_cast<double>(kMaxNodeScore) / capacity;
  return __builtin_convertvector(requested > capacity ? Doubles{0, 0} : points, Wholes);
}

// balance() of node_resources.cc for two resources, in the same steps.
Wholes balance(Doubles used_cpu, Doubles cpu, Doubles used_memory, Doubles memory) {
  Doubles first = used_cpu / cpu, second = used_memory / memory, one = {1, 1};
  first = first > one ? one : first;
  second = second > one ? one : second;
  Doubles apart = (first - second) / 2.0;
  apart = apart < Doubles{0, 0} ? -apart : apart;
  return __builtin_convertvector((1.0 - apart) * static_cast<double>(kMaxNodeScore), Wholes);
}

}  // namespace

ShapeBoard::ShapeBoard(const Profile& profile, const Cluster& cluster, const NodeLayout& layout) : profile_(&profile), cluster_(&cluster), layout_(&layout) {
  usual_ = usual(profile.fit_resources) && usual(profile.balanced_resources) && profile.strategy == Profile::Strategy::LeastAllocated &&
           profile.filters_with(Plugin::NodeResourcesFit);
  for (auto* list : {&rooms_.cpu, &rooms_.memory, &rooms_.used_cpu, &rooms_.used_memory, &rooms_.weighed_cpu, &rooms_.weighed_memory, &rooms_.pods_left}) {
    // A whole step beyond the end may be read.
    list->resize(layout.size() + kLanes, 1);
  }
  port_bits_.resize(layout.size(), 0);
  unusual_node_.resize(layout.size(), 0);
  for (uint32_t position = 0; position < layout.size(); ++position) {
    const kube::Resources& all = cluster.nodes()[layout.node_at[position]].node->allocatable;
    auto exact = [](int64_t amount) { return amount > 0 && amount < kMaxExact / kMaxNodeScore; };
    unusual_node_[position] = !exact(all.milli_cpu) || !exact(all.memory);
    if (!unusual_node_[position]) {
      rooms_.cpu[position] = static_cast<double>(all.milli_cpu);
      rooms_.memory[position] = static_cast<double>(all.memory);
    }
    changed(position);
  }
  changes_.clear();
}

// What makes shapes differ. Images that no node has give no points, and tell nothing apart.
std::string ShapeBoard::text_of(const Pod& pod) const {
  const kube::PodRequests& requests = pod.requests;
  std::string text;
  for (int64_t amount : {requests.real.milli_cpu, requests.real.memory, requests.real.ephemeral_storage, requests.score_cpu, requests.score_memory}) {
    text += std::to_string(amount) + ' ';
  }
  for (const auto& [name, amount] : requests.real.scalars) text += name + '=' + std::to_string(amount) + ' ';
  for (const kube::HostPort& port : pod.spec->host_ports()) text += port.ip + '/' + port.protocol + '/' + std::to_string(port.port) + ' ';
  std::string images;
  bool known = false;
  for (const auto* containers : {&pod.spec->init_containers, &pod.spec->containers}) {
    for (const kube::Container& each : *containers) {
      known = known || cluster_->image(image_name_on_node(each.image));
      images += '\n' + each.image;
    }
  }
  return known ? text + images : text;
}

void ShapeBoard::score_images(PodShape& shape) const {
  int64_t weight = profile_->weight(Plugin::ImageLocality);
  if (weight == 0) return;
  for (const auto* containers : {&shape.example->spec->init_containers, &shape.example->spec->containers}) {
    for (const kube::Container& each : *containers) {
      const ImageState* image = cluster_->image(image_name_on_node(each.image));
      for (size_t i = 0; image && i < image->nodes.size(); ++i) {
        uint32_t node = image->nodes[i], position = layout_->position_of[node];
        if (shape.image_points.at(position) == 0) shape.image_points.add(position, weight * image_score(*cluster_, *shape.example, cluster_->nodes()[node]));
      }
    }
  }
}

PodShape& ShapeBoard::shape_of(const Pod& pod) {
  auto [known, is_new] = by_text_.try_emplace(text_of(pod), nullptr);
  if (!is_new) return *known->second;
  shapes_.push_back(std::make_unique<PodShape>());
  PodShape& shape = *shapes_.back();
  known->second = &shape;
  shape.example = &pod;
  shape.ports = pod.spec->host_ports();
  shape.port_bits = bits_of(shape.ports);
  shape.asks_for_more = pod.requests.real.ephemeral_storage > 0 || !pod.requests.real.scalars.empty();
  score_images(shape);
  auto exact = [](int64_t amount) { return amount >= 0 && amount < kMaxExact / kMaxNodeScore; };
  const kube::PodRequests& requests = pod.requests;
  shape.usual = exact(requests.real.milli_cpu) && exact(requests.real.memory) && exact(requests.score_cpu) && exact(requests.score_memory);
  return shape;
}

void ShapeBoard::changed(uint32_t position) {
  const NodeState& node = cluster_->nodes()[layout_->node_at[position]];
  auto set = [&](std::vector<double>& list, int64_t amount) {
    // Only what is asked for beyond reason is that large.
    usual_ = usual_ && amount < kMaxExact / kMaxNodeScore;
    list[position] = static_cast<double>(amount);
  };
  set(rooms_.used_cpu, node.requested.milli_cpu);
  set(rooms_.used_memory, node.requested.memory);
  set(rooms_.weighed_cpu, node.nonzero_cpu);
  set(rooms_.weighed_memory, node.nonzero_memory);
  set(rooms_.pods_left, node.node->allocatable.pods - static_cast<int64_t>(node.pods.size()));
  port_bits_[position] = bits_of(node.ports);
  changes_.push_back(position);
}

int64_t ShapeBoard::resource_points(const PodShape& shape, const NodeState& node) const {
  const Pod& pod = *shape.example;
  int64_t fit_weight = profile_->weight(Plugin::NodeResourcesFit), balance_weight = profile_->weight(Plugin::NodeResourcesBalancedAllocation);
  int64_t points = 0;
  if (fit_weight > 0) points += fit_weight * fit_score(*profile_, pod, node);
  if (balance_weight > 0 && !balances_nothing(*profile_, pod)) points += balance_weight * balanced_score(*profile_, pod, node);
  return points;
}

// The usual case, for the positions from `begin` on; up to a step more than asked for is written.
void ShapeBoard::score_range(const PodShape& shape, uint32_t begin, uint32_t end, int32_t* points) const {
  const kube::PodRequests& pod = shape.example->requests;
  const Doubles cpu = both(pod.real.milli_cpu), memory = both(pod.real.memory), score_cpu = both(pod.score_cpu), score_memory = both(pod.score_memory);
  const Doubles one = {1, 1};
  const bool wants_cpu = pod.real.milli_cpu > 0, wants_memory = pod.real.memory > 0;
  const int32_t fit_weight = static_cast<int32_t>(profile_->weight(Plugin::NodeResourcesFit));
  const bool balances = pod.real.milli_cpu != 0 || pod.real.memory != 0, newer = profile_->version_minor >= 35;
  const int32_t balance_weight = balances ? static_cast<int32_t>(profile_->weight(Plugin::NodeResourcesBalancedAllocation)) : 0;
  for (uint32_t at = begin; at < end; at += kLanes) {
    Doubles all_cpu = load(rooms_.cpu, at), all_memory = load(rooms_.memory, at), used_cpu = load(rooms_.used_cpu, at), used_memory = load(rooms_.used_memory, at);
    Choices full = load(rooms_.pods_left, at) < one;
    if (wants_cpu) full |= cpu > all_cpu - used_cpu;
    if (wants_memory) full |= memory > all_memory - used_memory;
    Wholes sum = fit_weight * ((least_allocated(load(rooms_.weighed_cpu, at) + score_cpu, all_cpu) + least_allocated(load(rooms_.weighed_memory, at) + score_memory, all_memory)) / 2);
    if (balance_weight > 0) {
      Wholes with = balance(used_cpu + cpu, all_cpu, used_memory + memory, all_memory);
      if (newer) with = 50 + (50 + with - balance(used_cpu, all_cpu, used_memory, all_memory)) / 2;
      sum += balance_weight * with;
    }
    for (uint32_t lane = 0; lane < kLanes; ++lane) points[at - begin + lane] = full[lane] ? PodShape::kNoRoom : sum[lane];
  }
}

// What the quick formulas leave out: other resources, host ports, images.
int32_t ShapeBoard::adjusted(const PodShape& shape, uint32_t position, int32_t points) const {
  if (points == PodShape::kNoRoom) return points;
  const NodeState& node = cluster_->nodes()[layout_->node_at[position]];
  if (shape.asks_for_more && profile_->filters_with(Plugin::NodeResourcesFit) && !has_room(shape.example->requests.real, node)) return PodShape::kNoRoom;
  if ((shape.port_bits & port_bits_[position]) != 0 && profile_->filters_with(Plugin::NodePorts) && ports_conflict(shape.ports, node.ports)) return PodShape::kNoRoom;
  return points + (shape.image_points.entries().empty() ? 0 : static_cast<int32_t>(shape.image_points.at(position)));
}

int32_t ShapeBoard::points_now(const PodShape& shape, uint32_t position) const {
  if (!usual_ || !shape.usual || unusual_node_[position]) return points(shape, position);
  int32_t both[kLanes];
  score_range(shape, position, position + 1, both);
  return adjusted(shape, position, both[0]);
}

// Without any quick formula.
int32_t ShapeBoard::points(const PodShape& shape, uint32_t position) const {
  const NodeState& node = cluster_->nodes()[layout_->node_at[position]];
  if (profile_->filters_with(Plugin::NodeResourcesFit) && !has_room(shape.example->requests.real, node)) return PodShape::kNoRoom;
  return adjusted(shape, position, static_cast<int32_t>(resource_points(shape, node)));
}

void ShapeBoard::make_place() {
  size_t bytes_each = layout_->size() * sizeof(int32_t) + layout_->groups.size() * sizeof(PodShape::Best) + 1;
  if (remembered_.size() < std::max<size_t>(kMaxPointsBytes / bytes_each, 2)) {
    remembered_.push_back(nullptr);
    next_to_forget_ = remembered_.size() - 1;
    return;
  }
  next_to_forget_ = (next_to_forget_ + 1) % remembered_.size();
  PodShape& old = *remembered_[next_to_forget_];
  old.points = {};
  old.groups = {};
}

void ShapeBoard::look_at_all(PodShape& shape) {
  if (shape.points.empty()) {
    make_place();
    remembered_[next_to_forget_] = &shape;
    shape.points.resize(layout_->size() + kLanes);
    shape.groups.resize(layout_->groups.size());
  }
  uint32_t nodes = static_cast<uint32_t>(layout_->size());
  bool quick = usual_ && shape.usual, adjusts = shape.asks_for_more || !shape.ports.empty() || !shape.image_points.entries().empty();
  if (quick) score_range(shape, 0, nodes, shape.points.data());
  for (uint32_t position = 0; position < nodes; ++position) {
    if (!quick || unusual_node_[position]) {
      shape.points[position] = points(shape, position);
    } else if (adjusts) {
      shape.points[position] = adjusted(shape, position, shape.points[position]);
    }
  }
  for (uint32_t group = 0; group < layout_->groups.size(); ++group) {
    const int32_t* points = shape.points.data() + layout_->groups[group].begin;
    uint32_t count = layout_->groups[group].end - layout_->groups[group].begin;
    shape.groups[group] = {most_of(points, count), 0, count - count_without_room(points, count), PodShape::Best::State::PositionUnknown};
  }
  shape.seen = changes_.size();
}

void ShapeBoard::catch_up(PodShape& shape) {
  using State = PodShape::Best::State;
  // After many changes, and the first time, it is cheaper to look at every node once.
  if (shape.points.empty() || changes_.size() - shape.seen > layout_->size() / kChangesWorthAll) return look_at_all(shape);
  for (; shape.seen < changes_.size(); ++shape.seen) {
    uint32_t position = changes_[shape.seen];
    int32_t now = points_now(shape, position), before = std::exchange(shape.points[position], now);
    if (now == before) continue;
    PodShape::Best& best = shape.groups[layout_->group_of[position]];
    if (before == PodShape::kNoRoom) ++best.with_room;
    if (now == PodShape::kNoRoom) --best.with_room;
    if (best.state == State::Unknown) continue;
    bool may_be_best = best.state == State::Known ? position == best.position : before == best.points;
    if (now > best.points || (now == best.points && best.state == State::Known && position < best.position)) {
      best.points = now;
      best.position = position;
      best.state = State::Known;
    } else if (may_be_best) {
      best.state = State::Unknown;
    }
  }
}

int32_t ShapeBoard::most_points(PodShape& shape, uint32_t group) const {
  PodShape::Best& best = shape.groups[group];
  if (best.state != PodShape::Best::State::Unknown) return best.points;
  best.points = most_of(shape.points.data() + layout_->groups[group].begin, layout_->groups[group].end - layout_->groups[group].begin);
  best.state = PodShape::Best::State::PositionUnknown;
  return best.points;
}

uint32_t ShapeBoard::first_best(PodShape& shape, uint32_t group) const {
  PodShape::Best& best = shape.groups[group];
  int32_t most = most_points(shape, group);
  if (best.state == PodShape::Best::State::Known) return best.position;
  best.position = layout_->groups[group].begin;
  while (shape.points[best.position] != most) ++best.position;
  best.state = PodShape::Best::State::Known;
  return best.position;
}

}  // namespace archway::scheduler
