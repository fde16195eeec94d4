#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/node_layout.h"
#include "scheduler/profile.h"
#include "scheduler/topology_counter.h"

namespace archway::scheduler {

// What pods that ask for the same resources, ports and images are worth to each node: points for resources and images,
// or kNoRoom. The part of a node's score that changes with every pod that comes or goes.
struct PodShape {
  static constexpr int32_t kNoRoom = -1;
  // The best of a group. What is not Known is found when it is asked for.
  struct Best {
    enum class State : uint8_t { Known, PositionUnknown, Unknown };
    int32_t points = kNoRoom;
    uint32_t position = 0;  // the first with so many
    uint32_t with_room = 0;
    State state = State::Known;
  };
  const Pod* example = nullptr;
  bool asks_for_more = false;  // than cpu and memory
  bool usual = false;          // amounts that the quick formulas can do
  std::vector<kube::HostPort> ports;
  uint64_t port_bits = 0;
  SparseCounts image_points;      // where any of its images is, weighted
  size_t seen = 0;                // of the board's changes
  std::vector<int32_t> points;    // by position; empty: forgotten
  std::vector<Best> groups;
};

// All shapes, and what every node has left.
class ShapeBoard {
 public:
  ShapeBoard(const Profile& profile, const Cluster& cluster, const NodeLayout& layout);

  PodShape& shape_of(const Pod& pod);
  // To be told after every change of a node.
  void changed(uint32_t position);
  // Brings a shape up to date.
  void catch_up(PodShape& shape);
  // The most points that a node of the group has, and the first node that has so many.
  int32_t most_points(PodShape& shape, uint32_t group) const;
  uint32_t first_best(PodShape& shape, uint32_t group) const;

 private:
  // What nodes have and what is used, by position. Doubles, so that points are worked out two at a time; exact, as the
  // quick formulas are used only where every number is below 2^53.
  struct Rooms {
    std::vector<double> cpu, memory, used_cpu, used_memory, weighed_cpu, weighed_memory, pods_left;
  };
  void score_range(const PodShape& shape, uint32_t begin, uint32_t end, int32_t* points) const;
  std::string text_of(const Pod& pod) const;
  void score_images(PodShape& shape) const;
  int32_t points(const PodShape& shape, uint32_t position) const;
  int64_t resource_points(const PodShape& shape, const NodeState& node) const;
  int32_t points_now(const PodShape& shape, uint32_t position) const;
  int32_t adjusted(const PodShape& shape, uint32_t position, int32_t points) const;
  void look_at_all(PodShape& shape);
  void make_place();

  const Profile* profile_;
  const Cluster* cluster_;
  const NodeLayout* layout_;
  bool usual_ = false;  // profile and nodes are as the quick formulas want them
  Rooms rooms_;
  std::vector<uint64_t> port_bits_;      // by position: host ports in use, one bit for each sixty-fourth number
  std::vector<uint8_t> unusual_node_;    // by position: sizes that the quick formulas cannot do
  std::vector<uint32_t> changes_;
  std::vector<std::unique_ptr<PodShape>> shapes_;
  std::unordered_map<std::string, PodShape*> by_text_;
  std::vector<PodShape*> remembered_;
  size_t next_to_forget_ = 0;
};

}  // namespace archway::scheduler
