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
  struct Best {
    int32_t points = kNoRoom;
    uint32_t position = 0;  // the first with so many
    uint32_t with_room = 0;
    bool stale = false;     // points and position are to be found anew
  };
  const Pod* example = nullptr;
  bool asks_for_more = false;  // than cpu and memory
  std::vector<kube::HostPort> ports;
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
  // The first of the best of a group. Looks through it only where needed.
  const PodShape::Best& best(PodShape& shape, uint32_t group) const;

 private:
  struct Room {
    int64_t cpu = 0, memory = 0, used_cpu = 0, used_memory = 0, weighed_cpu = 0, weighed_memory = 0;
    int64_t pods_left = 0;
    bool usual = false;  // both resources there, and small enough for exact doubles
  };
  std::string text_of(const Pod& pod) const;
  void score_images(PodShape& shape) const;
  int32_t points(const PodShape& shape, uint32_t position) const;
  int64_t resource_points(const PodShape& shape, const Room& room, const NodeState& node) const;
  void look_at_all(PodShape& shape);
  void make_place();

  const Profile* profile_;
  const Cluster* cluster_;
  const NodeLayout* layout_;
  bool usual_profile_ = false;
  std::vector<Room> rooms_;  // by position
  std::vector<uint32_t> changes_;
  std::vector<std::unique_ptr<PodShape>> shapes_;
  std::unordered_map<std::string, PodShape*> by_text_;
  std::vector<PodShape*> remembered_;
  size_t next_to_forget_ = 0;
};

}  // namespace archway::scheduler
