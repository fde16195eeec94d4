#include "scheduler/pod_shape.h"

#include <algorithm>
#include <cmath>

#include "scheduler/cycle.h"
#include "scheduler/image_locality.h"
#include "scheduler/node_resources.h"

namespace archway::scheduler {

namespace {

// For the points of all shapes together; those beyond it are worked out again when they are asked for.
constexpr size_t kMaxPointsBytes = 256 << 20;
// Whole numbers up to this are exact as doubles, and so is the floor of their quotient.
constexpr int64_t kMaxExact = int64_t(1) << 53;

bool usual(const std::vector<ResourceWeight>& resources) {
  return resources.size() == 2 && resources[0].name == "cpu" && resources[1].name == "memory" && resources[0].weight == 1 && resources[1].weight == 1;
}

bool has_room(const kube::Resources& wanted, const NodeState& node) {
  const kube::Resources& all = node.node->allocatable;
  const kube::Resources& used = node.requested;
  auto short_of = [](int64_t want, int64_t have, int64_t taken) { return want > 0 && want > have - taken; };
  if (short_of(wanted.ephemeral_storage, all.ephemeral_storage, used.ephemeral_storage)) return false;
  return std::none_of(wanted.scalars.begin(), wanted.scalars.end(),
                      [&](const auto& each) { return short_of(each.second, all.scalar(each.first), used.scalar(each.first)); });
}

// Rounded down, as whole numbers are divided: a double's quotient of such numbers never reaches the next whole one.
int64_t least_allocated(int64_t requested, int64_t capacity) {
  return requested > capacity ? 0 : static_cast<int64_t>(static_cast<double>((capacity - requested) * kMaxNodeScore) / static_cast<double>(capacity));
}

// balance() of node_resources.cc for two resources, in the same steps.
int64_t balance(int64_t used_cpu, int64_t cpu, int64_t used_memory, int64_t memory) {
  double first = static_cast<double>(used_cpu) / static_cast<double>(cpu), second = static_cast<double>(used_memory) / static_cast<double>(memory);
  if (first > 1) first = 1;
  if (second > 1) second = 1;
  return static_cast<int64_t>((1 - std::fabs((first - second) / 2)) * static_cast<double>(kMaxNodeScore));
}

}  // namespace

ShapeBoard::ShapeBoard(const Profile& profile, const Cluster& cluster, const NodeLayout& layout) : profile_(&profile), cluster_(&cluster), layout_(&layout) {
  usual_profile_ = usual(profile.fit_resources) && usual(profile.balanced_resources) && profile.strategy == Profile::Strategy::LeastAllocated;
  rooms_.resize(layout.size());
  for (uint32_t position = 0; position < layout.size(); ++position) {
    const Node& node = *cluster.nodes()[layout.node_at[position]].node;
    Room& room = rooms_[position];
    room.cpu = node.allocatable.milli_cpu;
    room.memory = node.allocatable.memory;
    room.usual = room.cpu > 0 && room.memory > 0 && room.cpu < kMaxExact / kMaxNodeScore && room.memory < kMaxExact / kMaxNodeScore;
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
  shape.asks_for_more = pod.requests.real.ephemeral_storage > 0 || !pod.requests.real.scalars.empty();
  score_images(shape);
  return shape;
}

void ShapeBoard::changed(uint32_t position) {
  const NodeState& node = cluster_->nodes()[layout_->node_at[position]];
  Room& room = rooms_[position];
  room.used_cpu = node.requested.milli_cpu;
  room.used_memory = node.requested.memory;
  room.weighed_cpu = node.nonzero_cpu;
  room.weighed_memory = node.nonzero_memory;
  room.pods_left = node.node->allocatable.pods - static_cast<int64_t>(node.pods.size());
  changes_.push_back(position);
}

int64_t ShapeBoard::resource_points(const PodShape& shape, const Room& room, const NodeState& node) const {
  const Pod& pod = *shape.example;
  const kube::PodRequests& wanted = pod.requests;
  int64_t fit_weight = profile_->weight(Plugin::NodeResourcesFit), balance_weight = profile_->weight(Plugin::NodeResourcesBalancedAllocation);
  int64_t points = 0;
  if (!usual_profile_ || !room.usual) {
    if (fit_weight > 0) points += fit_weight * fit_score(*profile_, pod, node);
    if (balance_weight > 0 && !balances_nothing(*profile_, pod)) points += balance_weight * balanced_score(*profile_, pod, node);
    return points;
  }
  points = fit_weight * ((least_allocated(room.weighed_cpu + wanted.score_cpu, room.cpu) + least_allocated(room.weighed_memory + wanted.score_memory, room.memory)) / 2);
  if (balance_weight == 0 || (wanted.real.milli_cpu == 0 && wanted.real.memory == 0)) return points;
  int64_t with = balance(room.used_cpu + wanted.real.milli_cpu, room.cpu, room.used_memory + wanted.real.memory, room.memory);
  if (profile_->version_minor >= 35) with = 50 + (50 + with - balance(room.used_cpu, room.cpu, room.used_memory, room.memory)) / 2;
  return points + balance_weight * with;
}

int32_t ShapeBoard::points(const PodShape& shape, uint32_t position) const {
  const Room& room = rooms_[position];
  const kube::Resources& wanted = shape.example->requests.real;
  const NodeState& node = cluster_->nodes()[layout_->node_at[position]];
  if (profile_->filters_with(Plugin::NodeResourcesFit)) {
    if (room.pods_left < 1 || (wanted.milli_cpu > 0 && wanted.milli_cpu > room.cpu - room.used_cpu) ||
        (wanted.memory > 0 && wanted.memory > room.memory - room.used_memory) || (shape.asks_for_more && !has_room(wanted, node))) {
      return PodShape::kNoRoom;
    }
  }
  bool ports = !shape.ports.empty() && profile_->filters_with(Plugin::NodePorts);
  if (ports && !node.ports.empty() && ports_conflict(shape.ports, node.ports)) return PodShape::kNoRoom;
  int64_t points = resource_points(shape, room, node);
  if (!shape.image_points.entries().empty()) points += shape.image_points.at(position);
  return static_cast<int32_t>(points);
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
    shape.points.resize(layout_->size());
    shape.groups.resize(layout_->groups.size());
  }
  for (uint32_t group = 0; group < layout_->groups.size(); ++group) {
    PodShape::Best best;
    for (uint32_t position = layout_->groups[group].begin; position < layout_->groups[group].end; ++position) {
      int32_t now = shape.points[position] = points(shape, position);
      if (now == PodShape::kNoRoom) continue;
      ++best.with_room;
      if (now > best.points) best = {now, position, best.with_room, false};
    }
    shape.groups[group] = best;
  }
  shape.seen = changes_.size();
}

void ShapeBoard::catch_up(PodShape& shape) {
  // After many changes, and the first time, it is cheaper to look at every node once.
  if (shape.points.empty() || changes_.size() - shape.seen > layout_->size()) return look_at_all(shape);
  for (; shape.seen < changes_.size(); ++shape.seen) {
    uint32_t position = changes_[shape.seen];
    int32_t now = points(shape, position), before = std::exchange(shape.points[position], now);
    if (now == before) continue;
    PodShape::Best& best = shape.groups[layout_->group_of[position]];
    if (before == PodShape::kNoRoom) ++best.with_room;
    if (now == PodShape::kNoRoom) --best.with_room;
    if (best.stale) continue;
    if (now > best.points || (now == best.points && now != PodShape::kNoRoom && position < best.position)) {
      best.points = now;
      best.position = position;
    } else if (position == best.position) {
      best.stale = true;
    }
  }
}

const PodShape::Best& ShapeBoard::best(PodShape& shape, uint32_t group) const {
  PodShape::Best& best = shape.groups[group];
  if (!best.stale) return best;
  best.stale = false;
  best.points = PodShape::kNoRoom;
  for (uint32_t position = layout_->groups[group].begin; position < layout_->groups[group].end; ++position) {
    if (shape.points[position] <= best.points) continue;
    best.points = shape.points[position];
    best.position = position;
  }
  return best;
}

}  // namespace archway::scheduler
